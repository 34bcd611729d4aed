"""What every journal must do, as tests: the promises of `dagcall.journal.base`, one by one.

For whoever writes an engine. Needs pytest. Subclass, say how a journal is made, and let pytest collect it (what is
promised of the journal's store is in `store_suite`, to be subclassed likewise):

    class TestMyJournal(JournalSuite):
        def make(self, storage: Path) -> Journal:
            return MyJournal(storage / "journal")

        def break_lock(self, storage: Path) -> None:
            ...

The tests use no plugin and no sleep; each opens what it needs in an event loop of its own.
"""

import asyncio
import os
from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path

import pytest

from dagcall.errors import JournalError, JournalFenced, JournalLocked, RunExists
from dagcall.journal.base import HeadQuery, Journal, TimeRange
from dagcall.model.events import AttemptEnded, AttemptStarted, EndKind, ErrorInfo, RunAccepted, XComItem
from dagcall.model.ids import RunKey
from dagcall.model.plan import DagPlan, Mapping, MapSource, Refusal, Retry, TaskPlan, XComRef
from dagcall.model.records import Batch, JournalRecord, RunHead
from dagcall.model.states import RunState, TriggerRule
from dagcall.testing.journal_storage import JournalStorage

KEY = RunKey("shop", "manual__1")


def head_for(key: RunKey = KEY, **changes: object) -> RunHead:
    """A head of a run that was just accepted."""
    head = RunHead(key, RunState.QUEUED, "v1", queued_at=100.0, run_after=100.0, last_record=1)
    return replace(head, **changes)  # type: ignore[arg-type] # whatever fields the test names


def first_batch(head: RunHead) -> Batch:
    """The batch that begins a run with this head."""
    accepted = RunAccepted(head.key.dag_id, head.key.run_id, head.plan_version, head.conf)
    data = {"dag_id": head.key.dag_id, "run_id": head.key.run_id, "params": {"city": "Zürich"}}
    return Batch(head, (JournalRecord(1, head.queued_at, "accepted", data, accepted),))


def next_batch(head: RunHead, count: int = 1, **changes: object) -> Batch:
    """A batch of `count` records that follows a batch with this head."""
    ids = range(head.last_record + 1, head.last_record + 1 + count)
    after = replace(head, last_record=head.last_record + count, **changes)  # type: ignore[arg-type]
    return Batch(after, tuple(JournalRecord(id, 100.0 + id, "task", {"try_number": id}) for id in ids))


def _query_name(value: object) -> str | None:
    """A query by what it asks beyond the defaults."""
    if not isinstance(value, HeadQuery):
        return ""
    asked = {one.name: getattr(value, one.name) for one in fields(value) if getattr(value, one.name) != one.default}
    # A set's own order is another in each process, and test processes must agree on the names of the tests.
    texts = {name: sorted(map(str, one)) if isinstance(one, frozenset) else one for name, one in asked.items()}
    return ",".join(f"{name}={text}" for name, text in texts.items()) or "all"


class JournalSuite(JournalStorage):
    """The conformance suite of `dagcall.journal.base`: what holds of every engine. `make` and `break_lock` are an engine's part."""

    def test_what_was_appended_reads_back_equal(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            head = head_for(
                conf=b'{"city": "Z\xc3\xbcrich"}', note="n", caller="me", idempotency_key="k", logical_date=5.5
            )
            first = first_batch(head)
            end = AttemptEnded(
                attempt=1,
                epoch=1,
                kind=EndKind.FAILED,
                error=ErrorInfo("ValueError", "no \N{SNOWMAN}"),
                xcoms=(XComItem("return_value", bytes(range(256)), 3),),
                skip=(("a", -1), ("b", 2)),
            )
            running = replace(head, state=RunState.RUNNING, start_date=101.25, last_record=3, note="m")
            started = JournalRecord(2, 101.25, "task", {"state": "running"}, AttemptStarted(1, 1, "host", 42))
            second = Batch(running, (started, JournalRecord(3, 102.5, "task", {"list": [1, None, "x"]}, end)))
            await journal.append(first)
            await journal.append(second)
            assert await journal.records(KEY) == [*first.records, *second.records]
            assert await journal.records(KEY, after=2) == [second.records[1]]
            assert await journal.records(KEY, after=3) == []
            assert await journal.head(KEY) == running

        self.run(tmp_path, test)

    def test_an_unknown_run_has_no_head_and_no_records(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            assert await journal.head(KEY) is None
            assert await journal.records(KEY) == []
            assert not await journal.delete(KEY)

        self.run(tmp_path, test)

    def test_a_batch_without_records_changes_the_head(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(first_batch(head_for()))
            noted = head_for(note="from the operator")
            await journal.append(Batch(noted))
            assert await journal.head(KEY) == noted
            assert len(await journal.records(KEY)) == 1

        self.run(tmp_path, test)

    def test_a_taken_id_is_refused_and_its_neighbours_are_kept(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            await journal.append(first_batch(head_for(caller="first")))
            others = [RunKey("shop", "other"), RunKey("cafe", KEY.run_id)]
            futures = [
                journal.append(first_batch(head_for(others[0]))),
                journal.append(first_batch(head_for(caller="second"))),
                journal.append(first_batch(head_for(others[1]))),
                journal.append(next_batch(head_for(others[0]))),
            ]
            results = await asyncio.gather(*futures, return_exceptions=True)
            assert isinstance(results[1], RunExists)
            assert (results[1].dag_id, results[1].run_id) == KEY
            assert [results[0], *results[2:]] == [None, None, None]
            assert [len(await journal.records(key)) for key in (KEY, *others)] == [1, 2, 1]
            kept = await journal.head(KEY)
            assert kept is not None
            assert kept.caller == "first"

        self.run(tmp_path, test)

    def test_a_dag_has_one_run_for_a_logical_date(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            heads = [
                head_for(RunKey("shop", "first"), logical_date=7.25),
                head_for(RunKey("shop", "same date"), logical_date=7.25),
                head_for(RunKey("cafe", "same date"), logical_date=7.25),
                head_for(RunKey("shop", "other date"), logical_date=7.250001),
                head_for(RunKey("shop", "no date")),
                head_for(RunKey("shop", "no date either")),
            ]
            results = await asyncio.gather(*(journal.append(first_batch(one)) for one in heads), return_exceptions=True)
            assert isinstance(results[1], RunExists)
            assert "logical date" in str(results[1])
            assert [results[0], *results[2:]] == [None] * 5
            assert await journal.head(heads[1].key) is None

        self.run(tmp_path, test)

    def test_of_two_that_begin_one_run_at_once_the_first_wins(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            batches = [first_batch(head_for(caller=caller)) for caller in ("first", "second")]
            results = await asyncio.gather(*map(journal.append, batches), return_exceptions=True)
            assert results[0] is None
            assert isinstance(results[1], RunExists)
            kept = await journal.head(KEY)
            assert kept is not None
            assert kept.caller == "first"

        self.run(tmp_path, test)

    @pytest.mark.parametrize("wrong", ["gap", "again", "last_record", "fixed", "unknown run"])
    def test_what_does_not_continue_its_run_is_refused(self, tmp_path: Path, wrong: str) -> None:
        async def test(journal: Journal) -> None:
            head = head_for()
            await journal.append(first_batch(head))
            await journal.append(next_batch(head))
            good = next_batch(replace(head, last_record=2))
            bad = {
                "gap": next_batch(replace(head, last_record=3)),
                "again": next_batch(head),
                "last_record": replace(good, head=replace(good.head, last_record=9)),
                "fixed": replace(good, head=replace(good.head, conf=b'{"other": 1}')),
                "unknown run": next_batch(head_for(RunKey("shop", "unknown"))),
            }[wrong]
            with pytest.raises(JournalError):
                await journal.append(bad)
            await journal.append(good)
            assert await journal.head(KEY) == good.head
            assert [record.id for record in await journal.records(KEY)] == [1, 2, 3]

        self.run(tmp_path, test)

    def test_after_a_refused_batch_a_run_takes_no_later_one(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            head = head_for()
            await journal.append(first_batch(head))
            bad = next_batch(head)
            bad = replace(bad, records=(replace(bad.records[0], data={"value": object()}),))
            futures = [journal.append(bad), journal.append(next_batch(bad.head))]
            results = await asyncio.gather(*futures, return_exceptions=True)
            assert [type(result) for result in results] == [JournalError, JournalError]
            assert await journal.head(KEY) == head

        self.run(tmp_path, test)

    @pytest.mark.parametrize("text", ["\ud800", "a\0"])
    def test_what_cannot_be_stored_is_refused_alone(self, tmp_path: Path, text: str) -> None:
        async def test(journal: Journal) -> None:
            other = RunKey("shop", "other")
            futures = [
                journal.append(first_batch(head_for(other))),
                journal.append(first_batch(head_for(note=text))),
                journal.append(next_batch(head_for(other))),
            ]
            results = await asyncio.gather(*futures, return_exceptions=True)
            assert isinstance(results[1], JournalError)
            assert results[0] is results[2] is None
            assert await journal.head(KEY) is None
            assert len(await journal.records(other)) == 2

        self.run(tmp_path, test)

    def test_commits_come_in_the_order_of_the_calls(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            resolved: list[tuple[str, int]] = []
            futures = []
            heads = {name: head_for(RunKey("shop", name)) for name in ("a", "b", "c")}
            expected = []
            for name in heads:
                futures.append(journal.append(first_batch(heads[name])))
                expected.append((name, 1))
            for number in range(2, 30):
                for name, head in heads.items():
                    batch = next_batch(head)
                    heads[name] = batch.head
                    futures.append(journal.append(batch, "power" if number % 7 == 0 else "process"))
                    expected.append((name, number))
            for future, mark in zip(futures, expected, strict=True):
                future.add_done_callback(lambda _, mark=mark: resolved.append(mark))  # type: ignore[misc]
            await asyncio.gather(*futures)
            assert resolved == expected
            for name, head in heads.items():
                assert [record.id for record in await journal.records(RunKey("shop", name))] == [*range(1, 30)]
                assert await journal.head(head.key) == head

        self.run(tmp_path, test)

    def test_a_cancelled_waiter_does_not_take_the_batch_back(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            journal.append(first_batch(head_for())).cancel()
            await journal.append(first_batch(head_for(RunKey("shop", "later"))))
            assert await journal.head(KEY) == head_for()

        self.run(tmp_path, test)

    def test_an_unknown_durability_is_refused_at_once(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            with pytest.raises(ValueError, match="perhaps"):
                journal.append(first_batch(head_for()), "perhaps")

        self.run(tmp_path, test)

    def test_a_plan_is_kept_once(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            source = MapSource("zip", parts=(MapSource("literal", 2), MapSource("xcom", task_id="a")), longest=True)
            mapped = TaskPlan(
                "b",
                upstream=("a",),
                trigger_rule=TriggerRule.NONE_FAILED,
                mapping=Mapping((source,)),
                retry=Retry(2, 1.5),
                reads=(XComRef("a", whole=False),),
                is_result=True,
            )
            plan = DagPlan(
                "shop", "v1", "/dags/shop.py", "shop.py", (TaskPlan("a"), mapped),
                params_schema={"type": "object", "properties": {"n": {"type": "integer", "maximum": 3.5}}},
                refusals=(Refusal("a", "deferral", "later"),), tags=("x",),
            )  # fmt: skip
            assert plan.result_tasks == ("b",)  # a cached property must not be stored
            await journal.put_plan(plan)
            await journal.put_plan(replace(plan, description="another text under the same version"))
            await journal.put_plan(replace(plan, version="v2"))
            assert await journal.get_plan("shop", "v1") == plan
            assert await journal.get_plan("shop", "v2") == replace(plan, version="v2")
            assert await journal.get_plan("shop", "v3") is None

        self.run(tmp_path, test)

    def test_unfinished_runs_come_in_the_order_of_acceptance(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            heads = [head_for(RunKey("shop", name)) for name in ("z", "m", "a", "k")]
            for head in heads:
                await journal.append(first_batch(head))
            await journal.append(next_batch(heads[1], state=RunState.FAILED))
            running = next_batch(heads[2], state=RunState.RUNNING)
            await journal.append(running)
            assert await journal.unfinished() == [heads[0], running.head, heads[3]]

        self.run(tmp_path, test)

    def test_a_deleted_run_is_gone_and_its_id_is_free(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            head = head_for()
            await journal.append(first_batch(head))
            await journal.append(first_batch(head_for(RunKey("shop", "kept"))))
            assert await journal.delete(KEY)
            assert await journal.head(KEY) is None
            assert await journal.records(KEY) == []
            with pytest.raises(JournalError):
                await journal.append(next_batch(head))
            await journal.append(first_batch(head))
            assert [one.key.run_id for one in await journal.unfinished()] == ["kept", KEY.run_id]

        self.run(tmp_path, test)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (HeadQuery(), ["a1", "A2", "b1", "b2"]),
            (HeadQuery(order_by=["-id"]), ["b2", "b1", "A2", "a1"]),
            (HeadQuery(order_by=["run_id"]), ["A2", "a1", "b1", "b2"]),
            (HeadQuery(order_by=["-dag_id", "-run_id"]), ["b1", "a1", "b2", "A2"]),
            (HeadQuery(order_by=["-dag_id"]), ["b1", "a1", "b2", "A2"]),
            (HeadQuery(order_by=["start_date"]), ["A2", "b2", "b1", "a1"]),
            (HeadQuery(order_by=["-duration", "id"]), ["b1", "a1", "A2", "b2"]),
            (HeadQuery(order_by=["state", "-id", "run_id"]), ["b2", "A2", "b1", "a1"]),
            (HeadQuery(dag_ids=frozenset({"shop", "none"})), ["a1", "b1"]),
            (HeadQuery(dag_ids=frozenset()), []),
            (HeadQuery(states=frozenset({RunState.QUEUED, RunState.FAILED})), ["A2", "b2"]),
            (HeadQuery(run_types=frozenset({"backfill"})), ["b2"]),
            (HeadQuery(run_id="a1"), ["a1"]),
            (HeadQuery(run_ids=frozenset({"a1", "b2", "none"})), ["a1", "b2"]),
            (HeadQuery(run_ids=frozenset()), []),
            (HeadQuery(logical_dates=frozenset({7.0, 8.0})), ["b2"]),
            (HeadQuery(idempotency_key="k", dag_ids=frozenset({"cafe"})), ["A2"]),
            (HeadQuery(idempotency_key="k", caller="ann"), ["A2"]),
            (HeadQuery(caller=""), ["a1", "b1", "b2"]),
            (HeadQuery(run_id_pattern="A"), ["a1", "A2"]),
            (HeadQuery(run_id_pattern="_2 | b%1"), ["A2", "b1", "b2"]),
            (HeadQuery(run_id_pattern="."), []),
            (HeadQuery(dag_id_pattern="HO"), ["a1", "b1"]),
            (HeadQuery(run_after=TimeRange(gte=2, lt=4)), ["A2", "b1"]),
            (HeadQuery(run_after=TimeRange(gt=2, lte=4)), ["b1", "b2"]),
            (HeadQuery(start_date=TimeRange(gte=0)), ["a1", "b1"]),
            (HeadQuery(end_date=TimeRange(lte=25)), ["b1"]),
            (HeadQuery(logical_date=TimeRange(lt=8)), ["b2"]),
            (HeadQuery(duration=TimeRange(gte=12)), ["b1"]),
            (HeadQuery(duration=TimeRange(lt=1000)), ["a1", "b1"]),
            (HeadQuery(plan_versions=frozenset({"none"})), []),
            (HeadQuery(run_id_prefix="a-"), ["a1"]),
            (HeadQuery(run_id_prefix="A|b2"), ["A2", "b2"]),
            (HeadQuery(dag_id_prefix="ho"), []),
            (HeadQuery(dag_id_prefix="%"), ["a1", "A2", "b1", "b2"]),
            (HeadQuery(caller_pattern="NN"), ["A2"]),
            (HeadQuery(caller_pattern="%"), ["A2"]),
            (HeadQuery(caller_prefix="an"), ["A2"]),
            (HeadQuery(caller_prefix="_"), ["A2"]),
        ],
        ids=_query_name,
    )
    def test_lists_filter_and_order(self, tmp_path: Path, query: HeadQuery, expected: Sequence[str]) -> None:
        async def test(journal: Journal) -> None:
            await self._four_runs(journal)
            heads, total = await journal.list_heads(query)
            assert [head.key.run_id for head in heads] == expected
            assert total == len(expected)

        self.run(tmp_path, test)

    def test_a_page_comes_with_the_exact_total(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            await self._four_runs(journal)
            for offset, limit, expected in ((0, 2, ["a1", "A2"]), (3, 2, ["b2"]), (9, 2, []), (1, 0, [])):
                heads, total = await journal.list_heads(HeadQuery(limit=limit, offset=offset))
                assert [head.key.run_id for head in heads] == expected
                assert total == 4

        self.run(tmp_path, test)

    def test_the_dags_that_there_are_runs_of(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            assert await journal.dag_ids() == set()
            await self._four_runs(journal)
            assert await journal.dag_ids() == {"shop", "cafe"}

        self.run(tmp_path, test)

    async def _four_runs(self, journal: Journal) -> None:
        heads = [
            head_for(RunKey("shop", "a1"), run_after=1.0, idempotency_key="k"),
            head_for(RunKey("cafe", "A2"), run_after=2.0, idempotency_key="k", caller="ann"),
            head_for(RunKey("shop", "b1"), run_after=3.0, logical_date=9.0),
            head_for(RunKey("cafe", "b2"), run_after=4.0, logical_date=7.0, run_type="backfill"),
        ]
        for head in heads:
            await journal.append(first_batch(head))
        await journal.append(next_batch(heads[0], state=RunState.SUCCESS, start_date=20.0, end_date=30.0))
        await journal.append(next_batch(heads[2], state=RunState.RUNNING, start_date=10.0))
        await journal.append(next_batch(replace(heads[2], last_record=2), state=RunState.RUNNING, start_date=10.0))
        ended = replace(heads[2], last_record=3, start_date=10.0)
        await journal.append(next_batch(ended, state=RunState.SUCCESS, end_date=25.0))

    def test_everything_is_there_after_reopening_and_the_epoch_counts(self, tmp_path: Path) -> None:
        async def test() -> None:
            head = head_for()
            for epoch in (1, 2, 3):
                journal = self.make(tmp_path)
                assert await journal.open() == epoch
                batch = first_batch(head) if epoch == 1 else next_batch(head)
                await journal.append(batch)
                head = batch.head
                assert await journal.head(KEY) == head
                assert [record.id for record in await journal.records(KEY)] == [*range(1, epoch + 1)]
                await journal.close()

        asyncio.run(test())

    def test_closing_writes_what_was_appended(self, tmp_path: Path) -> None:
        async def test() -> None:
            journal = self.make(tmp_path)
            await journal.open()
            futures = [journal.append(first_batch(head_for(RunKey("shop", str(number))))) for number in range(20)]
            await journal.close()
            await journal.close()
            assert await asyncio.gather(*futures) == [None] * 20
            async with self.opened(tmp_path) as again:
                assert len(await again.unfinished()) == 20

        asyncio.run(test())

    def test_a_closed_journal_refuses_everything(self, tmp_path: Path) -> None:
        async def test() -> None:
            journal = self.make(tmp_path)
            await journal.close()
            await self._refuses(journal)
            async with self.opened(tmp_path) as opened:
                with pytest.raises(JournalError):
                    await opened.open()
            await self._refuses(opened)

        asyncio.run(test())

    async def _refuses(self, journal: Journal) -> None:
        for use in (
            journal.append(first_batch(head_for())),
            journal.put_plan(DagPlan("shop", "v1", "", "", ())),
            journal.get_plan("shop", "v1"),
            journal.head(KEY),
            journal.records(KEY),
            journal.unfinished(),
            journal.list_heads(HeadQuery()),
            journal.delete(KEY),
        ):
            with pytest.raises(JournalError):
                await use

    def test_a_server_that_lost_its_lock_is_fenced(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as first:
                await first.append(first_batch(head_for()))
                self.break_lock(tmp_path)
                async with self.opened(tmp_path) as second:
                    with pytest.raises(JournalFenced):
                        await first.append(next_batch(head_for()))
                    with pytest.raises(JournalFenced):
                        await first.append(first_batch(head_for(RunKey("shop", "other"))))
                    with pytest.raises(JournalFenced):
                        await first.delete(KEY)
                    with pytest.raises(JournalFenced):
                        await first.put_plan(DagPlan("shop", "v1", "", "", ()))
                    await second.append(next_batch(head_for()))
                    assert len(await second.records(KEY)) == 2
                    assert [head.key for head in await second.unfinished()] == [KEY]

        asyncio.run(test())


class ExclusiveJournalSuite(JournalSuite):
    """For an engine whose journals have one server at a time."""

    def test_a_second_server_is_refused_and_told_who_has_it(self, tmp_path: Path) -> None:
        async def test() -> None:
            second = self.make(tmp_path)
            async with self.opened(tmp_path) as first:
                with pytest.raises(JournalLocked, match=str(os.getpid())):
                    await second.open()
                await first.append(first_batch(head_for()))
            assert await second.open() == 2
            assert await second.head(KEY) == head_for()
            await second.close()

        asyncio.run(test())
