"""Stock Airflow's side: reads lists of specs, one a line, runs each with `dag.test()`, writes how everything ended.

    AIRFLOW_HOME=(an empty folder) python stock.py

Two things of `dag.test()` are made certain that are chance in it and in the scheduler:

- The order in which one wave of tasks runs: as in the file, not as in a set. A task that another one of the same wave
  skipped or stopped is not run any more, as no scheduler would.
- The order of the checks before a task is scheduled, where two of them would set different states: the trigger rule,
  then what is mapped over, then branches (`TI.get_failed_dep_statuses` walks a set of them).
"""

import json
import logging
import os
import sys
import time
from pathlib import Path
from typing import Any

from specs import tasks_of

CHECKS = ["Not In Retry Period", "Trigger Rule", "Mapped dependencies have succeeded", "Not Previously Skipped"]


def make_certain() -> None:
    from airflow import settings
    from airflow.models.taskinstance import TaskInstance
    from airflow.sdk.definitions import dag as sdk_dag
    from airflow.ti_deps.dep_context import DepContext
    from airflow.utils.state import TaskInstanceState

    def in_order(ti: Any, dep_context: Any = None, *, session: Any) -> Any:
        context = dep_context or DepContext()
        checks = sorted(
            context.deps | ti.task.deps, key=lambda dep: CHECKS.index(dep.NAME) if dep.NAME in CHECKS else 9
        )
        for check in checks:
            for status in check.get_dep_statuses(ti, context, session=session):
                if not status.passed:
                    yield status

    stock = sdk_dag._run_task

    def run_wave(*, ti: Any, task: Any, run_triggerer: bool = False) -> None:
        """Called for some task of a wave: runs all of it."""
        dag = task.dag
        order = {task_id: number for number, task_id in enumerate(dag.task_dict)}
        session = settings.Session()
        query = session.query(TaskInstance).filter_by(dag_id=ti.dag_id, run_id=ti.run_id, state="scheduled")
        # Tasks that need no worker first: a scheduler marks them successful before it sends anything to one.
        needs_worker = {task_id: not dag.task_dict[task_id].inherits_from_empty_operator for task_id in order}
        wave = sorted(query.all(), key=lambda one: (needs_worker[one.task_id], order[one.task_id], one.map_index))
        for one in wave:
            session.refresh(one)
            if one.state == TaskInstanceState.SCHEDULED:
                stock(ti=one, task=dag.task_dict[one.task_id], run_triggerer=run_triggerer)

    TaskInstance.get_failed_dep_statuses = in_order  # type: ignore[method-assign]
    sdk_dag._run_task = run_wave  # type: ignore[assignment]
    time.sleep = lambda seconds: None  # `dag.test()` would when a round of its loop only skipped something


def results_of(dag: Any) -> dict[str, Any]:
    from airflow import settings
    from airflow.models.xcom import XComModel

    run = dag.test(logical_date=None)
    session = settings.Session()
    instances = [
        [ti.task_id, ti.map_index, str(ti.state) if ti.state else "none", ti.try_number]
        for ti in run.get_task_instances(session=session)
    ]
    rows = session.query(XComModel).filter_by(dag_id=dag.dag_id, run_id=run.run_id)
    xcoms = [[row.task_id, row.map_index, row.key, row.value] for row in rows]
    session.close()
    return {
        "state": str(run.state),
        "instances": sorted(instances),
        "xcoms": sorted(xcoms, key=lambda row: row[:3]),
    }


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)

    folder = Path(os.environ["AIRFLOW_HOME"]) / "dags"
    folder.mkdir(parents=True, exist_ok=True)

    from airflow.utils.db import initdb

    initdb()
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db
    from dags import build

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bundle.initialize()
    # All DAGs are known before they run: `dag.test()` need not parse the folder each time.
    DagBundlesManager.get_all_dag_bundles = lambda self: iter(())  # type: ignore[method-assign]
    make_certain()
    logging.disable(logging.CRITICAL)

    for line in sys.stdin:
        bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name, safe_mode=False)
        specs = {spec["dag_id"]: spec for spec in json.loads(line)}
        for dag_id, spec in specs.items():
            dag = build(spec)
            dag.fileloc, dag.relative_fileloc = str(folder / "generated.py"), "generated.py"
            assert list(dag.task_dict) == [task["task_id"] for task in tasks_of(spec)]
            bag.dags[dag_id] = dag
        sync_bag_to_db(bag, bundle.name, None)
        print(json.dumps([results_of(bag.dags[dag_id]) for dag_id in specs]), file=answers, flush=True)


if __name__ == "__main__":
    main()
