"""Whatever is appended reads back equal, on every engine, also after reopening."""

import asyncio
import dataclasses
import operator
import tempfile
import types
import typing
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.journal.base import HeadQuery, Journal
from dagcall.journal.memory import MemoryJournal, MemoryStorage
from dagcall.journal.sqlite import SqliteJournal
from dagcall.model.events import Event
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState

INTEGERS = st.integers(-(2**63), 2**63 - 1)
TIMES = st.floats(allow_nan=False, allow_infinity=False)
POSITIVE = st.floats(min_value=1, allow_nan=False, allow_infinity=False)
NO_NUL = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=5)
"""What PostgreSQL takes as text, and so every engine."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TIMES | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)
KEYS = [RunKey("shop", "r1"), RunKey("shop", "r2"), RunKey("café", "r1")]


def values_of(annotation: object) -> st.SearchStrategy[object]:
    """Any value of a model type that has an encoding."""
    arguments = typing.get_args(annotation)
    if annotation is int:
        return INTEGERS
    if annotation is float:
        return TIMES
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return st.builds(annotation, **{one.name: values_of(one.type) for one in dataclasses.fields(annotation)})
    if isinstance(annotation, types.UnionType):
        return st.one_of([values_of(argument) for argument in arguments])
    if typing.get_origin(annotation) is tuple:
        if arguments[-1] is Ellipsis:
            return st.lists(values_of(arguments[0]), max_size=3).map(tuple)
        return st.tuples(*map(values_of, arguments))
    return st.from_type(typing.cast(type, annotation))


RECORD = {
    "time": TIMES,
    "kind": st.text(max_size=8),
    "data": st.dictionaries(st.text(max_size=5), JSON, max_size=3),
    "event": st.none() | values_of(Event),
}


@st.composite
def sequences(draw: st.DrawFn) -> list[tuple[Batch, str]]:
    """Batches of up to three runs, in any order between the runs, with their durability."""
    heads: dict[RunKey, RunHead] = {}
    made = []
    for key in draw(st.lists(st.sampled_from(KEYS), max_size=10)):
        head = heads.get(key)
        count = draw(st.integers(0 if head else 1, 3))
        if head is None:
            head = draw(
                st.builds(
                    RunHead,
                    key=st.just(key),
                    state=st.just(RunState.QUEUED),
                    plan_version=st.text(max_size=5),
                    queued_at=TIMES,
                    run_after=TIMES,
                    # One DAG has one run for a logical date: the runs differ in the sign of theirs.
                    logical_date=st.none() | (POSITIVE if key.run_id == "r1" else POSITIVE.map(operator.neg)),
                    caller=NO_NUL,
                    conf=st.binary(max_size=20),
                    idempotency_key=st.none() | NO_NUL,
                    last_record=st.just(0),
                )
            )
        first = head.last_record + 1
        records = tuple(draw(st.builds(JournalRecord, id=st.just(id), **RECORD)) for id in range(first, first + count))
        head = dataclasses.replace(
            head,
            state=draw(st.sampled_from(RunState)),
            start_date=draw(st.none() | TIMES),
            end_date=draw(st.none() | TIMES),
            note=draw(st.none() | NO_NUL),
            outcome=draw(st.text(max_size=5)),
            last_record=head.last_record + count,
        )
        heads[key] = head
        made.append((Batch(head, records), draw(st.sampled_from(["process", "power"]))))
    return made


def journals(engine: str, directory: str) -> Iterator[Journal]:
    """Journals over one storage, one after another."""
    store = MemoryStorage()
    while True:
        yield MemoryJournal(store) if engine == "memory" else SqliteJournal(Path(directory) / "journal.db")


@pytest.mark.parametrize("engine", ["memory", "sqlite"])
@settings(max_examples=60, deadline=None)
@given(sequence=sequences())
def test_any_sequence_of_batches_reads_back_equal(engine: str, sequence: list[tuple[Batch, str]]) -> None:
    heads: dict[RunKey, RunHead] = {}
    records: dict[RunKey, list[JournalRecord]] = {}
    for batch, _ in sequence:
        heads[batch.head.key] = batch.head
        records.setdefault(batch.head.key, []).extend(batch.records)

    async def holds_all(journal: Journal) -> None:
        for key in KEYS:
            assert await journal.head(key) == heads.get(key)
            assert await journal.records(key) == records.get(key, [])
        assert await journal.list_heads(HeadQuery()) == (list(heads.values()), len(heads))
        assert await journal.unfinished() == [head for head in heads.values() if not head.state.is_final]

    async def test() -> None:
        with tempfile.TemporaryDirectory() as directory:
            over = journals(engine, directory)
            journal = next(over)
            await journal.open()
            await asyncio.gather(*(journal.append(batch, durability) for batch, durability in sequence))
            await holds_all(journal)
            await journal.close()
            again = next(over)
            assert await again.open() == 2
            await holds_all(again)
            await again.close()

    asyncio.run(test())
