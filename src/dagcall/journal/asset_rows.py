"""Rows of asset events and the values they stand for, alike in both databases. Pure."""

from typing import Any, TypeVar

import msgspec

from dagcall.journal.assets import AssetEventQuery
from dagcall.journal.conditions import Conditions
from dagcall.model.assets import AssetEvent, Source

SomeConditions = TypeVar("SomeConditions", bound=Conditions)


def event_row(event: AssetEvent) -> tuple[Any, ...]:
    """The columns of the databases' `insert_asset_event.sql`."""
    source = event.source
    return (
        event.id, event.asset_id, event.timestamp, source.dag_id, source.task_id, source.run_id, source.map_index,
        event.extra, msgspec.json.encode(event.aliases).decode(), event.partition_key,
    )  # fmt: skip


def event_of(row: tuple[Any, ...]) -> AssetEvent:
    id, asset_id, timestamp, dag_id, task_id, run_id, map_index, extra, aliases, partition_key = row
    source = Source(dag_id, task_id, run_id, map_index)
    names = tuple(msgspec.json.decode(aliases, type=list[str]))
    return AssetEvent(id, asset_id, timestamp, extra, source, names, partition_key)


def add_query(where: SomeConditions, query: AssetEventQuery) -> SomeConditions:
    if query.aliases is None:
        where.one_of("asset_id", query.asset_ids)
    else:
        itself = where.is_one_of("asset_id", query.asset_ids or ())
        named = where.is_one_of("alias", query.aliases)
        where.add(f"({itself} OR id IN (SELECT event_id FROM asset_event_aliases WHERE {named}))")
    where.equal("source_dag_id", query.source_dag_id)
    if query.source_dag_ids is not None:
        where.add(f"(source_dag_id IS NULL OR {where.is_one_of('source_dag_id', query.source_dag_ids)})")
    where.equal("source_task_id", query.source_task_id)
    where.equal("source_run_id", query.source_run_id)
    where.equal("source_map_index", query.source_map_index)
    where.within("timestamp", query.timestamp)
    if query.consumed_by is not None:
        dag_id, run_id = map(where.value, query.consumed_by)
        consumed = f"SELECT event_id FROM asset_consumption WHERE dag_id = {dag_id} AND run_id = {run_id}"
        where.add(f"id IN ({consumed})")
    return where
