"""What is stored outlives the code that stored it."""

from typing import get_args

import msgspec
import pytest

from dagcall.errors import JournalCorrupt, JournalError
from dagcall.journal.encoding import (
    EVENT_KINDS,
    VERSION,
    decode_event,
    decode_plan,
    decode_record,
    encode_event,
    encode_plan,
    encode_record,
)
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, Event
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan
from dagcall.model.records import JournalRecord

KEY = RunKey("shop", "r1")


def test_every_event_has_a_stored_name() -> None:
    assert set(EVENT_KINDS) == set(get_args(Event))
    assert len(set(EVENT_KINDS.values())) == len(EVENT_KINDS)


def test_a_stored_event_of_this_version_stays_readable() -> None:
    """Bytes written once and for all: changing the encoding without a new version fails here."""
    stored = bytes.fromhex(
        "9301af617474656d70745f7374617274656484a7617474656d707407a565706f636802a8686f73746e616d65a168a370696403"
    )
    event = AttemptStarted(7, 2, "h", 3)
    assert decode_event(stored) == event
    assert encode_event(event) == stored


def test_fields_that_are_missing_get_their_default_and_unknown_ones_are_skipped() -> None:
    fields = {"attempt": 1, "epoch": 2, "kind": "success", "of_a_later_release": [1, 2]}
    stored = msgspec.msgpack.encode([1, "attempt_ended", fields])
    assert decode_event(stored) == AttemptEnded(1, 2, EndKind.SUCCESS)


def test_a_newer_version_is_refused_with_what_to_do() -> None:
    event = msgspec.msgpack.encode([VERSION + 1, "attempt_started", {}])
    with pytest.raises(JournalError, match=r"encoding version 2 by a newer dagcall.*use that dagcall"):
        decode_event(event)
    with pytest.raises(JournalError, match=r"shop/r1, record 7 \(task\): written in encoding version 2"):
        decode_record(KEY, 7, (1.0, "task", "{}", event))
    with pytest.raises(JournalError, match="newer dagcall"):
        decode_plan(msgspec.msgpack.encode([VERSION + 1, "plan", {}]))


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\xc1",
        b"\x93\x01",
        msgspec.msgpack.encode([1, "retry_due", {}]),
    ],
)
def test_what_no_version_wrote_is_corrupt(stored: bytes) -> None:
    with pytest.raises(JournalCorrupt):
        decode_event(stored)
    with pytest.raises(JournalCorrupt):
        decode_plan(stored)


def test_an_event_that_is_not_known_comes_from_a_newer_dagcall() -> None:
    with pytest.raises(JournalError, match="newer dagcall: this one knows no event 'nothing'"):
        decode_event(msgspec.msgpack.encode([1, "nothing", {}]))


def test_data_that_is_not_json_is_corrupt_and_says_where() -> None:
    with pytest.raises(JournalCorrupt, match="shop/r1, record 2"):
        decode_record(KEY, 2, (1.0, "task", "{", None))


@pytest.mark.parametrize(
    "record",
    [
        JournalRecord(3, 0.0, "task", {"value": object()}),
        JournalRecord(3, 0.0, "task", {"value": "\ud800"}),
        JournalRecord(3, 0.0, "task", {}, AttemptStarted(2**70, 1)),
        JournalRecord(3, 0.0, "task", {}, AttemptStarted(1, 1, "\ud800")),
    ],
    ids=["object", "surrogate", "integer", "surrogate in an event"],
)
def test_what_cannot_be_stored_says_where(record: JournalRecord) -> None:
    with pytest.raises(JournalError, match="shop/r1, record 3"):
        encode_record(KEY, record)


def test_plans_that_cannot_be_stored_say_which() -> None:
    with pytest.raises(JournalError, match="'shop', version v1"):
        encode_plan(DagPlan("shop", "v1", "", "", (), params_schema={"default": object()}))


def test_integers_over_64_bits_pass_in_data() -> None:
    """A caller's params are any JSON."""
    record = JournalRecord(1, 0.0, "accepted", {"params": {"n": 10**30}})
    assert decode_record(KEY, 1, encode_record(KEY, record)) == record
