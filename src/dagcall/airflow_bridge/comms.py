"""`SUPERVISOR_COMMS` of our processes: what the Task SDK's runner talks to instead of a socket to Airflow's supervisor.

The runner sends typed messages and reads typed answers, one at a time. Most need no round trip; the answers are in
`airflow_bridge.answers`. A type of message that nobody answers is refused with a sentence, never answered wrongly.
"""

from typing import Any

from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.answers import assets, ends, runs, state_stores, variables, xcoms
from dagcall.airflow_bridge.conversation import Asker, Conversation, Handler, refuse
from dagcall.workers.channel import Channel

HANDLERS: dict[type, Handler] = {
    **xcoms.HANDLERS,
    **variables.HANDLERS,
    **state_stores.HANDLERS,
    **runs.HANDLERS,
    **assets.HANDLERS,
    **ends.HANDLERS,
}
HANDLERS_OF_TRIGGERS: dict[type, Handler] = {**HANDLERS, **runs.HANDLERS_OF_TRIGGERS}


class WorkerComms(Conversation):
    """One task's conversation. A new one for each start."""

    handlers = HANDLERS

    def send(self, msg: Any) -> Any:
        """Answer one message of the Task SDK. Raises AirflowRuntimeError as Airflow's own comms do."""
        handler = self.handlers.get(type(msg))
        if handler is None:
            refuse(f"{type(msg).__name__} is not supported by dagcall yet")
        return handler(self, msg)

    async def asend(self, msg: Any) -> Any:
        """As `send`: one question at a time is in flight, as with Airflow's own comms."""
        return self.send(msg)


class ParseTimeComms(Asker):
    """`SUPERVISOR_COMMS` while a DAG file is parsed: as with Airflow's DAG processor there are Variables and
    Connections. Nothing else can be asked before a task runs.

    `seen`: what the file has asked for, and what it looked like.
    """

    def __init__(self, channel: Channel | None = None) -> None:
        self._is_alone = channel is None
        super().__init__(channel)  # type: ignore[arg-type] # without one nothing is sent
        self.seen: dict[str, str] = {}

    def send(self, msg: Any) -> Any:
        if isinstance(msg, sdk.MaskSecret):
            return None
        handler = variables.HANDLERS.get(type(msg))
        if handler is None:
            refuse(f"{type(msg).__name__} cannot be used while a DAG file is parsed")
        return handler(self, msg)

    async def asend(self, msg: Any) -> Any:
        return self.send(msg)

    def ask(self, what: str, *args: Any) -> Any:
        if self._is_alone:  # Airflow itself is imported: nobody can be asked yet
            return None if what.endswith(("variable", "connection")) else refuse("no DAG file is parsed yet")
        return super().ask(what, *args)

    def note(self, name: str, mark: str) -> None:
        self.seen[name] = mark
