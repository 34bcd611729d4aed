"""Deferrable operators: each of these DAGs also ends so in stock Airflow."""

from datetime import UTC, datetime, timedelta

from airflow.providers.standard.sensors.date_time import DateTimeSensorAsync
from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.providers.standard.sensors.time_delta import TimeDeltaSensor
from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseOperator, dag, task
from waits import Countdown, Deferring


@dag(schedule=None)
def deferred():
    """The event, XComs and the rest of the try survive the waiting."""

    class Twice(BaseOperator):
        def execute(self, context):
            context["ti"].xcom_push("before", [1])
            self.defer(trigger=Countdown(start=2), method_name="second")

        def second(self, context, event):
            context["ti"].xcom_push("between", [event])
            self.defer(trigger=Countdown(start=0, answer={"a": [1]}), method_name="third", timeout=timedelta(minutes=5))

        def third(self, context, event=None):
            return [event, context["ti"].try_number, context["ti"].xcom_pull(task_ids=self.task_id, key="before")]

    @task
    def after(result):
        return result

    after(Twice(task_id="twice").output)


@dag(schedule=None)
def deferred_failures():
    once = {"retries": 1, "retry_delay": timedelta(0)}

    Deferring(task_id="breaks_after", trigger=Countdown(start=0), then="raise", **once)
    Deferring(task_id="skips_after", trigger=Countdown(start=0), then="skip")


@dag(schedule=None)
def deferred_map():
    @task
    def total(numbers):
        return sum(numbers)

    total(Deferring.partial(task_id="each", trigger=Countdown(start=1)).expand(plus=[1, 2, 3]).output)


@dag(schedule=None)
def standard_sensors():
    TimeDeltaSensor(task_id="delta", delta=timedelta(seconds=0), deferrable=True)
    DateTimeSensorAsync(task_id="date", target_time=datetime(2020, 1, 1, tzinfo=UTC))
    FileSensor(task_id="file", filepath=__file__, deferrable=True, poke_interval=0.05)
    Deferring(task_id="moment", trigger=TimeDeltaTrigger(timedelta(seconds=0.2)), forget=True)


deferred()
deferred_failures()
deferred_map()
standard_sensors()
