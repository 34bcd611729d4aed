"""How records and plans are stored: a versioned form that outlives the code that wrote it.

An event is MessagePack `[version, kind, fields by name]`, a plan `[version, "plan", fields by name]`. Fields go by
name, so one that is added with a default needs no new version: old entries get the default, old readers skip it.
Whatever changes the meaning of what is stored needs a new version; a version above `VERSION` is refused, since
guessing would replay a run into something else. A record's `data` is JSON text: people and other programs read it.

XCom values are bytes within their event and are stored there, once.
"""

from typing import Any, Final

import msgspec

from dagcall.errors import JournalCorrupt, JournalError
from dagcall.model.events import (
    AttemptAdmitted,
    AttemptAmended,
    AttemptBlocked,
    AttemptEnded,
    AttemptStarted,
    CancelRequested,
    Emitted,
    Event,
    Resumed,
    RetryDue,
    RunAbandoned,
    RunAccepted,
    RunTimedOut,
    XComChanged,
)
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord, RunHead

VERSION: Final = 1

EVENT_KINDS: Final[dict[type[Event], str]] = {
    RunAccepted: "run_accepted",
    AttemptBlocked: "attempt_blocked",
    AttemptAdmitted: "attempt_admitted",
    AttemptStarted: "attempt_started",
    Emitted: "emitted",
    AttemptEnded: "attempt_ended",
    RetryDue: "retry_due",
    Resumed: "resumed",
    RunTimedOut: "run_timed_out",
    CancelRequested: "cancel_requested",
    RunAbandoned: "run_abandoned",
    XComChanged: "xcom_changed",
    AttemptAmended: "attempt_amended",
}
"""The stored name of each event. Names are for ever, class names are not."""

_EVENTS = {kind: msgspec.msgpack.Decoder(event) for event, kind in EVENT_KINDS.items()}
_PLAN = msgspec.msgpack.Decoder(DagPlan)
_ENVELOPE = msgspec.msgpack.Decoder(tuple[int, str, msgspec.Raw])
_DATA = msgspec.json.Decoder(dict[str, Any])
_pack = msgspec.msgpack.Encoder().encode
_json = msgspec.json.Encoder().encode

_UNENCODABLE = (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError)

Row = tuple[float, str, str, bytes | None]
"""A stored record without its id: time, kind, data (JSON text), event."""


def encode_event(event: Event) -> bytes:
    return _pack((VERSION, EVENT_KINDS[type(event)], event))


def decode_event(stored: bytes) -> Event:
    """Raises `JournalError` for a newer version, `JournalCorrupt` for what no version wrote."""
    kind, fields = _open(stored)
    decoder = _EVENTS.get(kind)
    if decoder is None:
        raise JournalError(f"written by a newer dagcall: this one knows no event {kind!r}; use that dagcall")
    try:
        return decoder.decode(fields)
    except msgspec.MsgspecError as error:
        raise JournalCorrupt(f"event {kind!r} does not decode: {error}") from error


def encode_record(key: RunKey, record: JournalRecord) -> Row:
    """Raises `JournalError` when a value has no encoding (data that is not JSON, an integer over 64 bits in an event,
    a lone surrogate)."""
    try:
        event = None if record.event is None else encode_event(record.event)
        return record.time, record.kind, _json(record.data).decode(), event
    except _UNENCODABLE as error:
        raise JournalError(f"run {key}, record {record.id} ({record.kind}): cannot be stored: {error}") from error


def decode_record(key: RunKey, id: int, row: Row) -> JournalRecord:
    """Raises like `decode_event`, and says where."""
    time, kind, data, event = row
    try:
        return JournalRecord(id, time, kind, _DATA.decode(data), None if event is None else decode_event(event))
    except msgspec.MsgspecError as error:
        raise JournalCorrupt(f"run {key}, record {id} ({kind}): data does not decode: {error}") from error
    except JournalError as error:
        raise type(error)(f"run {key}, record {id} ({kind}): {error}") from error


def check_storable(head: RunHead) -> None:
    """Raises `JournalError` when a text of the head has no encoding. Heads are stored as columns, but a text that
    fails in the middle of a statement would fail the batches around it."""
    try:
        _pack(head)
        if any(text is not None and "\0" in text for text in (*head.key, head.caller, head.note, head.idempotency_key)):
            raise ValueError("a text has NUL, which PostgreSQL takes in none")
    except _UNENCODABLE as error:
        raise JournalError(f"run {head.key!r}: the head cannot be stored: {error}") from error


def encode_plan(plan: DagPlan) -> bytes:
    """Raises `JournalError` when a value has no encoding."""
    try:
        return _pack((VERSION, "plan", plan))
    except _UNENCODABLE as error:
        raise JournalError(f"plan of {plan.dag_id!r}, version {plan.version}: cannot be stored: {error}") from error


def decode_plan(stored: bytes) -> DagPlan:
    """Raises like `decode_event`."""
    kind, fields = _open(stored)
    try:
        return _PLAN.decode(fields)
    except msgspec.MsgspecError as error:
        raise JournalCorrupt(f"{kind} does not decode: {error}") from error


def _open(stored: bytes) -> tuple[str, msgspec.Raw]:
    try:
        version, kind, fields = _ENVELOPE.decode(stored)
    except msgspec.MsgspecError as error:
        raise JournalCorrupt(f"not an entry of a journal: {error}") from error
    if version > VERSION:
        raise JournalError(
            f"written in encoding version {version} by a newer dagcall; this one reads up to {VERSION}: "
            "use that dagcall, or start with another journal"
        )
    return kind, fields
