"""The rows of a run in Airflow's metadata database.

By table, many runs at once: SQLAlchemy makes one statement of thousands of rows. Every value that a model would take from
elsewhere (defaults per row, the latest log template) is given, since a row of its own for each would be what takes time.
"""

import json
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec
from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from dagcall.airflow_bridge import storage
from dagcall.airflow_bridge.recording_dags import KnownDag
from dagcall.model.finished_run import FinishedRun, FinishedTask, FinishedXCom
from dagcall.model.references import STORED_XCOM

MARK: Final = "dagcall"
"""`external_executor_id` of what was recorded. Clearing a task empties it: from then on it is Airflow's."""

Key = tuple[str, str]


class Unwritable(Exception):
    """A value that cannot be had any more."""


def at(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


class Rows:
    """Of one transaction. `tamed`: without NUL, NaN and infinities, for which PostgreSQL's JSON has no place."""

    def __init__(self, *, tamed: bool = False) -> None:
        self._tamed = tamed
        self._now = datetime.now(UTC)

    def insert_runs(self, session: Session, runs: Sequence[tuple[FinishedRun, KnownDag]]) -> dict[Key, int]:
        """The ids of those that were not there yet."""
        from airflow.models.dagrun import DagRun
        from airflow.models.tasklog import LogTemplate

        if not runs:
            return {}
        template = session.scalar(select(func.max(LogTemplate.__table__.c.id)))
        table: Any = DagRun.__table__
        statement = _insert(session, table).on_conflict_do_nothing()
        statement = statement.returning(table.c.id, table.c.dag_id, table.c.run_id)
        rows = [self._run(run, dag, template) for run, dag in runs]
        return {(dag_id, run_id): id_ for id_, dag_id, run_id in session.execute(statement, rows)}

    def insert_rest(self, session: Session, runs: Sequence[tuple[FinishedRun, KnownDag, int]]) -> None:
        """What belongs to runs that were just inserted."""
        from airflow.models.dagrun import DagRunNote
        from airflow.models.renderedtifields import RenderedTaskInstanceFields
        from airflow.models.taskinstance import TaskInstance
        from airflow.models.taskinstancehistory import TaskInstanceHistory
        from airflow.models.taskmap import TaskMap
        from airflow.models.xcom import XComModel

        tasks = [(run, dag, task) for run, dag, _ in runs for task in run.tasks]
        values = [(run, number, one, self._value(one)) for run, _, number in runs for one in run.xcoms]
        tables: list[tuple[Any, list[dict[str, Any]]]] = [
            (TaskInstance, [self._task(run, dag, task) for run, dag, task in tasks]),
            (TaskInstanceHistory, [row for run, dag, task in tasks for row in self._tries(run, dag, task)]),
            (XComModel, [self._xcom(run, number, one, value) for run, number, one, value in values]),
            (TaskMap, [row for run, _, one, value in values for row in self._task_map(run, one, value)]),
            (RenderedTaskInstanceFields, [row for run, _, task in tasks for row in self._rendered(run, task)]),
            (DagRunNote, [self._note(run, number) for run, _, number in runs if run.note]),
        ]
        for model, rows in tables:
            if rows:
                session.execute(_insert(session, model.__table__), rows)

    def _run(self, run: FinishedRun, dag: KnownDag, template: int | None) -> dict[str, Any]:
        date = at(run.logical_date)
        return {
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "state": run.state,
            "queued_at": at(run.queued_at),
            "run_after": at(run.run_after),
            "logical_date": date,
            "data_interval_start": date,
            "data_interval_end": date,
            "start_date": at(run.start_date if run.start_date is not None else run.end_date),
            "end_date": at(run.end_date),
            "run_type": run.run_type,
            "triggered_by": _triggered_by(run.triggered_by),
            "triggering_user_name": run.caller[:512] or None,
            "conf": self._tame(json.loads(run.conf)),
            "last_scheduling_decision": at(run.end_date),
            "log_template_id": template,
            "created_at": at(run.queued_at),
            "updated_at": self._now,
            "clear_number": 0,
            "bundle_version": dag.bundle_version,
            "created_dag_version_id": dag.version_id,
            "context_carrier": {},
        }

    def _task(self, run: FinishedRun, dag: KnownDag, task: FinishedTask) -> dict[str, Any]:
        return {
            "id": uuid.UUID(task.id),
            **self._of_task(run, dag, task),
            "state": task.state,
            "try_number": task.try_number,
            **_times(task.start_date, task.end_date),
            "hostname": task.hostname[:1000],
            "pid": task.pid or None,
        }

    def _tries(self, run: FinishedRun, dag: KnownDag, task: FinishedTask) -> Iterator[dict[str, Any]]:
        common = self._of_task(run, dag, task) if task.tries else {}
        for one in task.tries:
            yield {
                "task_instance_id": uuid.UUID(one.id),
                **common,
                "state": one.state,
                "try_number": one.try_number,
                **_times(one.start_date, one.end_date),
                "hostname": task.hostname[:1000],
                "pid": None,
            }

    def _of_task(self, run: FinishedRun, dag: KnownDag, task: FinishedTask) -> dict[str, Any]:
        """What all its tries have in common, in both tables."""
        queued = at(task.queued_at)
        return {
            "task_id": task.task_id,
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "map_index": task.map_index,
            "max_tries": task.max_tries,
            "unixname": _unixname(),
            "pool": task.pool,
            "pool_slots": task.pool_slots,
            "queue": task.queue,
            "priority_weight": task.priority_weight,
            "operator": task.operator[:1000],
            "custom_operator_name": dag.operators.get(task.task_id, "")[:1000],
            "queued_dttm": queued,
            "scheduled_dttm": queued,
            "executor_config": {},
            "updated_at": self._now,
            "rendered_map_index": None if task.rendered_map_index is None else task.rendered_map_index[:250],
            "external_executor_id": MARK,
            "task_display_name": task.task_display_name[:2000],
            "dag_version_id": dag.version_id,
            "context_carrier": {},
        }

    def _xcom(self, run: FinishedRun, number: int, one: FinishedXCom, value: Any) -> dict[str, Any]:
        return {
            "dag_run_id": number,
            "task_id": one.task_id,
            "map_index": one.map_index,
            "key": one.key,
            "dag_id": run.dag_id,
            "run_id": run.run_id,
            "value": self._tame(value),
            "dag_result": one.is_result,
            "timestamp": at(run.end_date),
        }

    def _task_map(self, run: FinishedRun, one: FinishedXCom, value: Any) -> Iterator[dict[str, Any]]:
        if one.mapped_length is not None:
            yield {
                "dag_id": run.dag_id,
                "task_id": one.task_id,
                "run_id": run.run_id,
                "map_index": one.map_index,
                "length": one.mapped_length,
                "keys": list(value) if isinstance(value, Mapping) else None,
            }

    def _rendered(self, run: FinishedRun, task: FinishedTask) -> Iterator[dict[str, Any]]:
        if task.rendered_fields:
            yield {
                "dag_id": run.dag_id,
                "task_id": task.task_id,
                "run_id": run.run_id,
                "map_index": task.map_index,
                "rendered_fields": self._tame(json.loads(task.rendered_fields)),
                "k8s_pod_yaml": None,
            }

    def _note(self, run: FinishedRun, number: int) -> dict[str, Any]:
        times = {"created_at": self._now, "updated_at": self._now}
        return {"dag_run_id": number, "content": (run.note or "")[:1000], "user_id": None, **times}

    def _value(self, one: FinishedXCom) -> Any:
        """Raises Unwritable when it is stored, and gone."""
        value = msgspec.msgpack.decode(one.value)
        if isinstance(value, msgspec.msgpack.Ext) and value.code == STORED_XCOM:
            uri = bytes(value.data).decode()
            try:
                value = msgspec.msgpack.decode(storage.read(uri))
            except Exception as error:
                raise Unwritable(f"XCom {one.key!r} of task {one.task_id!r} cannot be read from its store") from error
        return value

    def _tame(self, value: Any) -> Any:
        return tame(value) if self._tamed else value


def tame(value: Any) -> Any:
    """Numbers that are none as text, as Airflow 3's migration has them; NUL as the character for what cannot be shown."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return str(value)
    if isinstance(value, list | tuple):
        return [tame(one) for one in value]
    if isinstance(value, dict):
        return {tame(key): tame(one) for key, one in value.items()}
    return value


def _insert(session: Session, table: Any) -> Any:
    """PostgreSQL's and SQLite's statements have the same words."""
    is_sqlite = session.get_bind().dialect.name == "sqlite"
    return (sqlite.insert if is_sqlite else postgresql.insert)(table)


def _times(start: float | None, end: float | None) -> dict[str, Any]:
    duration = None if start is None or end is None else end - start
    return {"start_date": at(start), "end_date": at(end), "duration": duration}


def _unixname() -> str:
    from airflow.utils.platform import getuser

    return getuser()


def _triggered_by(name: str) -> Any:
    from airflow.utils.types import DagRunTriggeredByType

    try:
        return DagRunTriggeredByType(name)
    except ValueError:
        return None
