"""Runs that wait, and do nothing meanwhile."""

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any

from airflow.sdk import BaseOperator, Param, dag, result, task
from airflow.triggers.base import BaseTrigger, StartTriggerArgs, TaskSuccessEvent, TriggerEvent


class Until(BaseTrigger):
    """Ends its task at a moment."""

    def __init__(self, moment: str) -> None:
        super().__init__()
        self.moment = moment

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return ("waiting.Until", {"moment": self.moment})

    async def run(self) -> AsyncIterator[TriggerEvent]:
        await asyncio.sleep(float(self.moment) - time.time())
        yield TaskSuccessEvent(xcoms={"return_value": "done"})


class Waits(BaseOperator):
    template_fields = ("moment",)
    start_from_trigger = True
    start_trigger_args = StartTriggerArgs("waiting.Until", "resume", {"moment": "{{ params.until }}"})

    def __init__(self, moment: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.moment = moment

    def resume(self, context: Any, event: Any) -> None: ...


@dag(schedule=None, params={"until": Param(type="number")})
def waits_for_a_trigger() -> None:
    Waits(task_id="wait", moment="{{ params.until }}")


@dag(schedule=None, params={"until": Param(type="number")}, max_active_runs=1)
def waits_its_turn() -> None:
    """One run at a time: the others wait."""

    @result
    @task
    def wait(params: dict[str, Any]) -> str:
        time.sleep(max(0.0, params["until"] - time.time()))
        return "done"

    wait()


@dag(schedule=None, params={"until": Param(type="number")})
def waits_for_a_worker() -> None:
    """With few workers: the others wait for one."""

    @result
    @task
    def wait(params: dict[str, Any]) -> str:
        time.sleep(max(0.0, params["until"] - time.time()))
        return "done"

    wait()


waits_for_a_trigger()
waits_its_turn()
waits_for_a_worker()
