"""Runs of this server that others watch: they are told when there is more of them.

Guarantees. Who watches is answered at once with the number of the run's last durable record, and again whenever there
is more, until it lets go or has not renewed its watch for `LEASE`. News is what the run's readers here are woken by, in
the same way: a run that nobody elsewhere watches costs nothing. However much of a run becomes durable while a text is
on its way, the next one says it all.

A watch of a run that is not driven here is kept all the same, and answered so: the run may come here.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from dagcall.coordinator.post.notes import News, Unwatch, Watch, keys, packed
from dagcall.coordinator.post.office import Post, Posted
from dagcall.coordinator.run import Run
from dagcall.model.ids import RunKey

LEASE: Final = 30.0
"""Seconds that a watch is good for."""
MOST_WATCHED: Final = 100_000
"""Runs. More would be no server's, but somebody's who floods the database with notes."""


@dataclass
class _Watched:
    watchers: dict[int, float] = field(default_factory=dict)
    """Servers, and until when."""
    news: "asyncio.Future[None] | None" = None
    """Of the run, while it is driven here."""
    run: Run | None = None


class Watches:
    """`find`: the run, if it is driven here."""

    def __init__(self, post: Post, find: Callable[[RunKey], Run | None]) -> None:
        self._post = post
        self._find = find
        self._watched: dict[RunKey, _Watched] = {}
        self._to_tell: dict[int, dict[RunKey, int]] = {}
        """By watcher: runs, and how many records they have."""
        self._expiry: asyncio.TimerHandle | None = None
        post.read(Watch, self._watch)
        post.read(Unwatch, self._unwatch)

    def __len__(self) -> int:
        return len(self._watched)

    def watchers(self, key: RunKey) -> list[int]:
        """The servers that watch a run; this one too, while it has readers from before it took the run over."""
        watched = self._watched.get(key)
        return [] if watched is None else list(watched.watchers)

    def appeared(self, key: RunKey) -> None:
        """The run is driven here from now on, which it was not a moment ago."""
        watched = self._watched.get(key)
        if watched is not None:
            self._look(key, watched)
            self._tell(key, watched, watched.watchers)

    def stop(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
        for watched in self._watched.values():
            if watched.news is not None:
                watched.news.cancel()
        self._watched.clear()

    def _watch(self, note: Watch) -> None:
        now = asyncio.get_running_loop().time()
        for key in keys(note.runs):
            watched = self._watched.get(key)
            if watched is None:
                if len(self._watched) >= MOST_WATCHED:
                    continue
                watched = self._watched[key] = _Watched()
            watched.watchers[note.sender] = now + LEASE
            if watched.news is None:
                self._look(key, watched)
            self._tell(key, watched, (note.sender,))
        if self._expiry is None and self._watched:
            self._expiry = asyncio.get_running_loop().call_later(LEASE / 2, self._expire)

    def _unwatch(self, note: Unwatch) -> None:
        for key in keys(note.runs):
            self._let_go(key, note.sender)

    def _let_go(self, key: RunKey, watcher: int) -> None:
        watched = self._watched.get(key)
        if watched is None or watched.watchers.pop(watcher, None) is None or watched.watchers:
            return
        del self._watched[key]
        if watched.news is not None:
            watched.news.cancel()

    def _expire(self) -> None:
        self._expiry = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key, watched in list(self._watched.items()):
            for watcher, until in list(watched.watchers.items()):
                if until <= now:
                    self._let_go(key, watcher)
        if self._watched:
            self._expiry = loop.call_later(LEASE / 2, self._expire)

    def _look(self, key: RunKey, watched: _Watched) -> None:
        """Where the run is now, and when there will be more."""
        if watched.news is not None:
            watched.news.cancel()
        watched.run, watched.news = self._find(key), None
        if watched.run is not None:
            watched.news = watched.run.changed()
            watched.news.add_done_callback(lambda news: self._changed(key, watched, news))

    def _changed(self, key: RunKey, watched: _Watched, news: "asyncio.Future[None]") -> None:
        if news.cancelled() or self._watched.get(key) is not watched or watched.news is not news:
            return
        if watched.run is not None and watched.run.head.state.is_final:
            del self._watched[key]  # that is all there will be
        else:
            self._look(key, watched)
        self._tell(key, watched, watched.watchers)

    def _tell(self, key: RunKey, watched: _Watched, watchers: Iterable[int]) -> None:
        last = 0 if watched.run is None else watched.run.head.last_record
        for watcher in watchers:
            self._to_tell.setdefault(watcher, {})[key] = last
        self._post.collect(self._news)

    def _news(self) -> Iterator[Posted]:
        told, self._to_tell = self._to_tell, {}
        for watcher, runs in told.items():
            for some in packed((*key, last) for key, last in runs.items()):
                yield watcher, News(self._post.epoch, some)
