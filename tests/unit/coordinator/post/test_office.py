"""What is posted is heard by whom it is for; what is no note by nobody."""

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagcall.coordinator.post.notes import (
    AnyNote,
    DagNews,
    Hello,
    Moved,
    News,
    Told,
    Unsayable,
    Watch,
    decode,
    encode,
    packed,
)
from dagcall.coordinator.post.office import Post
from dagcall.journal.wire import EVERYBODY, LONGEST

from .servers import Time, World


@pytest.mark.parametrize(
    "note",
    [
        Hello(3),
        Moved(1),
        Watch(2, (("d", "r"), ("d", "\u00fc\"'\x00\U0001f600"))),
        News(2, (("d", "r", 7),)),
        DagNews(2, (("d", ""),)),
        Told(1, "pools", "x"),
    ],
)
def test_a_note_is_read_as_it_was_written(note: AnyNote) -> None:
    assert decode(encode(note)) == note


@given(
    st.text() | st.sampled_from(['{"note":"hello"}', '{"note":"newer","sender":1}', "[]", '{"sender":1}', "[" * 9000])
)
def test_what_is_no_note_is_nobodys(text: str) -> None:
    assert decode(text) is None


@given(st.lists(st.tuples(st.text(max_size=250), st.text(max_size=250)), max_size=60))
def test_any_number_of_runs_goes_into_notes_that_are_short_enough(runs: list[tuple[str, str]]) -> None:
    notes = [Watch(2**63 - 1, some) for some in packed(runs)]
    assert [run for note in notes for run in note.runs] == runs
    assert all(len(encode(note).encode()) <= LONGEST for note in notes)


def test_topics_are_heard_by_the_others() -> None:
    world = World(3)
    heard: list[tuple[int, str]] = []
    for server in world.servers:
        server.post.listen("pools", lambda text, epoch=server.epoch: heard.append((epoch, text)))  # type: ignore[misc]
    with world.time.loop.running():
        world.servers[0].post.tell("pools", "changed")
        world.servers[0].post.tell("pools", "for one", to=2)
    world.time.pass_(1)
    assert sorted(heard) == [(2, "changed"), (2, "for one"), (3, "changed")]
    with pytest.raises(Unsayable):
        world.servers[0].post.tell("pools", "x" * 8000)


def test_a_server_alone_hears_itself_only() -> None:
    time = Time()
    post = Post(None)
    heard: list[AnyNote] = []
    for kind in (Hello, Moved):
        post.read(kind, heard.append)
    time.run(post.start(5))
    with time.loop.running():
        post.send(5, Moved(5))
        post.send(EVERYBODY, Hello(5))
        post.send(4, Hello(5))
    time.pass_(1)
    assert heard == [Moved(5)]
    assert not post.is_shared


def test_a_reader_that_fails_keeps_nobody_from_hearing(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.time.pass_(1)
    heard: list[Hello] = []

    def fail(note: Hello) -> None:
        raise RuntimeError("broken")

    world.servers[1].post.read(Hello, fail)
    world.servers[1].post.read(Hello, heard.append)
    with caplog.at_level(logging.ERROR), world.time.loop.running():
        world.servers[0].post.send(EVERYBODY, Hello(1))
        world.time.pass_(1)
    assert heard == [Hello(1)]
    assert "broken" in caplog.text


def test_who_has_something_new_all_the_time_says_it_once() -> None:
    world = World()
    count = [0]

    def source() -> list[tuple[int, AnyNote]]:
        return [(2, Told(1, "count", str(count[0])))]

    heard: list[str] = []
    world.servers[1].post.listen("count", heard.append)

    async def say() -> None:
        for count[0] in range(100):
            world.servers[0].post.collect(source)

    world.do(say())
    world.time.pass_(1)
    assert heard == ["99"]
