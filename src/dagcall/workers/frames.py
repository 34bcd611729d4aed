"""The wire between the coordinator and its processes.

A frame is a 4-byte big-endian length and one MessagePack message, tagged by its type. There is no pickle, and
values (conf, XComs, plain results) are opaque bytes to the coordinator. Every process opens one Unix socket to the
coordinator and says `Hello` first; a wrong token or protocol version ends the connection.

    root zygote   Hello, Ready                 <- ServeBundles, ListFiles, ForkLoader, ForkZygote, ForkStore  -> Files, Exited
    loader        Hello, Ask*, Loaded, (ends)  <- Reply*
    file zygote   Hello, Ask*, Loaded          <- Reply*, ForkWorker, ForkTriggerer -> Exited
    worker        Hello                        <- Start, Notify, Reply            -> (Pushed | Chunk | Ask)*, Ended, Ask*, Amended?, Idle
    triggerer     Hello                        <- RunTrigger, CancelTrigger, Reply -> Ask*, Fired
    store         Hello                        <- ReadStored, DeleteStored, Reply -> Ask*, Stored

The workers of a file that must not be forked say `Hello, Loaded` as a file zygote does, then they are workers.

A worker owes exactly one `Ended` and then one `Idle` for each `Start`; both carry the attempt and its epoch, so that
a late frame of an attempt that was given up is recognised and dropped. `Ended` comes before callbacks run and
before the process is restored; only `Idle` makes the worker free again. A triggerer owes one `Fired` for each `RunTrigger`
that is not cancelled.
"""

import struct
from typing import Any, Final

import msgspec

from dagcall.model.assets import Outlets
from dagcall.model.bundle import Bundle
from dagcall.model.references import Reference

PROTOCOL: Final = 1
MAX_FRAME: Final = 1 << 30
"""Bytes. Larger XComs belong into object storage; stock Airflow's 4-byte header allows no more than four times this."""

_LENGTH = struct.Struct(">I")


class Frame(msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False):
    """Base of all messages."""


class Hello(Frame, frozen=True, array_like=True, tag=True):
    """First frame of every process. `ident` is the number it was forked under (0: the root zygote)."""

    protocol: int
    role: str
    token: str
    ident: int
    pid: int


class Ready(Frame, frozen=True, array_like=True, tag=True):
    """The root zygote has imported Airflow. `config` is what the coordinator needs of airflow.cfg, as plain data."""

    config: dict[str, Any]


class ListFiles(Frame, frozen=True, array_like=True, tag=True):
    """Ask the root zygote which files of the folder may hold DAGs."""

    ident: int


class Files(Frame, frozen=True, array_like=True, tag=True):
    """Answer to `ListFiles`: absolute paths."""

    ident: int
    paths: list[str]


class ServeBundles(Frame, frozen=True, array_like=True, tag=True):
    """To the root zygote: these are the folders whose files are listed and parsed from now on."""

    bundles: list[Bundle]


class ForkLoader(Frame, frozen=True, array_like=True, tag=True):
    """Parse one DAG file in a process of its own, report, end."""

    ident: int
    path: str


class ForkZygote(Frame, frozen=True, array_like=True, tag=True):
    """Parse one DAG file in a process of its own, report, then fork workers on demand.

    `alone`: become a worker instead. So does every worker of a file that must not be forked once it is parsed.
    """

    ident: int
    path: str
    alone: bool = False


class ForkWorker(Frame, frozen=True, array_like=True, tag=True):
    ident: int


class ForkTriggerer(Frame, frozen=True, array_like=True, tag=True):
    """Fork the process that runs all triggers of this file's tasks; or, sent to a worker of a file that must not be
    forked: become it."""

    ident: int


class Exited(Frame, frozen=True, array_like=True, tag=True):
    """A forked child ended. `status` as `os.waitstatus_to_exitcode` gives it: negative is a signal."""

    ident: int
    pid: int
    status: int


class Dependency(Frame, frozen=True, array_like=True, tag=True):
    """A file or directory that the DAG file read while it was parsed, and what it looked like then; or what it asked
    for (`variable:KEY`, `connection:ID`)."""

    path: str
    mark: str


class Loaded(Frame, frozen=True, array_like=True, tag=True):
    """What a DAG file holds. `plans` are MessagePack of `model.plan.DagPlan`; `errors` are (relative path, text)."""

    ident: int
    path: str
    version: str
    plans: list[bytes]
    errors: list[tuple[str, str]]
    dependencies: list[Dependency]
    seconds: float
    unforkable: list[str] = []
    """Why the process that has parsed it must not be forked, in sentences."""
    costs: list[tuple[str, float]] = []
    """Packages that took long to import, and the seconds: where somebody asked."""


class Shipped(Frame, frozen=True, array_like=True, tag=True):
    """An upstream XCom sent along with a start.

    `values` are the values by ascending map index; `mapped` says whether the upstream is a mapped task (its readers
    see a sequence) or a plain one (one value, or none when it pushed nothing). With `index` >= 0 only the element
    that this instance of an `expand` needs is in `values`, out of `length`. With `map_index` >= 0 they hold what that
    one instance pushed, if anything: all that an instance in a mapped task group reads of another one in it.
    """

    task_id: str
    key: str
    mapped: bool
    values: list[bytes]
    index: int = -1
    length: int = 0
    map_index: int = -1


class Continues(Frame, frozen=True, array_like=True, tag=True):
    """An attempt that goes on with its try: as in `model.commands.Continuation`. `how` is a `ResumeHow`."""

    next_method: str | None
    next_kwargs: bytes
    how: str
    payload: bytes
    start_date: float
    reschedules: int
    first_reschedule: float | None


class Suspended(Frame, frozen=True, array_like=True, tag=True):
    """What a try that let go of its worker waits for. Fields as in `model.events.Suspension`."""

    next_method: str | None
    next_kwargs: bytes
    due: float | None
    trigger: str | None
    trigger_kwargs: bytes


class Start(Frame, frozen=True, array_like=True, tag=True):
    """Run one try of one task instance. Times are seconds since the epoch, `conf` is a JSON object."""

    attempt: int
    epoch: int
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    try_number: int
    max_tries: int
    ti_id: str
    conf: bytes
    run_type: str
    run_after: float
    run_start: float
    logical_date: float | None
    triggered_by: str
    want_plain: bool
    log_path: str
    xcoms: list[Shipped]
    continues: Continues | None = None
    deadline: float | None = None
    asset_events: bytes = b""
    expanded_ti_count: int = 1
    """How many instances the task has: what an instance in a mapped task group asks before it reads its upstreams."""
    retry_delay: float | None = None
    """Seconds from a failure of this try to the next one; set where there is a deadline that it may be too late for."""
    survives_power: bool = False
    """What its run stores must be on the disk before it is told of (`durability=power`)."""
    traceparent: str | None = None
    """As in `model.events.RunAccepted`, and so is `tracestate`."""
    tracestate: str | None = None


class Notify(Frame, frozen=True, array_like=True, tag=True):
    """Make the calls of a `model.notice.Notice`: owed an `Ended` (success, or failed with what the first one raised)
    and an `Idle`, as for a `Start`. `start` says whose run it is, and with a task id whose task instance."""

    attempt: int
    epoch: int
    start: Start
    calls: list[str]
    reason: str
    run_state: str
    run_end: float | None
    state: str
    start_date: float | None
    end_date: float | None
    assets: bytes = b""


class Pushed(Frame, frozen=True, array_like=True, tag=True):
    """An XCom pushed by running code: visible to others at once, recorded with the attempt's end."""

    attempt: int
    epoch: int
    key: str
    value: bytes


class Chunk(Frame, frozen=True, array_like=True, tag=True):
    """Partial results that running code has emitted, in order: plain JSON."""

    attempt: int
    epoch: int
    values: list[bytes]


class Ended(Frame, frozen=True, array_like=True, tag=True):
    """The end of an attempt. Fields as in `model.events.AttemptEnded`."""

    attempt: int
    epoch: int
    kind: str
    error: tuple[str, str] | None
    reject: tuple[int, str] | None
    retry_delay: float | None
    xcoms: list[tuple[str, bytes, int | None]]
    plain: bytes | None
    skip: list[tuple[str, int]]
    rendered_map_index: str | None
    rendered_fields: bytes
    suspension: Suspended | None = None
    outlets: Outlets | None = None
    references: tuple[Reference, ...] = ()


class Amended(Frame, frozen=True, array_like=True, tag=True):
    """What callbacks and operator links left behind after `Ended`; sent only if there is something. XComs are
    (key, value); `rendered_fields` replace those of the end unless they are empty."""

    attempt: int
    epoch: int
    xcoms: list[tuple[str, bytes]]
    rendered_fields: bytes


class Idle(Frame, frozen=True, array_like=True, tag=True):
    """Restored and ready for the next start; or, with `retire`, about to end for that reason.

    Of the `wall` seconds since the start, the process wanted a CPU (had one, or waited for one) for `wanting`.
    """

    attempt: int
    epoch: int
    retire: str | None
    wall: float
    wanting: float


class Traced(Frame, frozen=True, array_like=True, tag=True):
    """Spans that code of this process has ended: MessagePack of a list of `model.trace.Span`. Of any process, any time."""

    spans: bytes


class RunTrigger(Frame, frozen=True, array_like=True, tag=True):
    """Run the trigger of a deferred task. `start` says whose it is."""

    number: int
    start: Start
    classpath: str
    kwargs: bytes
    timeout_after: float | None


class CancelTrigger(Frame, frozen=True, array_like=True, tag=True):
    """Nobody waits for this trigger any more. `killed`: because its task was ended, so call its `on_kill`."""

    number: int
    killed: bool


class Fired(Frame, frozen=True, array_like=True, tag=True):
    """The end of a trigger. Fields as in `model.events.Resumed`."""

    number: int
    how: str
    payload: bytes
    xcoms: list[tuple[str, bytes]]
    end: str | None
    plain: bytes | None
    references: tuple[Reference, ...] = ()


class Ask(Frame, frozen=True, array_like=True, tag=True):
    """A question of running code. `what` names it, `args` are its arguments; see `coordinator.questions`. A trigger asks
    under its number instead of an attempt. While a file is parsed there is no attempt: 0."""

    attempt: int
    epoch: int
    number: int
    what: str
    args: list[Any]


class Reply(Frame, frozen=True, array_like=True, tag=True):
    """The answer to an `Ask`: a value, or the sentence saying why there is none."""

    number: int
    value: Any
    error: str | None


class ForkStore(Frame, frozen=True, array_like=True, tag=True):
    """Fork a process that reads from stores which only Airflow's libraries can open."""

    ident: int


class ReadStored(Frame, frozen=True, array_like=True, tag=True):
    """Read a part of the object at `uri`, which must have `size` bytes."""

    uri: str
    size: int
    begin: int
    end: int


class DeleteStored(Frame, frozen=True, array_like=True, tag=True):
    """Delete what is at or below `uri`, if anything is."""

    uri: str


class Stored(Frame, frozen=True, array_like=True, tag=True):
    """Answer to `ReadStored` and `DeleteStored`. `error`: why it could not be done; `is_gone`: since the object is not
    there, or not the same, any more."""

    data: bytes
    error: str | None
    is_gone: bool


FromProcess = (
    Hello | Ready | Files | Exited | Loaded | Pushed | Chunk | Ended | Amended | Idle | Ask | Fired | Stored | Traced
)
ToProcess = (
    ListFiles
    | ServeBundles
    | ForkLoader
    | ForkZygote
    | ForkWorker
    | ForkTriggerer
    | Start
    | Notify
    | RunTrigger
    | CancelTrigger
    | Reply
    | ForkStore
    | ReadStored
    | DeleteStored
)

_encoder = msgspec.msgpack.Encoder()
_from_process: msgspec.msgpack.Decoder[FromProcess] = msgspec.msgpack.Decoder(FromProcess)
_to_process: msgspec.msgpack.Decoder[ToProcess] = msgspec.msgpack.Decoder(ToProcess)


class ProtocolError(Exception):
    """The other side does not keep to the protocol; its connection is of no use any more."""


def encode(message: Frame) -> bytes:
    body = _encoder.encode(message)
    if len(body) > MAX_FRAME:
        raise ProtocolError(f"a {type(message).__name__} message of {len(body)} bytes is over the limit of {MAX_FRAME}")
    return _LENGTH.pack(len(body)) + body


def decode_from_process(body: bytes | bytearray | memoryview) -> FromProcess:
    try:
        return _from_process.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"a process sent a malformed frame: {error}") from error


def decode_to_process(body: bytes | bytearray | memoryview) -> ToProcess:
    try:
        return _to_process.decode(body)
    except msgspec.MsgspecError as error:
        raise ProtocolError(f"the coordinator sent a malformed frame: {error}") from error


class FrameBuffer:
    """Bytes in, whole frame bodies out."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> list[bytes]:
        """Add received bytes.

        Raises:
            ProtocolError: a length over `MAX_FRAME` was announced.
        """
        buffer = self._data
        buffer += data
        bodies: list[bytes] = []
        position = 0
        while len(buffer) - position >= _LENGTH.size:
            (length,) = _LENGTH.unpack_from(buffer, position)
            if length > MAX_FRAME:
                raise ProtocolError(f"a frame of {length} bytes was announced, over the limit of {MAX_FRAME}")
            end = position + _LENGTH.size + length
            if len(buffer) < end:
                break
            bodies.append(bytes(buffer[position + _LENGTH.size : end]))
            position = end
        if position:
            del buffer[:position]
        return bodies
