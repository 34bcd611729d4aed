"""What Airflow knows of DAGs, asked of its database and remembered for seconds: its dag-processor may learn of a changed
file at any time, and a batch of runs each second must not ask each time."""

import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import func, select

FRESH = 5.0
"""Seconds."""


@dataclass(frozen=True)
class KnownDag:
    """The latest version of a DAG."""

    version_id: UUID
    bundle_version: str | None
    operators: Mapping[str, str] = field(repr=False)
    """How each task's operator is shown, by task id; empty: by its class."""

    def has_tasks(self, task_ids: Collection[str]) -> bool:
        """Whether a run with these can be one of this version."""
        return self.operators.keys() >= set(task_ids)


class KnownDags:
    """Not thread-safe in the sense of asking once only; two that ask at once both get the right answer."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, KnownDag | None]] = {}
        self._versions: dict[UUID, KnownDag] = {}

    def of(self, dag_ids: Collection[str]) -> dict[str, KnownDag | None]:
        """None: Airflow has no such DAG, or none that it would run (its file is gone). Raises SQLAlchemyError."""
        now = time.monotonic()
        asked = [one for one in dag_ids if one not in self._known or self._known[one][0] < now - FRESH]
        if asked:
            found = self._ask(asked)
            for dag_id in asked:
                self._known[dag_id] = now, found.get(dag_id)
        return {dag_id: self._known[dag_id][1] for dag_id in dag_ids}

    def _ask(self, dag_ids: Collection[str]) -> dict[str, KnownDag]:
        from airflow.models.dag import DagModel
        from airflow.models.dag_version import DagVersion
        from airflow.models.serialized_dag import SerializedDagModel
        from airflow.utils.session import create_session

        newest = (
            select(DagVersion.dag_id, func.max(DagVersion.version_number).label("number"))
            .where(DagVersion.dag_id.in_(dag_ids))
            .group_by(DagVersion.dag_id)
            .subquery()
        )
        latest = (
            select(DagVersion.id, DagVersion.dag_id, DagVersion.bundle_version)
            .join(newest, (newest.c.dag_id == DagVersion.dag_id) & (newest.c.number == DagVersion.version_number))
            .join(DagModel, DagModel.dag_id == DagVersion.dag_id)
            .where(DagModel.is_stale.is_(False))
        )
        known = {}
        with create_session() as session:
            for version_id, dag_id, bundle_version in session.execute(latest):
                if version_id not in self._versions:
                    asked = select(SerializedDagModel).where(SerializedDagModel.dag_version_id == version_id)
                    serialized = session.scalar(asked)
                    data = serialized.data if serialized is not None else None
                    self._versions[version_id] = KnownDag(version_id, bundle_version, _operators(data))
                known[dag_id] = self._versions[version_id]
        return known


def _operators(data: Any) -> dict[str, str]:
    """Of a serialized DAG, whose tasks are in envelopes."""
    tasks = [one.get("__var") or one for one in (data or {}).get("dag", {}).get("tasks", ())]
    return {str(one.get("task_id")): str(one.get("_operator_name") or "") for one in tasks}
