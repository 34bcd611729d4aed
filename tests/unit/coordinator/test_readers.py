"""Readers are woken in groups, and what else is ready goes between them."""

import asyncio

import pytest

from dagcall.coordinator.readers import AT_ONCE, Readers

pytestmark = pytest.mark.anyio


async def test_what_becomes_ready_meanwhile_does_not_wait_for_all_readers() -> None:
    readers, went = Readers(), []
    waiting = [asyncio.ensure_future(note(readers.wait(), went, number)) for number in range(10 * AT_ONCE)]
    await asyncio.sleep(0)
    readers.wake()
    asyncio.get_running_loop().call_soon(went.append, "answer")
    await asyncio.gather(*waiting)
    assert went.index("answer") <= 2 * AT_ONCE
    assert [one for one in went if one != "answer"] == list(range(10 * AT_ONCE))


async def test_news_while_readers_are_being_woken_wakes_those_who_wait_again() -> None:
    readers, went = Readers(), []
    first = [asyncio.ensure_future(note(readers.wait(), went, "first")) for _ in range(3 * AT_ONCE)]
    readers.wake()
    again = asyncio.ensure_future(note(readers.wait(), went, "again"))
    late = readers.wait()
    readers.wake()
    await asyncio.gather(*first, again, late)
    assert went.count("first") == 3 * AT_ONCE


async def test_who_begins_to_wait_after_the_news_is_not_woken_by_it() -> None:
    readers = Readers()
    waiting = [readers.wait() for _ in range(2 * AT_ONCE)]
    readers.wake()
    late = readers.wait()
    await asyncio.gather(*waiting)
    assert not late.done()


async def test_a_pause_holds_for_all() -> None:
    """News within the pause wakes nobody before its end."""
    readers = Readers()
    first = readers.wait()
    readers.wake(after=0.05)
    readers.wake()
    second = readers.wait()
    readers.wake()
    await asyncio.sleep(0)
    assert not first.done()
    assert not second.done()
    await asyncio.gather(first, second)


async def test_one_that_has_gone_is_forgotten() -> None:
    readers = Readers()
    gone, stays = readers.wait(), readers.wait()
    gone.cancel()
    readers.wake()
    await stays


async def note(future: "asyncio.Future[None]", went: list[object], what: object) -> None:
    await future
    went.append(what)
