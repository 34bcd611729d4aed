"""A helper module of the DAG files: triggers and operators of a user's own."""

import asyncio

from airflow.sdk import BaseOperator
from airflow.sdk.exceptions import AirflowSkipException
from airflow.triggers.base import BaseTrigger, TriggerEvent


class Countdown(BaseTrigger):
    """Fires when it has counted to zero. `answer`: the event's payload; `raise` and `nothing` fail the trigger."""

    def __init__(self, start, answer="zero", tick=0.01):
        super().__init__()
        self.start = start
        self.answer = answer
        self.tick = tick

    def serialize(self):
        return "waits.Countdown", {"start": self.start, "answer": self.answer, "tick": self.tick}

    async def run(self):
        for left in range(self.start, 0, -1):
            print(f"{left} left")
            await asyncio.sleep(self.tick)
        if self.answer == "raise":
            raise ValueError("told to fail")
        if self.answer != "nothing":
            yield TriggerEvent(self.answer)


class Deferring(BaseOperator):
    """Defers once, then ends as `then` says."""

    def __init__(self, trigger, then="return", plus=0, forget=False, **kwargs):
        super().__init__(**kwargs)
        self.trigger = trigger
        self.then = then
        self.plus = plus
        self.forget = forget

    def execute(self, context):
        self.defer(trigger=self.trigger, method_name="resume")

    def resume(self, context, event):
        if self.then == "raise":
            raise RuntimeError("told to fail")
        if self.then == "skip":
            raise AirflowSkipException("told to skip")
        return None if self.forget else (self.plus or event)
