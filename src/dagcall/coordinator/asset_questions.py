"""What running code asks about assets: as the execution API answers it (airflow/api_fastapi/execution_api/routes/
assets.py, asset_events.py, and `validate_inlets_and_outlets` of task_instances.py)."""

import asyncio
from typing import Any

from dagcall.coordinator.assets import Assets
from dagcall.coordinator.run import Run
from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.base import TimeRange
from dagcall.model.assets import Asset, AssetEvent, AssetKey
from dagcall.model.records import RunHead

QUESTIONS = frozenset({"asset", "assets", "inactive_assets", "asset_events"})


def answer(assets: Assets, run: Run, what: str, args: list[Any]) -> "asyncio.Future[object] | object":
    book = assets.book
    match what:
        case "asset":
            name, uri = args
            key = book.named(name) if name else book.at(uri)
            return None if key is None else _shown(_known(assets, key))
        case "assets":
            return [_shown(_known(assets, key)) for key in book.behind(args[0])]
        case "inactive_assets":
            task = run.plan.by_id[args[0]]
            return book.inactive((*task.inlets, *task.outlets))
        case _:
            return asyncio.ensure_future(_events(assets, *args))


async def _events(
    assets: Assets,
    name: str | None,
    uri: str | None,
    alias: str | None,
    after: float | None,
    before: float | None,
    ascending: bool,
    limit: int | None,
) -> object:
    query = AssetEventQuery(
        asset_ids=None if alias is not None else frozenset(_asked(assets, name, uri)),
        aliases=None if alias is None else frozenset({alias}),
        timestamp=TimeRange(gte=after, lte=before),
        order_by=("timestamp" if ascending else "-timestamp",),
        limit=limit or None,
    )
    events, _ = await assets.events(query)
    runs = await assets.created_runs(events)
    return [_event(assets, event, [head for head, _ in runs[event.id]]) for event in events]


def _asked(assets: Assets, name: str | None, uri: str | None) -> list[int]:
    """With both it need not be active."""
    book = assets.book
    key = AssetKey(name, uri) if name and uri else book.named(name) if name else book.at(uri or "")
    asset = None if key is None else book.find(key)
    return [] if asset is None else [asset.id]


def _known(assets: Assets, key: AssetKey) -> Asset:
    asset = assets.book.find(key)
    assert asset is not None
    return asset


def _shown(asset: Asset) -> dict[str, object]:
    return {"name": asset.name, "uri": asset.uri, "group": asset.group, "extra": asset.extra}


def _event(assets: Assets, event: AssetEvent, runs: list[RunHead]) -> dict[str, object]:
    return {
        "id": event.id,
        "timestamp": event.timestamp,
        "extra": event.extra,
        "asset": _shown(assets.book.assets[event.asset_id]),
        "created_dagruns": [
            {
                "run_id": head.key.run_id,
                "dag_id": head.key.dag_id,
                "logical_date": head.logical_date,
                "start_date": head.start_date or head.queued_at,
                "end_date": head.end_date,
                "state": head.state.value,
            }
            for head in runs
        ],
        "source_task_id": event.source.task_id,
        "source_dag_id": event.source.dag_id,
        "source_run_id": event.source.run_id,
        "source_map_index": event.source.map_index,
        "partition_key": event.partition_key,
    }
