"""What is asked of a run's owner: done and answered, or not known within a time; never by a forged note."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dagcall.coordinator.api import AlreadyAnswered
from dagcall.coordinator.post.letters import ANSWER, KEPT, LETTER, LIMIT, Amend, Cancel, GiveInput, Wish
from dagcall.coordinator.post.notes import Answered, Letter
from dagcall.errors import BadRequest, DagcallError, JournalAway, RunNotFound, Unavailable
from dagcall.journal.store import Item, Put
from dagcall.model.events import XComChanged, XComItem
from dagcall.model.ids import RunKey
from dagcall.model.inputs import InputRequest, User

from .servers import KEY, World

SECRET = "hunter2"
CANCEL = Cancel("ann", "no longer needed")
AMEND = Amend(XComChanged("only", -1, "password", XComItem("password", SECRET.encode())))
ASKED = InputRequest("d", "r", "only", -1, 1, "ti", ["yes", "no"], "?", 1.0, assigned_users=[User("1", "ann")])
GIVE = GiveInput(ASKED, ["yes"], {"token": SECRET}, User("1", "ann"))


def left(world: World) -> list[Item]:
    return world.do(world.journal.store.items(LETTER)) + world.do(world.journal.store.items(ANSWER))


@pytest.mark.parametrize("wish", [CANCEL, AMEND, GIVE])
def test_the_owner_does_what_is_asked_and_says_so(wish: Wish) -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    assert world.do(there.letters.ask(KEY, wish))
    assert here.fulfilled == [(KEY, wish)]
    assert left(world) == []
    assert not any(SECRET in text for _, text in world.hub.texts)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (BadRequest("no such option"), BadRequest),
        (AlreadyAnswered(), AlreadyAnswered),
        (LookupError("no such task instance"), LookupError),
        (JournalAway("the disk is full"), Unavailable),
    ],
)
def test_an_error_comes_back(error: Exception, told: type[Exception]) -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    here.refusal = error
    with pytest.raises(told) as caught:
        world.do(there.letters.ask(KEY, CANCEL))
    assert str(error) in str(caught.value)
    assert left(world) == []


def test_a_run_that_has_ended_has_nobody_to_ask() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    world.do(here.end())
    assert not world.do(there.letters.ask(KEY, CANCEL))
    with pytest.raises(RunNotFound):
        world.do(there.letters.ask(RunKey("d", "unknown"), CANCEL))
    assert left(world) == []


def test_who_does_not_answer_is_not_waited_for_for_ever() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    here.die()
    began = world.time.now
    with pytest.raises(Unavailable) as caught:
        world.do(there.letters.ask(KEY, CANCEL))
    assert world.time.now - began == pytest.approx(LIMIT, abs=1)
    assert caught.value.retry_after
    assert (caught.value.dag_id, caught.value.run_id) == KEY
    assert left(world) == []


def test_whoever_takes_the_run_over_gets_the_letter() -> None:
    world = World(3)
    here, there, heir = world.servers
    world.do(here.begin())
    here.die()

    async def ask() -> bool:
        asking = asyncio.ensure_future(there.letters.ask(KEY, CANCEL))
        await asyncio.sleep(1.5)
        await heir.take_over(here)
        return await asking

    assert world.do(ask())
    assert heir.fulfilled == [(KEY, CANCEL)]


def test_a_note_alone_does_nothing() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    with world.time.loop.running():
        there.post.send(1, Letter(2, "0" * 32))
        here.post.send(2, Answered(1, "0" * 32))
    world.time.pass_(1)
    assert here.fulfilled == []
    assert world.time.complaints == []


def test_a_forged_answer_is_no_answer() -> None:
    world = World()
    here, there = world.servers
    world.do(here.begin())
    here.wire.disconnect()

    async def ask() -> bool:
        asking = asyncio.ensure_future(there.letters.ask(KEY, CANCEL))
        for _ in range(50):
            await asyncio.sleep(0.1)
            for number in list(there.letters._asked):
                there.letters._hear_answered(Answered(1, number))
        assert not asking.done()
        return await asking

    with pytest.raises(Unavailable):
        world.do(ask())


def test_what_a_dead_server_left_behind_is_cleared_away() -> None:
    world = World()
    (server, _) = world.servers

    async def leave() -> None:
        await world.journal.store.write(Put(LETTER, "old", b"", -KEPT - 1), Put(ANSWER, "new", b"", -KEPT + 1))
        await server.letters.start()

    world.do(leave())
    assert [item.key for item in left(world)] == ["new"]


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32), loss=st.sampled_from([0.0, 0.3, 0.7]), cut=st.booleans(), handed=st.booleans())
def test_an_answer_is_true_whatever_happens_to_the_notes(seed: int, loss: float, cut: bool, handed: bool) -> None:
    world = World(3, seed)
    here, there, heir = world.servers
    world.do(here.begin())
    world.hub.loss, world.hub.repetition, world.hub.delay = loss, 0.3, 0.3
    if cut:
        here.wire.disconnect()

    async def ask() -> bool:
        asking = asyncio.ensure_future(there.letters.ask(KEY, CANCEL))
        if handed:
            await asyncio.sleep(world.hub.random.uniform(0, 3))
            await heir.take_over(here)
        return await asking

    try:
        done = world.do(ask())
    except DagcallError:
        done = False
    assert not done or (KEY, CANCEL) in here.fulfilled + heir.fulfilled
    assert left(world) == []
    world.time.pass_(20)
    assert [one for one in left(world) if one.kind == LETTER] == []
    assert world.time.complaints == []
