"""Servers that share a journal tell each other that something about assets has become durable, and nothing more."""

from collections.abc import Iterator

from dagcall.coordinator.assets import Assets
from dagcall.coordinator.post.notes import Told
from dagcall.coordinator.post.office import Post, Posted
from dagcall.journal.wire import EVERYBODY

TOPIC = "assets"


def exchange(post: Post, assets: Assets) -> None:
    """Before the post is open. However much becomes durable while a note is on its way, one more says it all."""
    if not post.is_shared:
        return

    def news() -> Iterator[Posted]:
        yield EVERYBODY, Told(post.epoch, TOPIC, "")

    assets.share(lambda: post.collect(news))
    post.listen(TOPIC, lambda _: assets.look_again())
    post.on_connected(assets.look_again)
