"""News of any run of a DAG, from the servers that drive its runs to those where something waits for such a run.

Guarantees. Who watches a DAG is told by every other server at once, so that it looks once more after all of them know,
and then whenever more of a run of that DAG has become durable there, until it has not renewed its watch for `LEASE`.
What is said is only that there is news: whoever hears it looks into the journal. Servers that start later, or were cut
off, say `Hello`, and are told what is watched. However often there is news, a DAG is spoken of at most each `PAUSE`.

A DAG that nobody elsewhere watches costs nothing: those who are told of runs here are told of by the same list.
"""

import asyncio
from collections.abc import Callable, Iterator
from typing import Final, Protocol

from dagcall.coordinator.post.notes import DagNews, Hello, Key, WatchDags, packed
from dagcall.coordinator.post.office import Post, Posted
from dagcall.coordinator.run import Run
from dagcall.journal.wire import EVERYBODY

RENEW: Final = 10.0
LEASE: Final = 30.0
PAUSE: Final = 0.05
"""Seconds, all of them."""
MOST_WATCHED: Final = 10_000
"""DAGs."""
MOST_NAMED: Final = 20
"""Runs of a DAG that are named; of more it is said that there is news of any."""


class Waiting(Protocol):
    """What waits for runs here, and hears of those that are driven here."""

    def watched_elsewhere(self, dag_id: str, told: Callable[[Run], None] | None) -> None:
        """Have `told` hear of every run of the DAG of which more becomes durable here; None: nobody any more."""
        ...

    def heard(self, dag_id: str, run_id: str) -> None:
        """There is more of a run that is driven elsewhere; without a run id: of any."""
        ...


class DagWatches:
    """`begin` and `end`: something waits here for a run of a DAG, or nothing does any more."""

    def __init__(self, post: Post, waiting: Waiting) -> None:
        self._post = post
        self._waiting = waiting
        self._own: dict[str, None] = {}
        self._watchers: dict[str, dict[int, float]] = {}
        """By DAG: servers, and until when."""
        self._news: dict[str, dict[str, None]] = {}
        self._first: dict[int, dict[str, None]] = {}
        """To be told that they are known, by server: DAGs."""
        self._timer: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        post.read(WatchDags, self._hear_watch)
        post.read(DagNews, self._hear_news)
        post.read(Hello, lambda note: self._say(note.sender))
        post.on_connected(self._connected)

    def begin(self, dag_id: str) -> None:
        self._own[dag_id] = None
        if self._post.is_shared:
            self._post.send(EVERYBODY, WatchDags(self._post.epoch, (dag_id,)))
            self._wind()

    def end(self, dag_id: str) -> None:
        self._own.pop(dag_id, None)

    def stop(self) -> None:
        for timer in (self._timer, self._pause):
            if timer is not None:
                timer.cancel()

    def _wind(self) -> None:
        if self._timer is None and (self._own or self._watchers):
            self._timer = asyncio.get_running_loop().call_later(RENEW, self._renew)

    def _renew(self) -> None:
        self._timer = None
        self._say(EVERYBODY)
        now = asyncio.get_running_loop().time()
        for dag_id, watchers in list(self._watchers.items()):
            for watcher in [one for one, until in watchers.items() if until <= now]:
                del watchers[watcher]
            if not watchers:
                del self._watchers[dag_id]
                self._waiting.watched_elsewhere(dag_id, None)
        self._wind()

    def _say(self, to: int) -> None:
        for some in packed(self._own):
            self._post.send(to, WatchDags(self._post.epoch, some))

    def _connected(self) -> None:
        """Others may have had news meanwhile, and may have forgotten us."""
        self._say(EVERYBODY)
        for dag_id in list(self._own):
            self._waiting.heard(dag_id, "")

    def _hear_watch(self, note: WatchDags) -> None:
        now = asyncio.get_running_loop().time()
        for dag_id in note.dag_ids:
            watchers = self._watchers.get(dag_id)
            if watchers is None and len(self._watchers) >= MOST_WATCHED:
                continue
            if watchers is None:
                watchers = self._watchers[dag_id] = {}
                self._waiting.watched_elsewhere(dag_id, self._published)
            if note.sender not in watchers:
                self._first.setdefault(note.sender, {})[dag_id] = None
                self._post.collect(self._told)
            watchers[note.sender] = now + LEASE
        self._wind()

    def _hear_news(self, note: DagNews) -> None:
        for dag_id, run_id in note.runs:
            self._waiting.heard(dag_id, run_id)

    def _published(self, run: Run) -> None:
        self._news.setdefault(run.key.dag_id, {})[run.key.run_id] = None
        if self._pause is None:
            self._post.collect(self._told)

    def _told(self) -> Iterator[Posted]:
        first, self._first = self._first, {}
        for watcher, dag_ids in first.items():
            for some in packed((dag_id, "") for dag_id in dag_ids):
                yield watcher, DagNews(self._post.epoch, some)
        if self._pause is not None or not self._news:
            return
        self._pause = asyncio.get_running_loop().call_later(PAUSE, self._go_on)
        news, self._news = self._news, {}
        by_watcher: dict[int, list[Key]] = {}
        for dag_id, run_ids in news.items():
            named = list(run_ids) if len(run_ids) <= MOST_NAMED else [""]
            for watcher in self._watchers.get(dag_id, ()):
                by_watcher.setdefault(watcher, []).extend((dag_id, run_id) for run_id in named)
        for watcher, runs in by_watcher.items():
            for more in packed(runs):
                yield watcher, DagNews(self._post.epoch, more)

    def _go_on(self) -> None:
        self._pause = None
        if self._news:
            self._post.collect(self._told)
