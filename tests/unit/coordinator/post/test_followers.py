"""Runs that another server drives: the same records for every reader, whatever happens to the notes and the servers."""

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.coordinator.post.followers import RENEW
from dagcall.coordinator.post.watches import LEASE
from dagcall.errors import RunNotFound, ShuttingDown
from dagcall.model.ids import RunKey
from dagcall.model.states import OutcomeKind

from .servers import KEY, World, is_followed


def kinds(records: list[Any]) -> list[str]:
    return [record.kind for record in records]


def test_whoever_asks_sees_what_was_durable_when_it_asked() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    run = world.do(there.followers.find(KEY))
    assert is_followed(run)
    assert run.records == world.stored()
    world.do(here.emit(1))
    again = world.do(there.followers.find(KEY))
    assert again is run, "one view for all readers"
    assert run.records == world.stored()
    assert there.followers.count == 0
    assert not any("watch" in text for _, text in world.hub.texts), "nobody waits, so nobody is told to watch"


def test_a_reader_elsewhere_sees_every_record_to_the_end() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    reader = world.follow(there)
    for value in range(3):
        world.do(here.emit(value))
        world.time.pass_(0.1)
        assert reader.seen == world.stored()
    world.do(here.end())
    world.time.until(lambda: reader.is_done, limit=0.1)
    assert reader.seen == world.stored()
    assert reader.run.outcome is not None
    assert reader.run.outcome.kind is OutcomeKind.SUCCESS
    assert there.recent.find(KEY) is reader.run
    assert len(here.watches) == 0
    assert there.followers.count == 0


def test_a_wait_for_the_outcome_is_told_it() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    run = world.do(there.followers.find(KEY))
    waiting = world.time.loop.create_task(run.wait_outcome(None))
    world.time.pass_(RENEW * 5)
    world.do(here.end())
    world.time.until(waiting.done, limit=0.1)
    assert waiting.result() is run.outcome is not None


def test_a_watch_that_comes_after_the_end_is_let_go_of() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    run = world.do(there.followers.find(KEY))
    world.do(here.end())
    assert world.do(run.wait_outcome(None)) is not None
    world.time.pass_(1)
    assert len(here.watches) == there.followers.count == 0


def test_a_wait_that_ends_lets_go() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    run = world.do(there.followers.find(KEY))
    assert world.do(run.wait_outcome(1.0)) is None
    assert len(here.watches) == 1
    world.time.pass_(2 * RENEW)
    assert len(here.watches) == 0, "told so"
    assert there.followers.count == 0


def test_many_records_are_said_in_few_texts() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    reader = world.follow(there)
    world.time.pass_(1)
    before = len(world.hub.texts)

    async def emit_many() -> None:
        for value in range(200):
            await here.emit(value)

    world.do(emit_many())
    world.time.pass_(0.1)
    assert reader.seen == world.stored()
    assert len(world.hub.texts) - before < 10


def test_runs_that_nobody_elsewhere_watches_are_not_spoken_of() -> None:
    world = World()
    here, _ = world.servers
    world.time.pass_(1)
    before = len(world.hub.texts)
    world.do(here.begin())
    for value in range(5):
        world.do(here.emit(value))
    world.do(here.end())
    world.time.pass_(60)
    assert len(world.hub.texts) == before


def test_a_follower_that_died_is_not_told_for_ever() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    world.follow(there)
    world.time.pass_(1)
    assert len(here.watches) == 1
    there.die()
    with world.time.loop.running():
        for task in list(there.followers._watched.values()):
            task.cancel()
    world.time.pass_(2 * LEASE)
    assert len(here.watches) == 0


def test_an_owner_that_died_is_waited_for_and_its_successor_found() -> None:
    world = World(3)
    first, there, second = world.servers
    world.do(first.begin())
    reader = world.follow(there)
    world.do(first.emit(1))
    world.time.pass_(1)
    first.die()
    world.time.pass_(30)
    assert not reader.is_done, "nobody is told an end that there is not"
    assert not reader.run.was_given_up
    world.do(second.take_over(first))
    world.do(second.emit(2))
    world.do(second.end())
    world.time.until(lambda: reader.is_done, limit=30)
    assert reader.seen == world.stored()
    assert [record.id for record in reader.seen] == list(range(1, len(reader.seen) + 1))


def test_the_follower_itself_may_take_the_run_over() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    reader = world.follow(there)
    world.time.pass_(1)
    here.die()
    world.do(there.take_over(here))
    world.do(there.emit(2))
    world.do(there.end())
    world.time.until(lambda: reader.is_done, limit=30)
    assert reader.seen == world.stored()


def test_what_was_missed_without_a_connection_is_read_after_it() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    reader = world.follow(there)
    world.time.pass_(1)
    there.wire.disconnect()
    world.do(here.emit(1))
    world.do(here.end())
    world.time.pass_(0.5)
    assert not reader.is_done
    there.wire.reconnect()
    world.time.until(lambda: reader.is_done, limit=0.5)
    assert reader.seen == world.stored()


def test_an_owner_that_was_cut_off_is_asked_again_when_it_is_back() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    here.wire.disconnect()
    reader = world.follow(there)
    world.time.pass_(5)
    here.wire.reconnect()
    world.time.pass_(0.5)
    world.do(here.emit(1))
    world.time.pass_(0.1)
    assert reader.seen == world.stored()


def test_a_run_that_was_deleted_is_not_found_any_more() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    run = world.do(there.followers.find(KEY))
    world.do(here.end())
    ended = world.do(there.followers.find(KEY))
    assert ended is run
    assert there.recent.find(KEY) is run
    world.do(world.journal.delete(KEY))
    del world.hub.owners[KEY]
    with world.time.loop.running():
        here.followers.altered(KEY)
    world.time.pass_(0.1)
    assert there.recent.find(KEY) is None, "told so"
    with pytest.raises(RunNotFound):
        world.do(there.followers.find(KEY))


def test_many_who_ask_and_wait_at_once_see_each_record_once() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    reader = world.follow(there)

    async def ask() -> None:
        for value in range(20):
            await here.emit(value)
            await asyncio.gather(*(there.followers.find(KEY) for _ in range(5)))

    world.do(ask())
    world.do(here.end())
    world.time.until(lambda: reader.is_done, limit=1)
    assert reader.seen == world.stored()
    assert not reader.run.was_given_up


def test_a_deletion_that_nobody_spoke_of_is_seen_by_who_asks() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    run = world.do(there.followers.find(KEY))
    world.do(here.end())
    world.do(world.journal.delete(KEY))
    del world.hub.owners[KEY]
    with pytest.raises(RunNotFound):
        world.do(there.followers.find(KEY))
    assert not run.head.state.is_final


def test_a_deletion_that_nobody_spoke_of_ends_its_readers() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    there.wire.disconnect()
    run = world.do(there.followers.find(KEY))
    waiting = world.time.loop.create_task(run.wait_outcome(None))
    world.do(here.end())
    world.do(world.journal.delete(KEY))
    del world.hub.owners[KEY]
    world.time.until(waiting.done, limit=30)
    with pytest.raises(RunNotFound):
        waiting.result()


def test_a_server_that_stops_tells_its_readers() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    run = world.do(there.followers.find(KEY))
    waiting = world.time.loop.create_task(run.wait_outcome(None))
    world.time.pass_(1)
    world.do(there.followers.stop())
    world.time.until(waiting.done, limit=1)
    with pytest.raises(ShuttingDown):
        waiting.result()


def test_ids_of_any_form_and_number_are_said() -> None:
    world = World()
    here, there = world.servers
    long = [RunKey("d", f"{number:03}" + "\u00fc\U0001f600\u2028\"\\'; --" * 20) for number in range(100)]
    readers = []
    for key in long:
        world.do(here.begin(key))
        readers.append(world.follow(there, key))
    world.time.pass_(1)
    for key in long:
        world.do(here.end(key))
    world.time.until(lambda: all(reader.is_done for reader in readers), limit=1)
    assert all(len(text.encode()) < 8000 for _, text in world.hub.texts)


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32),
    loss=st.sampled_from([0.0, 0.1, 0.5]),
    repetition=st.sampled_from([0.0, 0.5]),
    delay=st.sampled_from([0.0, 0.3]),
    steps=st.lists(
        st.sampled_from(["emit", "pass", "long", "read", "cut", "join", "owner cut", "owner join", "die"]), max_size=25
    ),
)
def test_whatever_happens_every_reader_sees_the_journal(
    seed: int, loss: float, repetition: float, delay: float, steps: list[str]
) -> None:
    world = World(3, seed)
    owner, there, heir = world.servers
    hub = world.hub
    hub.loss, hub.repetition, hub.delay = loss, repetition, delay
    world.do(owner.begin())
    readers = [world.follow(there)]
    for step in steps:
        match step:
            case "emit":
                world.do(owner.emit(1))
            case "pass":
                world.time.pass_(0.05)
            case "long":
                world.time.pass_(12.0)
            case "read":
                readers.append(world.follow(there))
            case "cut":
                there.wire.disconnect()
            case "join":
                there.wire.reconnect()
            case "owner cut":
                owner.wire.disconnect()
            case "owner join":
                owner.wire.reconnect()
            case "die" if owner is not heir:
                owner.die()
                world.do(heir.take_over(owner))
                owner = heir
        stored = world.stored()
        for reader in readers:
            assert reader.seen == stored[: len(reader.seen)]
            assert not reader.is_done
    hub.loss = hub.repetition = hub.delay = 0.0
    for server in (owner, there):
        server.wire.reconnect()
    world.do(owner.end())
    world.time.until(lambda: all(reader.is_done for reader in readers), limit=30)
    stored = world.stored()
    assert all(reader.seen == stored for reader in readers)
    assert world.time.complaints == []
