"""What the coordinator asks of workers, in words. `pool.WorkerPool` is the real one.

Guarantees, on which the coordinator's promises rest:

- A job is leased at most once, then ends exactly once: `ended` or `lost`. A withdrawn job is never leased.
- `lost` comes when the process is really gone or can no longer be heard, with the cause in words.
- `Lease.stop` ends the process and every descendant of it, whatever session it is in.
- All calls and call-backs are on the event loop; no method blocks it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeVar

from dagcall.model.bundle import Bundles
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.workers.frames import Amended, Ask, Chunk, Dependency, Ended, Fired, Notify, Pushed, RunTrigger, Start

T = TypeVar("T")


class Code(Protocol):
    """One version of one DAG file."""

    @property
    def path(self) -> str: ...
    @property
    def version(self) -> str: ...
    @property
    def plans(self) -> dict[str, DagPlan]: ...
    @property
    def errors(self) -> list[tuple[str, str]]: ...
    @property
    def dependencies(self) -> list[Dependency]: ...
    @property
    def is_open(self) -> bool:
        """Its zygote runs: workers can be forked at once."""
        ...


class Lease(Protocol):
    """A worker that waits for this job's start."""

    @property
    def pid(self) -> int: ...

    def start(self, start: Start | Notify, hard_limit: float | None) -> None:
        """Run it. `hard_limit`: seconds after which the process is ended, whatever it does."""

    def reply(self, number: int, value: object, error: str | None) -> None:
        """Answer an `Ask`."""

    def stop(self, reason: str) -> None:
        """Terminate: SIGTERM to the worker (the task's `on_kill`), after a grace SIGKILL to it and its family."""


class Job(Protocol):
    """One attempt that wants a worker."""

    @property
    def code(self) -> Code: ...
    @property
    def run(self) -> RunKey: ...
    @property
    def priority(self) -> tuple[float, ...]:
        """Smaller goes first."""
        ...

    def leased(self, lease: Lease) -> None: ...
    def pushed(self, frame: Pushed) -> None: ...
    def emitted(self, frame: Chunk) -> None: ...
    def asked(self, frame: Ask) -> None: ...
    def ended(self, frame: Ended) -> None: ...
    def amended(self, frame: Amended) -> None:
        """After `ended`; questions may come then, too."""

    def lost(self, kind: str, reason: str) -> None:
        """`kind` is an error type for the caller: `WorkerLost`, `AirflowTaskTimeout`, `CodeLost`."""


class TriggerJob(Protocol):
    """The trigger that one deferred task waits for."""

    @property
    def code(self) -> Code: ...
    @property
    def number(self) -> int:
        """Names it: unique on this server."""
        ...

    def frame(self, triggerer: int) -> RunTrigger:
        """To be sent to this triggerer; more than once, when one dies."""
        ...

    def asked(self, frame: Ask, reply: Callable[[object, str | None], None]) -> None:
        """Its running code has a question; `reply` with a value or with the sentence saying why there is none."""

    def fired(self, frame: Fired) -> None: ...
    def lost(self, kind: str, reason: str) -> None:
        """It cannot run. `kind`: `TriggererLost`, `CodeLost`."""


class StoreUnreachable(Exception):
    """A store cannot be read now; the reason in words."""


class StoreAccess(Protocol):
    """A process of its own, with access to every store that Airflow knows. One request at a time.

    Both raise `StoreUnreachable`."""

    async def read(self, uri: str, size: int, begin: int, end: int) -> bytes:
        """A part of an object that has `size` bytes. Raises FileNotFoundError when it is not there, or not that large,
        any more."""
        ...

    async def delete(self, uri: str) -> None:
        """All that is at or below it, if anything is."""

    def close(self) -> None:
        """End the process."""


class AirflowRefused(Exception):
    """The Airflow side answered that something cannot be. `kind` is for programs, the text for people."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class AirflowSide(Protocol):
    """A process that knows an Airflow installation: its whole configuration, its database, its auth manager.

    A topic is a module of `airflow_bridge`, its questions are that module's functions (`airflow_bridge.topics`)."""

    @property
    def is_started(self) -> bool: ...

    @property
    def trouble(self) -> str | None:
        """Why it cannot answer now, in words; None when it can, or when nobody has needed it."""
        ...

    def use(self, topic: str, setup: Mapping[str, Any] | None = None) -> None:
        """This topic will be asked about: start the process if there is none, and prepare it, and every later one, with
        `setup` (plain data for the module's `begin`)."""

    async def ask(
        self, what: str, args: Mapping[str, Any], answer: type[T], *, limit: float = 15.0, again: bool = True
    ) -> T:
        """Ask `topic.question`, at most `limit` seconds. `again`: may be asked twice, should the process be lost meanwhile.

        Raises AirflowRefused; Unavailable when there was no answer in time."""
        ...

    async def stop(self) -> None: ...


class Workers(Protocol):
    """The elastic set of workers."""

    @property
    def airflow(self) -> AirflowSide:
        """For questions that somebody waits for."""
        ...

    @property
    def recorder(self) -> AirflowSide:
        """For what may take long."""
        ...

    async def start(self, answer: "Callable[[Ask], Awaitable[object]]") -> dict[str, object]:
        """Returns Airflow's settings as plain data, see `airflow_bridge.settings.for_coordinator`.

        `answer`: what a DAG file asks while it is parsed; raises DagcallError or LookupError with what it will see."""

    def trace(self, sink: "Callable[[bytes], None]") -> None:
        """Where what code in the processes traces goes: MessagePack of lists of `model.trace.Span`."""

    async def stop(self) -> None:
        """End every process."""

    def serve(self, bundles: Bundles) -> None:
        """From now on these folders are listed and parsed. Only where no folder was given when it was made."""

    async def list_files(self) -> list[str]: ...

    async def load(self, path: str) -> Code:
        """Parse a file in a process of its own; its errors are in the answer."""

    async def open(self, code: Code) -> Code:
        """Make `code` ready for jobs. The answer is another version when the file has changed meanwhile."""

    def close(self, code: Code) -> None:
        """No more jobs will come for this version: end its processes when its last job has ended."""

    def missing(self, path: str, version: str) -> Code:
        """A version of a file that is not served any more: its jobs are lost, unless the file holds it again."""
        ...

    def submit(self, job: Job) -> None: ...
    def withdraw(self, job: Job) -> None: ...
    def submit_aside(self, job: Job) -> None:
        """A job that no caller waits for: it has a process beside those of `submit`, one for each version of a file,
        and waits there for its turn. It cannot be withdrawn; stop its lease."""
        ...

    def watch(self, job: TriggerJob) -> None:
        """Run its trigger until it fires."""

    def unwatch(self, job: TriggerJob, *, killed: bool) -> None:
        """Nobody waits for it any more: because its task was ended (`killed`), or for another reason. Does nothing when
        it has fired."""

    async def open_store(self) -> StoreAccess:
        """Raises Unavailable. To be closed."""
        ...

    def statistics(self) -> dict[str, int]: ...

    def describe(self) -> "list[str]":
        """Files, processes and who waits, in words; of many, some."""
        ...
