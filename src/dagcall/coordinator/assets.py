"""Assets as the server knows them: the book, kept in step with the journal.

Guarantees. The events of a task instance are durable with its end, in one batch, or neither is (`emitted`, which the
driver puts into that batch). Nobody sees an event, and no DAG is started for it, before it is durable.

Authoritative: the journal for what happened, `core.asset_book` for what follows from it. Servers that share the journal
have a book each. They tell each other that something became durable, without saying what (`share`); whoever hears it
reads it from the journal, a moment later, since whoever told it is about to act upon it.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Sequence

import msgspec

from dagcall.coordinator.clock import Clock
from dagcall.core.asset_book import AssetBook
from dagcall.core.asset_outlets import changes_of, with_events
from dagcall.errors import DagcallError, JournalError
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import Journal
from dagcall.model.assets import (
    AssetChanges,
    AssetEvent,
    KeptAssets,
    Outlets,
    Queued,
    Source,
)
from dagcall.model.finished_run import HandedEvent
from dagcall.model.ids import RunKey
from dagcall.model.notice import AssetNews, Call, Notice
from dagcall.model.plan import DagPlan
from dagcall.model.records import RunHead

log = logging.getLogger("dagcall.assets")

_pack = msgspec.msgpack.Encoder().encode

PAUSE = 0.05
"""Seconds."""


class Assets:
    """Implements `api.AssetsView`."""

    def __init__(self, journal: Journal, clock: Clock, changed: Callable[[], None]) -> None:
        """`changed` is called when DAGs may have become due."""
        self.is_shared = journal.wire is not None
        self.book = AssetBook(KeptAssets(), shared=self.is_shared)
        self._journal = journal
        self._clock = clock
        self._changed = changed
        self._tell: Callable[[], None] = lambda: None
        self._looking: asyncio.Task[None] | None = None
        self._is_stale = False
        self._meanwhile: list[AssetChanges] = []
        """Durable since the journal is being read."""
        self._saving: set[asyncio.Task[None]] = set()

    async def load(self) -> None:
        self.book = AssetBook(await self._journal.assets.load(), shared=self.is_shared)

    def share(self, tell: Callable[[], None]) -> None:
        """Have the other servers told by `tell` of what becomes durable here. Theirs: `look_again`."""
        self._tell = tell

    async def reload(self) -> None:
        """What a server that has ended may have told nobody."""
        self.look_again()

    def look_again(self) -> None:
        """Another server may have changed what the journal holds."""
        self._is_stale = self.is_shared
        if self._is_stale and self._looking is None:
            self._looking = asyncio.get_running_loop().create_task(self._look(), name="dagcall-assets-look")

    async def _look(self) -> None:
        try:
            while self._is_stale:
                await asyncio.sleep(PAUSE)
                self._is_stale, self._meanwhile = False, []
                try:
                    kept = await self._journal.assets.load()
                except DagcallError as error:
                    log.warning("what other servers have changed cannot be read yet: %s", error)
                    self._is_stale = True
                    continue
                self.book.refresh(kept)
                for changes in self._meanwhile:  # which may be older than what was read: then a start is refused
                    self.book.apply(changes)
                self._changed()
        finally:
            self._looking = None

    async def stop(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        await asyncio.gather(*self._saving, return_exceptions=True)

    def declare(self, plans: Collection[DagPlan]) -> None:
        """These DAGs are served now."""
        self.book.declare(plans, self._clock.now())
        stale = self.book.stale({plan.dag_id for plan in plans})
        changes = with_events(self.book, (), dequeued=stale)
        if changes != AssetChanges():
            saving = asyncio.get_running_loop().create_task(self._save(changes), name="dagcall-assets")
            self._saving.add(saving)
            saving.add_done_callback(self._saving.discard)
        self._changed()

    def id_of(self, name: str | None, uri: str | None) -> int | None:
        """Of the active asset with this name, or with this URI."""
        key = self.book.named(name) if name else self.book.at(uri or "")
        asset = None if key is None else self.book.find(key)
        return None if asset is None else asset.id

    def emitted(self, run: RunKey, task_id: str, map_index: int, outlets: Outlets, now: float) -> AssetChanges:
        """What follows from the outlets of a task that succeeded; takes effect with `durable`."""
        return changes_of(self.book, outlets, Source(run.dag_id, task_id, run.run_id, map_index), now)

    def durable(self, changes: AssetChanges) -> None:
        self.book.apply(changes)
        if self.is_shared:
            if self._looking is not None:
                self._meanwhile.append(changes)
            self._tell()
        if changes.queued:
            self._changed()

    def news(self, changes: AssetChanges, listeners: Collection[str], state: str) -> Notice | None:
        """What listeners are to be told of the events among durable changes; `state`: of their run."""
        calls = tuple(call for call in (Call.ASSET_CHANGED, Call.ASSET_EVENT) if call in listeners)
        if not calls or not changes.events:
            return None
        return Notice(calls, "", state, assets=_pack([self._news(event) for event in changes.events]))

    def _news(self, event: AssetEvent) -> AssetNews:
        asset = self.book.assets[event.asset_id]
        return AssetNews(
            asset.name,
            asset.uri,
            asset.group,
            asset.extra,
            event.extra,
            event.source.task_id,
            event.source.map_index,
            event.aliases,
            event.partition_key,
        )

    async def create_event(self, asset_id: int, extra: bytes, partition_key: str | None = None) -> AssetEvent | None:
        """An event of nobody's task; None when there is no such asset. Raises JournalError."""
        asset = self.book.assets.get(asset_id)
        if asset is None:
            return None
        made = self.book.event(asset, Source(), extra, self._clock.now(), partition_key=partition_key)
        (event,) = (await self._write(with_events(self.book, [made]))).events
        return event

    async def dequeue(self, entries: Collection[Queued]) -> None:
        """Forget that these assets were updated. Their events stay."""
        await self._write(AssetChanges(dequeued=tuple(entries)))

    async def events(self, query: AssetEventQuery) -> tuple[list[AssetEvent], int]:
        return await self._journal.assets.events(query)

    async def handed(self, run: RunKey) -> tuple[HandedEvent, ...]:
        """The events of a run's tasks, in their order, as they are given to Airflow. Raises JournalError."""
        query = AssetEventQuery(source_dag_id=run.dag_id, source_run_id=run.run_id, limit=None)
        handed = []
        for event in (await self._journal.assets.events(query))[0]:
            asset = self.book.assets.get(event.asset_id)
            if asset is None:  # another server has made it a moment ago
                self.look_again()
                raise JournalError(f"asset {event.asset_id}, which run {run} has updated, is not known here yet")
            source = event.source.task_id or "", event.source.map_index
            handed.append(
                HandedEvent(
                    *asset.key, asset.group, asset.extra, event.extra, *source, event.aliases, event.partition_key
                )
            )
        return tuple(handed)

    async def created_runs(self, events: Sequence[AssetEvent]) -> dict[int, list[tuple[RunHead, bool]]]:
        found: dict[int, list[tuple[RunHead, bool]]] = {event.id: [] for event in events}
        for one in await self._journal.assets.consumptions(list(found)):
            head = await self._journal.head(RunKey(one.dag_id, one.run_id))
            if head is not None:
                found[one.event_id].append((head, one.triggering))
        return found

    async def _write(self, changes: AssetChanges) -> AssetChanges:
        kept = await self._journal.assets.write(changes)
        self.durable(kept)
        return kept

    async def _save(self, changes: AssetChanges) -> None:
        try:
            await self._write(changes)
        except DagcallError as error:
            log.warning("assets could not be kept now, and are with the next event: %s", error)
