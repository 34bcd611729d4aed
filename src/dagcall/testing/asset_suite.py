"""What every journal's assets must do, as tests: the promises of `dagcall.journal.assets`, one by one.

Used like `journal_suite`: subclass `AssetSuite`, say how a journal is made, and let pytest collect it.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dagcall.errors import JournalError, JournalFenced, RunExists
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import Journal, TimeRange
from dagcall.model.assets import (
    Alias,
    Asset,
    AssetChanges,
    AssetEvent,
    Consumption,
    KeptAssets,
    Queued,
    Reference,
    Source,
)
from dagcall.model.ids import RunKey
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import KEY, first_batch, head_for, next_batch

ASSET = Asset(1, "Zürich", "s3://x", "asset", b'{"a": 1}', 100.0, 101.5)
ALIAS = Alias(1, "alias", "group", (1, 2))
REFERENCE = Reference("outlet", "dag", "task", 1)
QUEUED = Queued("dag", 1, 5.5)


def event(id: int, asset_id: int = 1, **more: object) -> AssetEvent:
    return AssetEvent(id, asset_id, float(id), **more)  # type: ignore[arg-type] # whatever fields the test names


EVENTS = (
    event(1, extra=b'{"n": 1}', source=Source("d", "t", "r", 3)),
    event(2, 2, source=Source("d", "u", "r"), aliases=("b", "a")),
    event(3, partition_key="p"),
    event(4, 3, source=Source("e", "t", "q"), aliases=("a",)),
)


class AssetSuite(JournalStorage):
    """The conformance suite of `dagcall.journal.assets`."""

    def test_what_was_written_is_loaded_equal(self, tmp_path: Path) -> None:
        changes = AssetChanges(
            assets=(ASSET,),
            aliases=(ALIAS,),
            references=((REFERENCE, 99.5),),
            events=EVENTS[:2],
            queued=(QUEUED,),
            started=(("dag", 4.0),),
        )

        async def test() -> None:
            async with self.opened(tmp_path) as journal:
                assert await journal.assets.load() == KeptAssets()
                await journal.assets.write(changes)
            async with self.opened(tmp_path) as again:
                assert await again.assets.load() == KeptAssets(
                    assets=(ASSET,),
                    aliases=(ALIAS,),
                    references=((REFERENCE, 99.5),),
                    queued=(QUEUED,),
                    started=(("dag", 4.0),),
                    last_event=2,
                    last_timestamp=2.0,
                )

        asyncio.run(test())

    def test_the_newest_version_counts(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            assets = journal.assets
            await assets.write(AssetChanges((ASSET,), (ALIAS,), ((REFERENCE, 1.0),), started=(("dag", 1.0),)))
            newer = replace(ASSET, extra=b"{}"), replace(ALIAS, assets=())
            await assets.write(AssetChanges(newer[:1], newer[1:], started=(("dag", 2.0),)))
            await assets.write(AssetChanges(forgotten=(REFERENCE,)))
            kept = await assets.load()
            assert (*kept.assets, *kept.aliases) == newer
            assert kept.references == ()
            assert kept.started == (("dag", 2.0),)

        self.run(tmp_path, test)

    def test_an_entry_of_the_queue_is_removed_only_if_it_is_that_one(self, tmp_path: Path) -> None:
        newer, other = Queued("dag", 1, 6.5), Queued("dag", 2, 6.0)

        async def test(journal: Journal) -> None:
            await journal.assets.write(AssetChanges(queued=(QUEUED, other)))
            await journal.assets.write(AssetChanges(queued=(newer,)))
            await journal.assets.write(AssetChanges(dequeued=(QUEUED,)))
            assert (await journal.assets.load()).queued == (other, newer)
            await journal.assets.write(AssetChanges(dequeued=(newer,)))
            assert (await journal.assets.load()).queued == (other,)

        self.run(tmp_path, test)

    @pytest.mark.parametrize(
        ("query", "expected"),
        [
            (AssetEventQuery(), [1, 2, 3, 4]),
            (AssetEventQuery(asset_ids=frozenset({1, 3})), [1, 3, 4]),
            (AssetEventQuery(asset_ids=frozenset()), []),
            (AssetEventQuery(aliases=frozenset({"a"})), [2, 4]),
            (AssetEventQuery(aliases=frozenset({"b", "c"}), asset_ids=frozenset({1})), [1, 2, 3]),
            (AssetEventQuery(aliases=frozenset()), []),
            (AssetEventQuery(source_dag_id="d", source_task_id="t"), [1]),
            (AssetEventQuery(source_dag_ids=frozenset({"d"})), [1, 2, 3]),
            (AssetEventQuery(source_dag_ids=frozenset({"e", "x"})), [3, 4]),
            (AssetEventQuery(source_dag_ids=frozenset()), [3]),
            (AssetEventQuery(source_run_id="r"), [1, 2]),
            (AssetEventQuery(source_map_index=-1), [2, 3, 4]),
            (AssetEventQuery(timestamp=TimeRange(gt=1.0, lte=3.0)), [2, 3]),
            (AssetEventQuery(timestamp=TimeRange(gte=3.0, lt=4.0)), [3]),
            (AssetEventQuery(consumed_by=KEY), [2, 1]),
            (AssetEventQuery(consumed_by=RunKey("shop", "nobody")), []),
            (AssetEventQuery(order_by=("-timestamp",)), [4, 3, 2, 1]),
            (AssetEventQuery(order_by=("source_dag_id", "-source_task_id")), [3, 2, 1, 4]),
            (AssetEventQuery(order_by=("-source_map_index",)), [1, 4, 3, 2]),
        ],
    )
    def test_lists_are_filtered_and_ordered(self, tmp_path: Path, query: AssetEventQuery, expected: list[int]) -> None:
        async def test(journal: Journal) -> None:
            consumed = (Consumption(2, *KEY, False), Consumption(1, *KEY, True), Consumption(1, "shop", "other", True))
            await journal.assets.write(AssetChanges(events=EVENTS, consumed=consumed))
            events, total = await journal.assets.events(query)
            assert sorted(one.id for one in events) == sorted(expected)
            if query.consumed_by is None:
                assert [one.id for one in events] == expected
            assert total == len(expected)
            assert {one.id: one for one in events}.items() <= {one.id: one for one in EVENTS}.items()
            assert await journal.assets.consumptions([1, 3]) == list(consumed[1:])
            assert await journal.assets.consumptions([]) == []

        self.run(tmp_path, test)

    def test_a_page_comes_with_the_exact_total(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            await journal.assets.write(AssetChanges(events=EVENTS))
            for limit, offset, expected in ((2, 1, [2, 3]), (None, 3, [4]), (0, 0, []), (5, 9, [])):
                events, total = await journal.assets.events(AssetEventQuery(limit=limit, offset=offset))
                assert [one.id for one in events] == expected
                assert total == 4

        self.run(tmp_path, test)

    @pytest.mark.parametrize("wrong", [{"order_by": ("extra",)}, {"limit": -1}, {"offset": -1}])
    def test_a_query_that_cannot_be_meant_is_refused(self, wrong: dict[str, object]) -> None:
        with pytest.raises(ValueError, match=r"extra|-1"):
            AssetEventQuery(**wrong)  # type: ignore[arg-type]

    def test_the_changes_of_a_batch_are_kept_with_its_records(self, tmp_path: Path) -> None:
        changes = AssetChanges(assets=(ASSET,), events=(event(9),), queued=(QUEUED,))

        async def test(journal: Journal) -> None:
            first = replace(first_batch(head_for()), assets=AssetChanges(events=EVENTS[:1]))
            await journal.append(first)
            await journal.append(replace(next_batch(first.head), assets=changes))
            kept = await journal.assets.load()
            assert (kept.assets, kept.queued, kept.last_event) == ((ASSET,), (QUEUED,), 9)

        self.run(tmp_path, test)

    @pytest.mark.parametrize("wrong", ["taken", "gap", "event", "nul", "key"])
    def test_a_batch_that_is_refused_keeps_no_changes(self, tmp_path: Path, wrong: str) -> None:
        bad = "\ud800"
        changes = AssetChanges(assets=(ASSET,), events=EVENTS[:1], queued=(QUEUED,))
        if wrong == "event":
            changes = replace(changes, events=(event(1, source=Source(bad)),))
        elif wrong == "nul":
            changes = replace(changes, events=(event(1, partition_key="a\0"),))
        elif wrong == "key":
            changes = replace(changes, started=((bad, 1.0),))

        async def test(journal: Journal) -> None:
            first = first_batch(head_for())
            await journal.append(first)
            follows = (
                first if wrong == "taken" else next_batch(replace(first.head, last_record=5 if wrong == "gap" else 1))
            )
            with pytest.raises(RunExists if wrong == "taken" else JournalError):
                await journal.append(replace(follows, assets=changes))
            assert await journal.assets.load() == KeptAssets()
            assert (await journal.assets.events(AssetEventQuery()))[1] == 0
            await journal.append(next_batch(first.head))

        self.run(tmp_path, test)

    def test_a_deleted_run_consumed_nothing(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            consumed = (Consumption(1, *KEY, True), Consumption(1, "shop", "other", True))
            await journal.append(
                replace(first_batch(head_for()), assets=AssetChanges(events=EVENTS, consumed=consumed))
            )
            await journal.delete(KEY)
            assert await journal.assets.consumptions([1]) == [consumed[1]]
            assert (await journal.assets.events(AssetEventQuery()))[1] == len(EVENTS)

        self.run(tmp_path, test)

    def test_writes_stand_in_line_with_batches(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            first = first_batch(head_for())
            appended = journal.append(replace(first, assets=AssetChanges(queued=(QUEUED,))))
            await journal.assets.write(AssetChanges(dequeued=(QUEUED,)))
            assert appended.done()
            assert (await journal.assets.load()).queued == ()

        self.run(tmp_path, test)

    def test_a_closed_journal_has_no_assets(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as journal:
                pass
            with pytest.raises(JournalError):
                await journal.assets.load()
            with pytest.raises(JournalError):
                await journal.assets.events(AssetEventQuery())
            with pytest.raises(JournalError):
                await journal.assets.write(AssetChanges(queued=(QUEUED,)))

        asyncio.run(test())

    def test_a_server_that_lost_its_lock_is_fenced(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as first:
                self.break_lock(tmp_path)
                async with self.opened(tmp_path):
                    with pytest.raises(JournalFenced):
                        await first.assets.write(AssetChanges(queued=(QUEUED,)))

        asyncio.run(test())
