"""What `dag.test()` of stock Airflow does not do as its triggerer does, or not at all."""

import asyncio
import os
from datetime import timedelta
from pathlib import Path

from airflow.providers.standard.sensors.filesystem import FileSensor
from airflow.sdk import BaseHook, BaseOperator, Variable, dag
from airflow.sdk.exceptions import AirflowNotFoundException
from airflow.triggers.base import (
    BaseTrigger,
    StartTriggerArgs,
    TaskFailedEvent,
    TaskSkippedEvent,
    TaskSuccessEvent,
    TriggerEvent,
)
from waits import Countdown, Deferring


class Ending(BaseTrigger):
    """Ends its task itself."""

    def __init__(self, how):
        super().__init__()
        self.how = how

    def serialize(self):
        return f"{__name__}.Ending", {"how": self.how}

    async def run(self):
        if self.how == "failed":
            yield TaskFailedEvent(xcoms={"why": "told to"})
        elif self.how == "skipped":
            yield TaskSkippedEvent()
        else:
            yield TaskSuccessEvent(xcoms={"return_value": [1, {"a": 2}], "more": 3})


class Asking(BaseTrigger):
    """Asks for a Variable in every way there is."""

    def serialize(self):
        return f"{__name__}.Asking", {}

    async def run(self):
        loop = asyncio.get_running_loop()
        yield TriggerEvent(
            [
                Variable.get("asked", default="none"),
                await asyncio.to_thread(Variable.get, "asked", default="none"),
                await loop.run_in_executor(None, lambda: Variable.get("asked", default="none")),
            ]
        )


class Deadly(BaseTrigger):
    """Ends its process each time."""

    def serialize(self):
        return f"{__name__}.Deadly", {}

    async def run(self):
        os._exit(3)
        yield


class Killable(BaseTrigger):
    """Never fires; writes down what is done to it."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    def serialize(self):
        return f"{__name__}.Killable", {"path": self.path}

    def note(self, what):
        with Path(self.path).open("a") as file:
            file.write(f"{what}\n")

    async def run(self):
        self.note("run")
        await asyncio.sleep(3600)
        yield

    async def on_kill(self):
        self.note("on_kill")
        try:
            await BaseHook.aget_connection("nowhere")
        except AirflowNotFoundException:
            self.note("answered")

    async def cleanup(self):
        self.note("cleanup")


class Unsendable(BaseTrigger):
    def serialize(self):
        return f"{__name__}.Unsendable", {}

    async def run(self):
        yield TriggerEvent(object())


class Waiting(BaseOperator):
    """Waits for the trigger that `make` gives it."""

    def __init__(self, make, timeout=None, **kwargs):
        super().__init__(**kwargs)
        self.make = make
        self.limit = timeout

    def execute(self, context):
        kwargs = {"when": timedelta(seconds=5), "n": (1, 2)}
        self.defer(trigger=self.make(context), method_name="resume", kwargs=kwargs, timeout=self.limit)

    def resume(self, context, event, when, n):
        return [event, when.total_seconds(), list(n)]


@dag(schedule=None)
def with_kwargs():
    Waiting(task_id="t", make=lambda context: Countdown(start=1, answer=(1, {"a": [2]})))


@dag(schedule=None)
def trigger_failures():
    once = {"retries": 1, "retry_delay": timedelta(0)}
    Deferring(task_id="raises", trigger=Countdown(start=0, answer="raise"), **once)
    Deferring(task_id="is_silent", trigger=Countdown(start=0, answer="nothing"))
    Waiting(task_id="unsendable", make=lambda context: Unsendable())
    Waiting(task_id="too_long", make=lambda context: Countdown(start=10**6), timeout=timedelta(seconds=0.1))


@dag(schedule=None)
def ended_by_trigger():
    for how in ("success", "failed", "skipped"):
        Waiting(task_id=how, make=lambda context, how=how: Ending(how), retries=1, retry_delay=timedelta(0))


@dag(schedule=None)
def asks():
    Waiting(task_id="t", make=lambda context: Asking())


@dag(schedule=None)
def deadly():
    Waiting(task_id="t", make=lambda context: Deadly())


@dag(schedule=None, params={"path": ""})
def killable():
    Waiting(task_id="t", make=lambda context: Killable(context["params"]["path"]))


@dag(schedule=None, params={"path": "", "ticks": 10})
def counts_down():
    Waiting(task_id="t", make=lambda context: Countdown(start=context["params"]["ticks"]))


class FromTrigger(BaseOperator):
    """Begins in the triggerer; says whether `execute` was ever called."""

    template_fields = ("answer",)

    def __init__(self, answer, plus=0, **kwargs):
        super().__init__(**kwargs)
        self.answer = answer
        self.plus = plus
        self.start_from_trigger = True
        self.start_trigger_args = StartTriggerArgs(
            trigger_cls="waits.Countdown",
            trigger_kwargs={"start": 1, "answer": answer},
            next_method="resume",
            next_kwargs={"when": timedelta(seconds=5)},
            timeout=timedelta(minutes=5),
        )

    def execute(self, context):
        raise AssertionError("it was run on a worker")

    def resume(self, context, event, when):
        if context["ti"].try_number == 1 and event == "again":
            raise RuntimeError("the first try breaks")
        return [event, when.total_seconds(), context["ti"].try_number]


class MappedFromTrigger(BaseOperator):
    """Of a mapped one only the class, or `partial`, says how it begins."""

    start_from_trigger = True
    start_trigger_args = StartTriggerArgs("waits.Countdown", "resume", {"start": 1, "answer": "same"})

    def __init__(self, plus=0, **kwargs):
        super().__init__(**kwargs)
        self.plus = plus

    def resume(self, context, event):
        return [event, self.plus]


@dag(schedule=None, params={"name": "templated"})
def from_trigger():
    FromTrigger(task_id="plain", answer="a")
    FromTrigger(task_id="retried", answer="again", retries=1, retry_delay=timedelta(0))
    FromTrigger(task_id="templates", answer="{{ params.name }} {{ ti.task_id }}")
    MappedFromTrigger.partial(task_id="mapped").expand(plus=[1, 2])
    FileSensor(task_id="file", filepath=__file__, deferrable=True, start_from_trigger=True, poke_interval=0.05)


from_trigger()
with_kwargs()
trigger_failures()
ended_by_trigger()
asks()
deadly()
killable()
counts_down()
