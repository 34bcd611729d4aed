"""Servers that share a journal tell each other that something else in it than a run is another one now.

What it is now nobody is told, but reads it from the journal. However much changes while a note is on its way, one more says
it all. Whoever was not heard for a while may have missed something, so everything is looked at again then.
"""

from collections.abc import Callable, Iterator
from typing import Final, Protocol

from dagcall.coordinator.post.notes import Told
from dagcall.coordinator.post.office import Post, Posted
from dagcall.journal.wire import EVERYBODY

READ_WHILE_PARSING: Final = "read while parsing"


class Shared(Protocol):
    """What each server has a view of."""

    def share(self, tell: Callable[[], None]) -> None:
        """Call `tell` when it was changed here."""
        ...

    def look_again(self) -> None:
        """It may have been changed elsewhere."""
        ...


def exchange(post: Post, **shared: Shared) -> None:
    """By topic. Before the post is open."""
    if post.is_shared:
        for topic, one in shared.items():
            _exchange(post, topic, one)


def _exchange(post: Post, topic: str, one: Shared) -> None:
    def news() -> Iterator[Posted]:
        yield EVERYBODY, Told(post.epoch, topic, "")

    one.share(lambda: post.collect(news))
    post.listen(topic, lambda _: one.look_again())
    post.on_connected(one.look_again)


def everywhere(post: Post, topic: str, act: Callable[[str], None]) -> Callable[[str], None]:
    """What does `act` here, and has the other servers do it, too."""
    post.listen(topic, act)

    def told(name: str) -> None:
        act(name)
        if post.is_shared:
            post.tell(topic, name)

    return told
