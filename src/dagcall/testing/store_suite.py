"""What every journal's store must do, as tests: the promises of `dagcall.journal.store`, one by one.

Used like `journal_suite`: subclass `StoreSuite`, say how a journal is made, and let pytest collect it.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from dagcall.errors import JournalError, JournalFenced, RunExists
from dagcall.journal.base import Journal
from dagcall.journal.store import Item, ItemExists, Put, Remove, RemoveAll
from dagcall.model.records import StoredItem
from dagcall.model.states import RunState
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import KEY, first_batch, head_for, next_batch


class StoreSuite(JournalStorage):
    """The conformance suite of `dagcall.journal.store`."""

    def test_what_was_put_reads_back_equal(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            store = journal.store
            value = bytes(range(256))
            assert await store.get("variable", "Z\N{SNOWMAN}") is None
            (number,) = await store.write(Put("variable", "Z\N{SNOWMAN}", value, 5.5))
            assert await store.get("variable", "Z\N{SNOWMAN}") == Item(
                "variable", "Z\N{SNOWMAN}", value, number, created=5.5, updated=5.5
            )
            assert await store.get("other", "Z\N{SNOWMAN}") is None

        self.run(tmp_path, test)

    def test_a_replaced_item_keeps_its_number_and_creation(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            store = journal.store
            first = await store.write(Put("k", "a", b"1", 1.0))
            await store.write(Put("k", "b", b"", 2.0))
            assert await store.write(Put("k", "a", b"2", 3.0)) == first
            assert await store.get("k", "a") == Item("k", "a", b"2", first[0], created=1.0, updated=3.0)
            assert [item.key for item in await store.items("k")] == ["a", "b"]

        self.run(tmp_path, test)

    def test_a_number_is_not_used_again(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            store = journal.store
            (first,) = await store.write(Put("k", "a", b"", 1.0))
            (second,) = await store.write(Put("other", "a", b"", 1.0))
            assert await store.write(Remove("other", "a"), Remove("other", "a")) == [1, 0]
            (third,) = await store.write(Put("other", "a", b"", 1.0))
            assert first < second < third

        self.run(tmp_path, test)

    def test_lists_are_of_one_kind_and_prefix_in_the_order_of_arrival(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            store = journal.store
            keys = ["b/2", "a/\U0010fffe", "a/", "a", "a/1/x", "b%"]
            numbers = await store.write(*(Put("k", key, b"", 1.0) for key in keys), Put("l", "a/9", b"", 1.0))
            assert [item.key for item in await store.items("k")] == keys
            assert [item.key for item in await store.items("k", "a/")] == ["a/\U0010fffe", "a/", "a/1/x"]
            assert [item.key for item in await store.items("k", "b%")] == ["b%"]
            assert [item.key for item in await store.items("k", "a/", after=numbers[1], limit=1)] == ["a/"]
            assert await store.items("k", limit=0) == await store.items("k", after=numbers[5]) == []

        self.run(tmp_path, test)

    def test_all_of_a_prefix_are_removed_and_nothing_else(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            store = journal.store
            await store.write(*(Put("k", key, b"", 1.0) for key in ("a/1", "a/2", "b/1")), Put("l", "a/1", b"", 1.0))
            assert await store.write(RemoveAll("k", "a/"), RemoveAll("k", "a/")) == [2, 0]
            assert [item.key for item in await store.items("k")] == ["b/1"]
            assert [item.key for item in await store.items("l")] == ["a/1"]
            assert await store.write(RemoveAll("k"), Remove("l", "a/1")) == [1, 1]

        self.run(tmp_path, test)

    def test_a_refused_write_leaves_nothing_and_its_neighbours_are_kept(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            store = journal.store
            await store.write(Put("k", "taken", b"first", 1.0))
            results = await asyncio.gather(
                store.write(Put("k", "before", b"", 2.0)),
                store.write(
                    Put("k", "new", b"", 2.0), Put("k", "before", b"2", 2.0), Put("k", "taken", b"", 2.0, only_new=True)
                ),
                store.write(Put("k", "free", b"", 2.0, only_new=True)),
                return_exceptions=True,
            )
            assert isinstance(results[1], ItemExists)
            assert "taken" in str(results[1])
            assert [(item.key, item.value) for item in await store.items("k")] == [
                ("taken", b"first"),
                ("before", b""),
                ("free", b""),
            ]

        self.run(tmp_path, test)

    @pytest.mark.parametrize("text", ["\ud800", "a\0", "a\U0010ffff"])
    def test_a_text_that_cannot_be_stored_is_refused(self, tmp_path: Path, text: str) -> None:
        async def test(journal: Journal) -> None:
            for change in (Put("k", text, b"", 1.0), Remove(text, "k"), RemoveAll("k", text)):
                with pytest.raises(JournalError, match="cannot be stored"):
                    await journal.store.write(Put("k", "a", b"", 1.0), change)
            assert await journal.store.items("k") == []

        self.run(tmp_path, test)

    def test_writes_stand_in_one_line_with_batches(self, tmp_path: Path) -> None:
        async def test(journal: Journal) -> None:
            done: list[str] = []
            batch = journal.append(first_batch(head_for()))
            batch.add_done_callback(lambda _: done.append("batch"))
            await journal.store.write(Put("k", "a", b"", 1.0))
            await asyncio.sleep(0)
            assert done == ["batch"]

        self.run(tmp_path, test)

    def test_the_items_of_a_batch_are_kept_with_it_or_not_at_all(self, tmp_path: Path) -> None:
        """In one group: a run that begins, its next batch, a gap, an id that is taken, and a key that cannot be stored."""

        def item(key: str) -> StoredItem:
            return StoredItem("notice", key, key.encode(), 2.0)

        async def test(journal: Journal) -> None:
            begun = replace(first_batch(head_for()), items=(item("begun"),))
            follows = replace(next_batch(begun.head), items=(item("follows/1"), item("follows/2")))
            gap = replace(next_batch(next_batch(follows.head).head), items=(item("gap"),))
            taken = replace(first_batch(head_for()), items=(item("taken"),))
            odd = replace(next_batch(follows.head), items=(item("\0"),))
            ended = replace(next_batch(follows.head, state=RunState.SUCCESS), items=(item("ended"),))
            refused = (gap, odd)
            appended = [journal.append(batch) for batch in (begun, follows, *refused, ended)]
            found = await asyncio.gather(*appended, return_exceptions=True)
            assert [type(error) for error in found] == [type(None), type(None), JournalError, JournalError, type(None)]
            with pytest.raises(RunExists):
                await journal.append(taken)
            items = await journal.store.items("notice")
            assert [(one.key, one.value) for one in items] == [
                (key, key.encode()) for key in ("begun", "follows/1", "follows/2", "ended")
            ]
            assert (items[0].created, items[0].updated) == (2.0, 2.0)
            assert [record.id for record in await journal.records(ended.head.key)] == [1, 2, 3]
            late = replace(first_batch(head_for(KEY._replace(run_id="late"))), items=(item("late"),))
            await journal.append(late)
            assert await journal.store.get("notice", "late") is not None

        self.run(tmp_path, test)

    def test_everything_is_there_after_reopening(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as journal:
                (first,) = await journal.store.write(Put("k", "a", b"1", 1.0))
                (second,) = await journal.store.write(Put("k", "b", b"1", 1.0))
                await journal.store.write(Remove("k", "b"))
            async with self.opened(tmp_path) as journal:
                assert [item.key for item in await journal.store.items("k")] == ["a"]
                (third,) = await journal.store.write(Put("k", "c", b"", 1.0))
                assert first < second < third

        asyncio.run(test())

    def test_a_journal_that_is_not_open_refuses(self, tmp_path: Path) -> None:
        async def test() -> None:
            journal = self.make(tmp_path)
            for use in (
                journal.store.get("k", "a"),
                journal.store.items("k"),
                journal.store.write(Put("k", "a", b"", 1.0)),
            ):
                with pytest.raises(JournalError):
                    await use

        asyncio.run(test())

    def test_a_server_that_lost_its_lock_is_fenced(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as first:
                await first.store.write(Put("k", "a", b"", 1.0))
                self.break_lock(tmp_path)
                async with self.opened(tmp_path) as second:
                    with pytest.raises(JournalFenced):
                        await first.store.write(Put("k", "b", b"", 1.0))
                    assert [item.key for item in await second.store.items("k")] == ["a"]

        asyncio.run(test())
