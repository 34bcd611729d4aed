"""Topic `recording`: runs that have ended, written into Airflow's metadata database.

Guarantees. A run is written whole or not at all, in a state that is final: nothing for the scheduler to do. It is written
once: dag_id and run_id are unique, and what is there already, of whoever's making, is never changed. Its asset events
are registered with Airflow's own asset manager in the same transaction, so that the DAGs that wait for them are queued as
if the run had been Airflow's.

Authoritative for what Airflow knows of a DAG is Airflow: no DAG, DAG version, pool or bundle is ever made here. What is
the scheduler's is not touched.

Refuses databases without `ON CONFLICT` and `RETURNING` (MySQL): without them "once" would be a hope.
"""

import contextlib
import logging
import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import delete, exists, select
from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.orm import Session

from dagcall.airflow_bridge import recording_assets, recording_logs
from dagcall.airflow_bridge.recording_dags import KnownDag, KnownDags
from dagcall.airflow_bridge.recording_rows import MARK, Rows, Unwritable
from dagcall.airflow_bridge.topics import NotNow, Refused, question
from dagcall.model.finished_run import FinishedRun, Receipt

log = logging.getLogger("dagcall.recorder")

_runs = msgspec.msgpack.Decoder(FinishedRun)
_dags = KnownDags()
DIALECTS = ("postgresql", "sqlite")
_FORGOTTEN_AT_ONCE = 200
NICENESS = 10


def begin() -> None:
    """Where calls and this process share processors, calls go first. A priority is each thread's own on Linux, and that of
    a new thread is that of who starts it."""
    for thread in os.listdir("/proc/self/task"):
        with contextlib.suppress(OSError):  # it has ended
            os.setpriority(os.PRIO_PROCESS, int(thread), NICENESS)


@question
def check() -> dict[str, Any]:
    """Whether runs can be recorded in a database of this kind."""
    dialect = _dialect()
    return {"is_supported": dialect in DIALECTS, "dialect": dialect}


class _Written(NamedTuple):
    receipts: list[Receipt]
    reasons: dict[int, str]


@question
def write(runs: list[bytes]) -> dict[str, Any]:
    """`runs`: each a FinishedRun as MessagePack. Returns a `Receipt` for each, in `receipts`, and `reasons` for what was
    refused, by its place. Raises NotNow when the database cannot be written now; nothing was written then."""
    if _dialect() not in DIALECTS:
        raise Refused("database", f"runs cannot be recorded in a metadata database of the kind {_dialect()}")
    finished = [_runs.decode(run) for run in runs]
    try:
        dags = _dags.of({run.dag_id for run in finished})
        written = _write_each(finished, dags)
    except OperationalError as error:
        raise NotNow(f"Airflow's metadata database cannot be written: {_told(error)}") from error
    return {"receipts": written.receipts, "reasons": written.reasons}


@question
def known(dag_ids: list[str]) -> list[str]:
    """Those of them that Airflow has, and may start."""
    try:
        return sorted(dag_id for dag_id, dag in _dags.of(set(dag_ids)).items() if dag is not None)
    except OperationalError as error:
        raise NotNow(f"Airflow's metadata database cannot be read: {_told(error)}") from error


@question
def forget(before: float) -> int:
    """Delete some of the runs that were recorded from here and began before this time, with all that belongs to them; how
    many. One that was cleared since is Airflow's own, and stays."""
    from airflow.models.dagrun import DagRun
    from airflow.models.taskinstance import TaskInstance
    from airflow.utils.session import create_session

    from dagcall.airflow_bridge.recording_rows import at

    runs, tasks = DagRun.__table__.c, TaskInstance.__table__.c
    of_ours = exists().where(
        tasks.dag_id == runs.dag_id, tasks.run_id == runs.run_id, tasks.external_executor_id == MARK
    )
    old = (
        select(runs.id)
        .where(runs.run_after < at(before), runs.clear_number == 0, runs.state.in_(("success", "failed")), of_ours)
        .order_by(runs.run_after)
        .limit(_FORGOTTEN_AT_ONCE)
    )
    try:
        with create_session() as session:
            ids = session.scalars(old).all()
            if ids:  # all that belongs to them goes with them, by the database's own rules
                session.execute(delete(DagRun.__table__).where(runs.id.in_(ids)))
    except OperationalError as error:
        raise NotNow(f"Airflow's metadata database cannot be written: {_told(error)}") from error
    return len(ids)


def _dialect() -> str:
    from airflow import settings

    assert settings.engine is not None
    return str(settings.engine.dialect.name)


def _write_each(runs: Sequence[FinishedRun], dags: dict[str, KnownDag | None]) -> _Written:
    """All in one transaction; where one of them cannot be written, each in its own."""
    receipts: list[Receipt] = ["refused"] * len(runs)
    places = []
    for place, run in enumerate(runs):
        dag = dags[run.dag_id]
        if dag is None:
            receipts[place] = "unknown_dag"
        elif not run.any_version and not dag.has_tasks({one.task_id for one in run.tasks}):
            receipts[place] = "old_version"
        else:
            places.append(place)
    reasons: dict[int, str] = {}
    if places:
        try:
            found = _write_together([runs[place] for place in places], dags)
        except OperationalError:
            raise
        except (SQLAlchemyError, ValueError, TypeError, Unwritable) as error:
            if len(runs) > 1:
                log.debug("a batch is written run by run: %s", _told(error))
            found = [_write_alone(runs[place], place, dags, reasons) for place in places]
        for place, receipt in zip(places, found, strict=True):
            receipts[place] = receipt
    return _Written(receipts, reasons)


def _write_alone(run: FinishedRun, place: int, dags: dict[str, KnownDag | None], reasons: dict[int, str]) -> Receipt:
    """As it is; or, where the database does not take it, without what PostgreSQL has no place for in JSON."""
    for tamed in (False, True):
        try:
            receipt = _write_together([run], dags, tamed=tamed)[0]
            reasons.pop(place, None)
            return receipt
        except OperationalError:
            raise
        except (SQLAlchemyError, ValueError, TypeError, Unwritable) as error:
            reasons[place] = _told(error)
    return "refused"


def _write_together(
    runs: Sequence[FinishedRun], dags: dict[str, KnownDag | None], *, tamed: bool = False
) -> list[Receipt]:
    from airflow.utils.session import create_session

    rows = Rows(tamed=tamed)
    with_rows = [run for run in runs if run.rows]
    recording_logs.upload(with_rows)
    with create_session() as session:
        recording_assets.lock(session, runs)
        ids = rows.insert_runs(session, [(run, _dag(dags, run)) for run in with_rows])
        new = [run for run in with_rows if (run.dag_id, run.run_id) in ids]
        rows.insert_rest(session, [(run, _dag(dags, run), ids[run.dag_id, run.run_id]) for run in new])
        recording_assets.register(session, runs)
        others = _present(session, [run for run in with_rows if (run.dag_id, run.run_id) not in ids])
    return [_receipt(run, ids, others) for run in runs]


def _dag(dags: dict[str, KnownDag | None], run: FinishedRun) -> KnownDag:
    dag = dags[run.dag_id]
    assert dag is not None
    return dag


def _receipt(run: FinishedRun, ids: dict[tuple[str, str], int], present: set[tuple[str, str]]) -> Receipt:
    key = run.dag_id, run.run_id
    if not run.rows or key in ids:
        return "recorded"
    return "known" if key in present else "date_taken"


def _present(session: Session, runs: Sequence[FinishedRun]) -> set[tuple[str, str]]:
    """Those that Airflow has under their ids."""
    from airflow.models.dagrun import DagRun

    if not runs:
        return set()
    columns = DagRun.__table__.c
    asked = select(columns.dag_id, columns.run_id).where(
        columns.dag_id.in_({run.dag_id for run in runs}), columns.run_id.in_({run.run_id for run in runs})
    )
    return {(dag_id, run_id) for dag_id, run_id in session.execute(asked)}


def _told(error: BaseException) -> str:
    """Without the statement and its values, which may be anybody's data."""
    if isinstance(error, DBAPIError) and error.orig is not None:
        error = error.orig
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"[:300]
