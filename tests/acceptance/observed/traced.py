"""DAGs whose tasks trace: with OpenTelemetry's API alone, as they would under stock Airflow."""

import os
import time
from pathlib import Path

from airflow.providers.standard.operators.trigger_dagrun import TriggerDagRunOperator
from airflow.sdk import BaseOperator, dag, result, task
from airflow.triggers.base import BaseTrigger, TriggerEvent
from opentelemetry import propagate, trace

import dagcall


def calls_back(context):
    with trace.get_tracer("mine").start_as_current_span("my callback"):
        pass


@dag(schedule=None, on_success_callback=calls_back)
def traced():
    @task
    def works():
        carrier = {}
        with trace.get_tracer("mine", "1.2").start_as_current_span("my work", attributes={"n": 3}) as span:
            span.add_event("half way", {"at": [1, 2]})
            propagate.inject(carrier)  # what an instrumented HTTP client does
        return carrier

    @result
    @task
    def tells(carrier):
        return {"carrier": carrier, "environment": "TRACEPARENT" in os.environ}

    told = tells(works())
    TriggerDagRunOperator(task_id="starts", trigger_dag_id="started", conf={"token": "xyzzy"}) >> told


@dag(schedule=None)
def started():
    @task(retries=1, retry_delay=0.01)
    def fails_once(ti):
        if ti.try_number == 1:
            raise ValueError("a secret: xyzzy")

    @task
    def each(n):
        return n

    fails_once() >> each.expand(n=[1, 2])


@dag(schedule=None)
def context():
    @task
    def seen():
        context = trace.get_current_span().get_span_context()
        return {
            "trace_id": f"{context.trace_id:032x}",
            "sampled": bool(context.trace_flags.sampled),
            "pid": os.getpid(),
        }

    return seen()


@dag(schedule=None)
def interrupted():
    @result
    @task(retries=1, retry_delay=0.0)
    def waits(ti):
        if ti.try_number == 1:
            Path(os.environ["AIRFLOW_HOME"], "waits").touch()
            time.sleep(60)
        return f"{trace.get_current_span().get_span_context().trace_id:032x}"

    waits()


class Soon(BaseTrigger):
    def serialize(self):
        return f"{__name__}.Soon", {}

    async def run(self):
        with trace.get_tracer("mine").start_as_current_span("my waiting"):
            yield TriggerEvent("soon")


class Waits(BaseOperator):
    def execute(self, context):
        self.defer(trigger=Soon(), method_name="resume")

    def resume(self, context, event):
        return event


@dag(schedule=None, params={"url": ""})
def reaches_out():
    @result
    @task
    def calls(params):
        with trace.get_tracer("mine").start_as_current_span("my call"):
            return dagcall.Client(params["url"]).call("context")

    Waits(task_id="waits") >> calls()


for one in (traced, started, context, interrupted, reaches_out):
    one()
