"""Runs that have ended, on their way to Airflow's metadata database."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import msgspec
import pytest

from dagcall.coordinator import recorded_until, recording_line
from dagcall.coordinator.recorded_until import KIND, RecordedUntil
from dagcall.coordinator.recording_line import Line
from dagcall.coordinator.run import Run
from dagcall.errors import Unavailable
from dagcall.journal.base import HeadQuery
from dagcall.model.events import EndKind
from dagcall.model.finished_run import FinishedRun, HandedEvent
from dagcall.model.ids import RunKey
from dagcall.options import Options, RecordMode

from .here import BAD, OK, Here

pytestmark = pytest.mark.anyio


class Metadata:
    """Airflow's database, at the other end of a process that writes into it. Implements `workers.base.AirflowSide`."""

    is_started = True
    trouble = None

    def __init__(self) -> None:
        self.runs: dict[str, FinishedRun] = {}
        self.handed = 0
        self.is_away = False
        self.answers: dict[str, str] = {}
        """Instead of writing, by run id."""
        self.written = asyncio.Event()
        self.most_at_once = 0

    def use(self, topic: str, setup: Mapping[str, Any] | None = None) -> None: ...

    async def stop(self) -> None: ...

    async def ask(
        self, what: str, args: Mapping[str, Any], answer: Any, *, limit: float = 15.0, again: bool = True
    ) -> Any:
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("the database is away")
        assert what == "recording.write"
        assert again, "it may be asked twice: what is there is known"
        receipts = []
        self.most_at_once = max(self.most_at_once, len(args["runs"]))
        for packed in args["runs"]:
            run = msgspec.msgpack.decode(packed, type=FinishedRun)
            self.handed += 1
            receipt = self.answers.get(run.run_id, "known" if run.run_id in self.runs else "recorded")
            if receipt == "old_version" and run.any_version:
                receipt = "recorded"
            if receipt == "recorded":
                self.runs[run.run_id] = run
            receipts.append(receipt)
        self.written.set()
        return msgspec.convert({"receipts": receipts, "reasons": {}}, answer)


class Around:
    """A line of its own, its journal and what it writes into."""

    def __init__(self, here: Here) -> None:
        self.here = here
        self.metadata = Metadata()
        self.time = 100.0
        self.events: dict[RunKey, tuple[HandedEvent, ...]] = {}
        self.line = self.another(1)

    def another(self, epoch: int, mode: str = "all", **options: Any) -> Line:
        async def events_of(key: RunKey) -> tuple[HandedEvent, ...]:
            return self.events.get(key, ())

        self.line = Line(
            self.here.journal,
            self.metadata,
            events_of,
            lambda: self.time,
            Options(**options),
            RecordMode.read(mode),
            epoch,
        )
        return self.line

    async def run(self, run_id: str, *ends: EndKind) -> Run:
        """One that has ended, and that the line was told of."""
        run = await self.here.add(run_id, None, *(ends or (OK, OK)))
        assert run.head.state.is_final
        self.line.ended(run)
        return run

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.line.serve())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, fact: Callable[[], object]) -> None:
        for _ in range(10_000):
            if fact():
                return
            await asyncio.sleep(0)
        raise AssertionError("never so")


@pytest.fixture
async def around(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Around]:
    for name in ("PAUSE", "FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(recording_line, name, 0)
    here = Here()
    await here.journal.open()
    await here.journal.put_plan((await here.add("plan", None)).plan)
    yield Around(here)
    await here.journal.close()


async def test_neither_a_full_line_nor_a_drain_waits_for_more(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_line, "PAUSE", 3600)
    monkeypatch.setattr(recording_line, "ENOUGH", 3)
    async with around.serving():
        await around.run("1", OK, OK)
        await around.run("2", OK, OK)
        for _ in range(100):
            await asyncio.sleep(0)
        assert around.metadata.handed == 0
        await around.run("3", OK, OK)
        await around.until(lambda: around.metadata.handed == 3)
        await around.run("4", OK, OK)
        await around.line.drain()
        assert around.metadata.handed == 4


async def test_a_run_that_ended_is_handed_over_whole(around: Around) -> None:
    async with around.serving():
        await around.run("r", OK, OK)
        await around.line.drain()
    run = around.metadata.runs["r"]
    assert (run.dag_id, run.state, run.conf) == ("d", "success", b'{"n": 1}')
    assert [(task.task_id, task.state, task.try_number) for task in run.tasks] == [
        ("first", "success", 1),
        ("g.inner.second", "success", 1),
    ]
    assert around.line.counts == {"recorded": 1}


async def test_the_end_of_a_run_is_only_noted(around: Around) -> None:
    await around.run("r")
    assert around.metadata.handed == 0
    assert around.line.statistics()["recording_waiting"] == 1


@pytest.mark.parametrize(
    ("mode", "seen"),
    [("all", {"well", "failed"}), ("failures", {"failed"}), ("sample:1", {"well", "failed"}), ("sample:1e-9", set())],
)
async def test_what_is_not_wanted_is_not_handed_over(around: Around, mode: str, seen: set[str]) -> None:
    around.another(1, mode)
    async with around.serving():
        await around.run("well", OK, OK)
        await around.run("failed", BAD)
        await around.line.drain()
    assert set(around.metadata.runs) == seen


async def test_a_database_that_is_away_loses_nothing_and_is_told_of_once(
    around: Around, caplog: pytest.LogCaptureFixture
) -> None:
    around.metadata.is_away = True
    async with around.serving():
        for number in range(5):
            await around.run(f"r{number}")
        await around.until(lambda: around.line.trouble)
        assert "away" in str(around.line.trouble)
        await around.line.drain()  # a server that ends does not wait for it
        around.metadata.is_away = False
        await around.until(lambda: len(around.metadata.runs) == 5)
        await around.until(lambda: around.line.trouble is None)
    assert around.line.counts == {"recorded": 5}
    assert [one.message.partition(":")[0] for one in caplog.records] == [
        "runs are not recorded in Airflow now, and wait in the journal",
        "runs are recorded again",
    ]


async def test_more_than_memory_holds_comes_from_the_journal(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_line, "LINE", 3)
    around.metadata.is_away = True
    async with around.serving():
        for number in range(20):
            await around.run(f"r{number}")
        assert around.line.statistics()["recording_waiting"] == 3
        assert around.line.statistics()["recording_behind"] == 1
        around.metadata.is_away = False
        await around.until(lambda: len(around.metadata.runs) == 20)
        await around.until(lambda: around.line.statistics()["recording_behind"] == 0)
    assert around.line.counts["recorded"] == 20
    assert around.line.counts["shed"] == 0


async def test_beyond_the_bound_the_oldest_are_shed_visibly(
    around: Around, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(recording_line, "LINE", 0)
    around.another(1, record_backlog=4)
    for number in range(10):
        await around.run(f"r{number}")
    async with around.serving():
        await around.until(lambda: around.line.statistics()["recording_behind"] == 0)
    assert len(around.metadata.runs) == 4
    assert around.line.statistics()["recording_shed"] == 6
    assert "6 run(s) are not recorded" in caplog.text
    assert (await around.here.journal.list_heads(HeadQuery(limit=0)))[1] == 11  # none is lost to the journal


async def test_a_crash_between_their_commit_and_our_mark_records_nothing_twice(around: Around) -> None:
    async with around.serving():
        await around.run("before")
        await around.line.drain()
    await around.run("at the crash")
    around.another(2)  # without `close`
    async with around.serving():
        await around.until(lambda: len(around.metadata.runs) == 2)
        await around.until(lambda: around.line.counts["known"])
    assert around.line.counts == {"recorded": 1, "known": 1}


async def test_who_ends_in_peace_leaves_nothing_to_look_at(around: Around) -> None:
    async with around.serving():
        await around.run("r")
        await around.line.drain()
    await around.line.close()
    assert await around.here.journal.store.items(KIND) == []
    around.another(2)
    async with around.serving():
        await around.run("next")
        await around.line.drain()
    assert around.metadata.handed == 2


async def test_what_was_not_recorded_at_the_end_is_at_the_next_start(around: Around) -> None:
    around.metadata.is_away = True
    async with around.serving():
        await around.run("r")
        await around.until(lambda: around.line.trouble)
    await around.line.close()
    around.metadata.is_away = False
    around.another(2)
    async with around.serving():
        await around.until(lambda: "r" in around.metadata.runs)


async def test_a_dag_that_airflow_does_not_know_yet_makes_its_runs_wait(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    around.metadata.answers["early"] = "unknown_dag"
    async with around.serving():
        await around.run("early")
        await around.until(lambda: around.metadata.handed == 1)
        await around.line.drain()
        assert around.line.statistics()["recording_waiting"] == 1
        del around.metadata.answers["early"]
        around.time += recording_line.AGAIN
        await around.run("late")
        await around.until(lambda: set(around.metadata.runs) == {"early", "late"})
        await around.until(lambda: around.line.statistics()["recording_waiting"] == 0)


async def test_one_that_it_never_knows_is_given_up(around: Around, caplog: pytest.LogCaptureFixture) -> None:
    around.metadata.answers |= {"r": "unknown_dag", "next": "unknown_dag"}
    async with around.serving():
        await around.run("r")
        await around.until(lambda: around.metadata.handed == 1)
        around.time += recording_line.PATIENCE
        await around.run("next")
        await around.until(lambda: around.line.counts["unknown_dag"] == 2)
    assert around.line.statistics()["recording_given_up"] == 2
    assert "does not know DAG 'd'" in caplog.text


async def test_tasks_that_airflow_does_not_know_of_a_dag_it_knows_are_recorded_in_the_end(around: Around) -> None:
    around.metadata.answers["r"] = "old_version"
    async with around.serving():
        await around.run("r")
        await around.until(lambda: around.metadata.handed == 1)
        around.time += recording_line.PATIENCE
        await around.run("next")
        await around.until(lambda: set(around.metadata.runs) == {"r", "next"})
    assert around.metadata.runs["r"].any_version


async def test_a_bug_stops_nothing_for_ever(around: Around, caplog: pytest.LogCaptureFixture) -> None:
    failures = [ZeroDivisionError("a bug")]
    ask = around.metadata.ask

    async def failing(*args: Any, **how: Any) -> Any:
        if failures:
            raise failures.pop()
        return await ask(*args, **how)

    around.metadata.ask = failing  # type: ignore[method-assign]
    async with around.serving():
        await around.run("r")
        await around.until(lambda: "r" in around.metadata.runs)
    assert "recording failed, and is tried again" in caplog.text


async def test_a_large_number_is_handed_over_in_parts(around: Around, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording_line, "BATCH", 4)
    for number in range(10):
        await around.run(f"r{number}")
    async with around.serving():
        await around.line.drain()
    assert len(around.metadata.runs) == 10
    assert around.metadata.most_at_once == 4


async def test_who_died_long_ago_is_looked_after_by_the_others(around: Around) -> None:
    marks = RecordedUntil(around.here.journal.store, "7")
    await marks.write(0.0, around.time)
    run = await around.here.add("of another server", None, OK, OK)
    assert (run.head.end_date or 0) < around.time
    found = await RecordedUntil(around.here.journal.store, "1").found(around.time, all_of_them=False)
    assert found == []  # it lives
    around.time += recorded_until.DEAD + 1
    async with around.serving():
        await around.until(lambda: "of another server" in around.metadata.runs)
        await around.run("mine")
        await around.line.drain()
    assert [item.key for item in await around.here.journal.store.items(KIND)] == ["1"]


def test_a_sample_is_the_same_whoever_asks() -> None:
    from dagcall.core.finished import is_in_sample

    keys = [RunKey("d", f"r{number}") for number in range(2000)]
    tenth = {key for key in keys if is_in_sample(key, 0.1)}
    assert 100 < len(tenth) < 300
    assert tenth == {key for key in keys if is_in_sample(key, 0.1)}
    assert tenth <= {key for key in keys if is_in_sample(key, 0.5)}
    assert all(is_in_sample(key, 1.0) for key in keys)
    assert not any(is_in_sample(key, 0.0) for key in keys)
