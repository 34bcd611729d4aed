"""Invoke by data: starts the runs of DAGs whose asset condition is met.

Guarantees. A run takes the entries of the queue that it was started for out of it in the batch that accepts it: what
is queued is started exactly once, though the server may end at any moment, and others that share its journal see the
same. What cannot be started now (overload, `max_active_runs`, a file that does not import) stays queued. Of DAGs that
Airflow starts, having been given the same events (`recording`), none is started here, and what is queued for them is
dropped.

The events that a run is given are stock's: all of its assets since the run before, up to the youngest entry of the
queue (`_create_dag_runs_asset_triggered`, airflow/jobs/scheduler_job_runner.py).
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.assets import Assets
from dagcall.crashpoints import reached
from dagcall.errors import DagcallError, JournalError, RunExists, Unavailable
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import TimeRange
from dagcall.model.assets import AssetChanges, AssetEvent, Consumption, Queued

log = logging.getLogger("dagcall.assets")

RUN_TYPE = "asset_triggered"
_AGAIN = 1.0
"""Seconds until a start that the server's load, or the journal, did not allow is tried again."""


class AssetRuns:
    """One task, `serve`, that sleeps until `wake`."""

    def __init__(
        self,
        assets: Assets,
        call: Callable[[CallRequest], Awaitable[object]],
        active_runs: Callable[[str], int],
        new_run_id: Callable[[float, str], str],
        starts_elsewhere: Callable[[str], Awaitable[bool]],
    ) -> None:
        """`active_runs`: how many runs of a DAG have not ended. `starts_elsewhere`: whether somebody else, who hears of the
        same events, starts a DAG; raises Unavailable while that is unknown."""
        self._assets = assets
        self._call = call
        self._active_runs = active_runs
        self._new_run_id = new_run_id
        self._starts_elsewhere = starts_elsewhere
        self._wake = asyncio.Event()
        self._starting: dict[str, asyncio.Task[None]] = {}

    def wake(self) -> None:
        """Something was queued, declared or ended."""
        self._wake.set()

    async def serve(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                for dag_id in self._assets.book.due():
                    if dag_id not in self._starting and not self._is_full(dag_id):
                        self._starting[dag_id] = asyncio.create_task(self._start(dag_id), name=f"dagcall-due {dag_id}")
        finally:
            for starting in self._starting.values():
                starting.cancel()

    def _is_full(self, dag_id: str) -> bool:
        """As in stock a run is not even created beyond `max_active_runs`: it will be given what comes until then."""
        limit = self._assets.book.subscriptions[dag_id].max_active_runs
        return limit is not None and self._active_runs(dag_id) >= limit

    async def _start(self, dag_id: str) -> None:
        taken = self._assets.book.take(dag_id)
        try:
            reached("assets.due")
            if await self._starts_elsewhere(dag_id):
                await self._assets.dequeue(taken)
            else:
                await self._call(await self._request(dag_id, taken))
            self._wake.set()  # for what was queued meanwhile
        except DagcallError as error:
            self._assets.book.put_back(taken)
            if isinstance(error, RunExists):  # another server was faster, or one of the entries is of a later event
                log.info("%s", error)
                self._assets.look_again()
                return
            log.warning("DAG %r is due by its assets and could not be started: %s", dag_id, error)
            if isinstance(error, Unavailable | JournalError):
                asyncio.get_running_loop().call_later(_AGAIN, self._wake.set)
        finally:
            del self._starting[dag_id]

    async def _request(self, dag_id: str, taken: tuple[Queued, ...]) -> CallRequest:
        book = self._assets.book
        until = max(entry.created_at for entry in taken)
        asset_ids, aliases = book.consumes(dag_id)
        window = TimeRange(gt=book.consumed_until(dag_id), lte=until)
        events, _ = await self._assets.events(
            AssetEventQuery(asset_ids=asset_ids, aliases=aliases, timestamp=window, limit=None)
        )
        run_id = self._new_run_id(until, RUN_TYPE)
        return CallRequest(
            dag_id,
            run_id=run_id,
            run_type=RUN_TYPE,
            triggered_by="asset",
            run_after=until,
            asset_events=msgspec.json.encode([self._shown(event) for event in events]) if events else b"",
            asset_changes=AssetChanges(
                dequeued=taken,
                started=((dag_id, until),),
                consumed=tuple(Consumption(one.id, dag_id, run_id, one is events[-1]) for one in events),
            ),
        )

    def _shown(self, event: AssetEvent) -> dict[str, Any]:
        """`AssetEventDagRunReference` of the Task SDK."""
        asset = self._assets.book.assets[event.asset_id]
        return {
            "asset": {"name": asset.name, "uri": asset.uri, "extra": msgspec.Raw(asset.extra)},
            "extra": msgspec.Raw(event.extra),
            "source_task_id": event.source.task_id,
            "source_dag_id": event.source.dag_id,
            "source_run_id": event.source.run_id,
            "source_map_index": event.source.map_index,
            "source_aliases": [{"name": name} for name in event.aliases],
            "timestamp": datetime.fromtimestamp(event.timestamp, UTC),
            "partition_key": event.partition_key,
        }
