"""One task's conversation with its supervisor: what it was started with, what it has asked, what it has to report.

This is the state that the answers of `airflow_bridge.answers` share. It knows no message of the Task SDK by name.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NoReturn

from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.results import Result
from dagcall.workers.channel import Channel
from dagcall.workers.frames import Amended, Ask, Reply, Start


@dataclass
class Outgoing:
    """What one attempt has to report so far."""

    terminal: Any = None
    problem: tuple[str, str] | None = None
    """Type and message of a failure that the runner reports without an exception."""
    wakes: tuple[str, bytes] | None = None
    """Class path and kwargs of a trigger whose event lets a rescheduled try go on before its date."""
    xcoms: list[tuple[str, bytes, int | None]] = field(default_factory=list)
    plain: bytes | None = None
    skip: list[tuple[str, int]] = field(default_factory=list)
    rendered_map_index: str | None = None
    rendered_fields: bytes = b""


class Asker:
    """Asks the coordinator, one question at a time."""

    def __init__(self, channel: Channel, attempt: int = 0, epoch: int = 0) -> None:
        self.channel = channel
        self._attempt = (attempt, epoch)
        self._asked = 0
        self.unread: dict[tuple[str, str], str] = {}
        """Why the secrets backend could not be asked for a Variable or Connection."""

    def ask(self, what: str, *args: Any) -> Any:
        """Ask and wait. Raises AirflowRuntimeError with the coordinator's sentence when it has no answer."""
        self._asked += 1
        number = self._asked
        self.channel.send(Ask(*self._attempt, number, what, list(args)))
        while True:
            reply = self.channel.receive()
            if isinstance(reply, Reply) and reply.number == number:
                break
        if reply.error is not None:
            refuse(reply.error)
        return reply.value

    def note(self, name: str, mark: str) -> None:
        """What was asked for by this name looks like `mark` now: of interest while a DAG file is parsed."""


class Conversation(Asker):
    """With one task. A new one for each start."""

    def __init__(self, channel: Channel, start: Start) -> None:
        super().__init__(channel, start.attempt, start.epoch)
        self.start = start
        self.shipped = {(item.task_id, item.key): item for item in start.xcoms}
        self.fetched: dict[tuple[str, str, str, str], list[bytes]] = {}
        """Lists of XComs that were asked for, by DAG id, run id, task id and key."""
        self.expanding = False
        """Set while the expanded arguments of a mapped task are resolved."""
        self.result = Result(start)
        """What the caller gets, if this is a result task."""
        self.returned: list[Any] = []
        """The object that the task returned, while it is pushed: see `xcoms.keep_returned_value`."""
        self.dag: Any = None
        """The task's DAG, once it is known."""
        self.downstream: set[str] | None = None
        """The tasks directly downstream of this one, if it is mapped itself."""
        self.outgoing = Outgoing()
        self.has_ended = False
        """`outgoing` has left with the attempt's end; what comes now was added by callbacks and operator links."""

    def end(self) -> None:
        """From here on `outgoing` is what is to be amended."""
        self.has_ended, self.outgoing = True, Outgoing()

    def amend(self) -> None:
        """Send what was added since the end, if anything was."""
        added = self.outgoing
        if self.has_ended and (added.xcoms or added.rendered_fields):
            self.outgoing = Outgoing()
            xcoms = [(key, value) for key, value, _ in added.xcoms]
            self.channel.send(Amended(*self._attempt, xcoms, added.rendered_fields))

    def ask(self, what: str, *args: Any) -> Any:
        self.amend()  # so that a callback reads what it has pushed
        return super().ask(what, *args)

    def is_own_run(self, dag_id: str, run_id: str) -> bool:
        return dag_id == self.start.dag_id and run_id == self.start.run_id


Handler = Callable[[Any, Any], Any]
"""Answers one type of message, of a `Conversation` (those that need no task: of an `Asker`). Raises AirflowRuntimeError as Airflow's own comms do."""


def refuse(sentence: str) -> NoReturn:
    """What a supervisor does that cannot answer: the task sees `sentence` in an AirflowRuntimeError."""
    raise AirflowRuntimeError(sdk.ErrorResponse(error=ErrorType.GENERIC_ERROR, detail={"message": sentence}))
