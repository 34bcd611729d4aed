"""What a journal must do that servers share: each owns its runs, and goes on with those of the dead.

Used like `journal_suite`. `silence` is one more part of the engine's: as if the server of an open journal were stopped in
the middle (SIGSTOP); the function that it returns lets it go on. Journals must have leases short enough for a test.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dagcall.errors import JournalFenced, RunExists
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import HeadQuery, Journal
from dagcall.journal.store import Put
from dagcall.model.assets import AssetChanges, AssetEvent, Queued
from dagcall.model.ids import RunKey
from dagcall.model.records import Batch
from dagcall.model.states import RunState
from dagcall.testing.journal_storage import JournalStorage
from dagcall.testing.journal_suite import KEY, first_batch, head_for, next_batch

OTHER = RunKey("shop", "manual__2")
LIMIT = 60.0


async def owner(journal: Journal, key: RunKey) -> int | None:
    assert journal.wire is not None
    return await journal.wire.owner(key)


class SharedJournalSuite(JournalStorage):
    """See the module's text."""

    def silence(self, journal: Journal) -> Callable[[], None]:
        raise NotImplementedError

    def test_each_server_owns_what_it_began(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as first, self.opened(tmp_path) as second:
                await first.append(first_batch(head_for()))
                await second.append(first_batch(head_for(OTHER)))
                assert [head.key for head in await first.unfinished()] == [KEY]
                assert [head.key for head in await second.unfinished()] == [OTHER]
                for journal in (first, second):
                    heads, _ = await journal.list_heads(HeadQuery())
                    assert [head.key for head in heads] == [KEY, OTHER]
                    assert [await owner(journal, key) for key in (KEY, OTHER, KEY._replace(run_id="3"))] == [1, 2, None]
                assert 2 not in await first.stands_for()
                assert 1 not in await second.stands_for()

        asyncio.run(test())

    def test_an_id_and_a_date_are_taken_on_every_server(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as first, self.opened(tmp_path) as second:
                await first.append(first_batch(head_for(logical_date=5.0)))
                for head in (head_for(), head_for(OTHER, logical_date=5.0)):
                    with pytest.raises(RunExists):
                        await second.append(first_batch(head))
                results = await asyncio.gather(
                    *(journal.append(first_batch(head_for(OTHER))) for journal in (first, second)),
                    return_exceptions=True,
                )
                assert sorted(type(one).__name__ for one in results) == ["NoneType", "RunExists"]

        asyncio.run(test())

    def test_a_callers_key_has_one_run_on_all_servers(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as first, self.opened(tmp_path) as second:
                heads = [
                    head_for(RunKey("shop", str(number)), idempotency_key="k", caller="ann") for number in range(6)
                ]
                results = await asyncio.gather(
                    *(journal.append(first_batch(head)) for journal in (first, second) for head in heads[:3]),
                    *(journal.append(first_batch(head)) for journal in (second, first) for head in heads[3:]),
                    return_exceptions=True,
                )
                assert [one for one in results if not isinstance(one, RunExists)] == [None]
                kept, count = await first.list_heads(HeadQuery(idempotency_key="k", caller="ann"))
                assert count == 1
                for other in (head_for(OTHER, idempotency_key="k"), head_for(idempotency_key="l", caller="ann")):
                    await second.append(first_batch(other))
                assert await first.delete(kept[0].key)
                await second.append(first_batch(heads[5]))

        asyncio.run(test())

    def test_a_server_that_closes_gives_its_runs_to_another(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as heir:
                async with self.opened(tmp_path) as other:
                    await other.append(first_batch(head_for()))
                    await other.append(first_batch(head_for(OTHER)))
                    await other.append(next_batch(head_for(OTHER), state=RunState.SUCCESS))
                    assert await heir.unfinished() == []
                async with asyncio.timeout(LIMIT):
                    await heir.taken_over()
                assert [head.key for head in await heir.unfinished()] == [KEY]
                assert [await owner(heir, key) for key in (KEY, OTHER)] == [1, 2], "what has ended stays its server's"
                assert 2 in await heir.stands_for()
                await heir.append(next_batch(head_for()))
                assert len(await heir.records(KEY)) == 2

        asyncio.run(test())

    def test_a_server_whose_runs_have_all_ended_has_an_heir_too(self, tmp_path: Path) -> None:
        """Who tells callbacks that it has left, for one."""

        async def test() -> None:
            async with self.opened(tmp_path) as heir:
                async with self.opened(tmp_path) as other:
                    await other.append(first_batch(head_for()))
                    await other.append(next_batch(head_for(), state=RunState.SUCCESS))
                    await other.store.write(Put("notice", "shop/2.1", b"left", 1.0))
                async with asyncio.timeout(LIMIT):
                    await heir.taken_over()
                assert await heir.unfinished() == []
                assert 2 in await heir.stands_for()
                assert [item.value for item in await heir.store.items("notice")] == [b"left"]

        asyncio.run(test())

    def test_the_eldest_that_lives_is_one(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as last:
                assert await last.is_eldest()
                async with self.opened(tmp_path) as second, self.opened(tmp_path) as third:
                    await third.append(first_batch(head_for()))
                    await last.close()
                    async with asyncio.timeout(LIMIT):
                        while not await second.is_eldest():  # noqa: ASYNC110 # until somebody has fenced the first
                            await asyncio.sleep(0.01)
                    assert not await third.is_eldest()

        asyncio.run(test())

    def test_a_server_that_stands_still_is_fenced_and_loses_its_runs(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as heir, self.opened(tmp_path) as other:
                await other.append(first_batch(head_for()))
                go_on = self.silence(other)
                async with asyncio.timeout(LIMIT):
                    await heir.taken_over()
                (head,) = await heir.unfinished()
                await heir.append(next_batch(head))
                go_on()
                for batch in (next_batch(head_for()), first_batch(head_for(OTHER))):
                    with pytest.raises(JournalFenced):
                        await other.append(batch)
                assert other.trouble is not None
                assert other.trouble.is_final
                assert [record.id for record in await heir.records(KEY)] == [1, 2]
                assert await heir.head(OTHER) is None

        asyncio.run(test())

    def test_a_fenced_server_is_told_though_it_writes_nothing(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as heir, self.opened(tmp_path) as other:
                await other.append(first_batch(head_for()))
                go_on = self.silence(other)
                async with asyncio.timeout(LIMIT):
                    await heir.taken_over()
                    go_on()
                    while other.trouble is None:  # noqa: ASYNC110 # a property
                        await asyncio.sleep(0.01)
                assert other.trouble.is_final
                assert heir.trouble is None

        asyncio.run(test())

    def test_of_several_heirs_one_inherits_and_then_its_own_heir(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as last:
                async with self.opened(tmp_path) as first, self.opened(tmp_path) as second:
                    heads = [head_for(RunKey("shop", str(number))) for number in range(20)]
                    for head in heads:
                        await first.append(first_batch(head))
                    self.silence(first)
                    async with asyncio.timeout(LIMIT):
                        done, _ = await asyncio.wait(
                            [asyncio.ensure_future(heir.taken_over()) for heir in (last, second)],
                            return_when=asyncio.FIRST_COMPLETED,
                        )
                    assert len(done) == 1
                    owned = [await heir.unfinished() for heir in (last, second)]
                    assert sorted(map(len, owned)) == [0, 20]
                    for heir in (last, second):
                        for head in await heir.unfinished():
                            await heir.append(next_batch(head))
                async with asyncio.timeout(LIMIT):
                    while len(await last.unfinished()) < 20:
                        await last.taken_over()
                assert 2 in await last.stands_for()
                for head in heads:
                    await last.append(next_batch(replace(head, last_record=2)))

        asyncio.run(test())

    def test_an_opening_server_takes_what_was_given_up_and_nothing_else(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as alive:
                await alive.append(first_batch(head_for(OTHER)))
                self.silence(alive)  # only just: it may be back
                async with self.opened(tmp_path) as first:
                    await first.append(first_batch(head_for()))
                async with self.opened(tmp_path) as second:
                    assert [head.key for head in await second.unfinished()] == [KEY]

        asyncio.run(test())

    def test_asset_events_have_numbers_and_times_in_the_order_of_all_servers(self, tmp_path: Path) -> None:
        async def test() -> None:
            async with self.opened(tmp_path) as first, self.opened(tmp_path) as second:
                made = [
                    journal.assets.write(
                        AssetChanges(
                            events=(AssetEvent(1, 7, 100.0), AssetEvent(2, 7, 101.0)),
                            queued=(Queued(f"dag {number}", 7, 101.0),),
                        )
                    )
                    for number in range(4)
                    for journal in (first, second)
                ]
                kept = await asyncio.gather(*made)
                events, _ = await first.assets.events(AssetEventQuery(order_by=("id",), limit=None))
                assert len(events) == 16
                assert [one.timestamp for one in events] == sorted({one.timestamp for one in events})
                assert sorted(events, key=lambda one: one.id) == events
                assert sorted((one for changes in kept for one in changes.events), key=lambda one: one.id) == events
                assert all(changes.queued[0].created_at == changes.events[1].timestamp for changes in kept)
                queued = (await second.assets.load()).queued
                assert {entry.created_at for entry in queued} <= {one.timestamp for one in events}

        asyncio.run(test())

    def test_what_is_queued_starts_one_run(self, tmp_path: Path) -> None:
        entries = (Queued("shop", 7, 100.0), Queued("shop", 8, 101.0))

        def start(name: str, taken: tuple[Queued, ...] = entries) -> Batch:
            changes = AssetChanges(dequeued=taken, started=(("shop", 101.0),))
            return replace(first_batch(head_for(RunKey("shop", name))), assets=changes)

        async def test() -> None:
            async with self.opened(tmp_path) as first, self.opened(tmp_path) as second:
                await first.assets.write(AssetChanges(queued=entries))
                results = await asyncio.gather(
                    *(
                        journal.append(start(f"{name} {number}"))
                        for number in range(3)
                        for name, journal in (("first", first), ("second", second))
                    ),
                    return_exceptions=True,
                )
                assert [one for one in results if not isinstance(one, RunExists)] == [None]
                assert (await first.list_heads(HeadQuery()))[1] == 1
                await second.assets.write(AssetChanges(queued=entries))
                await second.assets.write(AssetChanges(queued=(Queued("shop", 8, 102.0),)))
                with pytest.raises(RunExists):  # there is a newer event
                    await first.append(start("older"))
                await first.append(start("newer", (entries[0], Queued("shop", 8, 102.0))))
                assert (await second.assets.load()).queued == ()

        asyncio.run(test())
