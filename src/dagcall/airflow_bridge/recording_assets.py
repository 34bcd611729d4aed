"""Asset events of recorded runs, given to Airflow's asset manager as Airflow's own tasks give theirs.

Each once, also when its run is handed over twice: what is there of a task instance of a run is not registered again, and
those who register stand in line (`lock`) on databases where two could look at the same time. Listeners have been told by
the server, beside the run: they are not told again.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from dagcall.model.finished_run import FinishedRun, HandedEvent

_LINE = 7_327_231_846_101
"""Any number that nobody else takes, for PostgreSQL's advisory locks."""


@dataclass(frozen=True)
class Source:
    """What the asset manager asks of a task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int


def lock(session: Session, runs: Sequence[FinishedRun]) -> None:
    """Until the end of the transaction. SQLite lets in one writer at a time anyway."""
    if any(run.events for run in runs) and session.get_bind().dialect.name == "postgresql":
        session.execute(text("SELECT pg_advisory_xact_lock(:line)"), {"line": _LINE})


def register(session: Session, runs: Sequence[FinishedRun]) -> None:
    for run in runs:
        if run.events:
            known = _known(session, run)
            for event in run.events:
                if (event.task_id, event.map_index) not in known:
                    _register(session, run, event)


def _known(session: Session, run: FinishedRun) -> set[tuple[str, int]]:
    from airflow.models.asset import AssetEvent

    asked = select(AssetEvent.source_task_id, AssetEvent.source_map_index).where(
        AssetEvent.source_dag_id == run.dag_id, AssetEvent.source_run_id == run.run_id
    )
    return {(str(task_id), -1 if map_index is None else map_index) for task_id, map_index in session.execute(asked)}


def _register(session: Session, run: FinishedRun, event: HandedEvent) -> None:
    from airflow.assets.manager import asset_manager
    from airflow.models.asset import AssetModel
    from airflow.serialization.definitions.assets import SerializedAsset

    asset = SerializedAsset(
        name=event.name, uri=event.uri, group=event.group, extra=json.loads(event.asset_extra), watchers=[]
    )
    how: dict[str, Any] = {
        "task_instance": Source(run.dag_id, run.run_id, event.task_id, event.map_index),
        "asset": asset,
        "extra": json.loads(event.extra),
        "source_alias_names": event.aliases,
        "partition_key": event.partition_key,
        "callback_sink": [],  # what calls the listeners ends there
        "session": session,
    }
    if asset_manager.register_asset_change(**how) is None:
        # As `register_asset_changes_in_db`: one that is first named through an alias is made then.
        session.add(AssetModel.from_serialized(asset))
        session.flush()
        asset_manager.register_asset_change(**how)
