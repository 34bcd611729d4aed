"""`CallDagTrigger`: waits for the outcome of a run at a dagcall server, in Airflow's triggerer."""

from collections.abc import AsyncIterator
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from dagcall.errors import DagcallError
from dagcall.provider.hook import DagcallHook


class CallDagTrigger(BaseTrigger):
    """Fires once the outcome of a run is certain, or once the server could not be asked for it.

    The event says which run, not what came of it: the task asks for that itself, so that no value passes through the
    triggerer and Airflow's database, and there is one place that tells a failure.

    `cancel_on_kill`: a task that somebody marks as ended while it is deferred, or clears, takes its run with it.
    """

    def __init__(self, call_dag_id: str, run_id: str, dagcall_conn_id: str, cancel_on_kill: bool = True) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.call_dag_id = call_dag_id
        self.run_id = run_id
        self.dagcall_conn_id = dagcall_conn_id
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return "dagcall.provider.trigger.CallDagTrigger", {
            "call_dag_id": self.call_dag_id,
            "run_id": self.run_id,
            "dagcall_conn_id": self.dagcall_conn_id,
            "cancel_on_kill": self.cancel_on_kill,
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with await DagcallHook(self.dagcall_conn_id).get_async_conn() as client:
            try:
                await client.run(self.call_dag_id, self.run_id).result()
            except DagcallError as error:
                self.log.info("%s", error)
        yield TriggerEvent({"call_dag_id": self.call_dag_id, "run_id": self.run_id})

    async def on_kill(self) -> None:
        if not self.cancel_on_kill:
            return
        async with await DagcallHook(self.dagcall_conn_id).get_async_conn() as client:
            await client.run(self.call_dag_id, self.run_id).cancel()
