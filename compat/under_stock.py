"""Run DAGs with `dag.test()` of stock Airflow, each in a process, a database and a folder of its own.

    python compat/under_stock.py ORDER.json RESULTS.json

ORDER: {"seconds": limit, "jobs": at once, "home": folder, "runs": [[dag_id, logical date or null], ...]}. Processes
are forked from this one, which has parsed the DAGs folder but run nothing, and each works on a copy of the database
that knows all DAGs. RESULTS: for each run {"state", "instances": [[task_id, map_index, state], ...]}, or {"error"},
or {"timeout": true} for one that had to be ended.
"""

import json
import os
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import psutil

Run = tuple[str, str | None]


def main(order_path: str, results_path: str) -> None:
    order = json.loads(Path(order_path).read_text())
    home = Path(order["home"])
    database = home / "all.db"
    os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{database}"
    dags = _prepare()
    results: list[dict[str, Any] | None] = [None] * len(order["runs"])
    waiting = list(enumerate(order["runs"]))
    active: dict[int, tuple[int, float]] = {}
    while waiting or active:
        while waiting and len(active) < order["jobs"]:
            number, (dag_id, date) = waiting.pop(0)
            own = home / f"run-{number}"
            own.mkdir()
            shutil.copy(database, own / "airflow.db")
            pid = os.fork()
            if pid == 0:
                _become(own, dags[dag_id], date)
            active[pid] = (number, time.monotonic() + order["seconds"])
        for pid, result in _ended(active, home):
            number, _ = active.pop(pid)
            results[number] = result
            print(f"stock: {order['runs'][number][0]}: {result.get('state', 'no end')}", flush=True)
        time.sleep(0.05)
    Path(results_path).write_text(json.dumps(results))


def _prepare() -> dict[str, Any]:
    """A database that knows every DAG; the live DAGs by id."""
    from airflow.utils.db import initdb

    initdb()
    from airflow import settings
    from airflow.dag_processing.bundles.manager import DagBundlesManager
    from airflow.dag_processing.dagbag import BundleDagBag, sync_bag_to_db

    manager = DagBundlesManager()
    manager.sync_bundles_to_db()
    (bundle,) = manager.get_all_dag_bundles()
    bundle.initialize()
    bag = BundleDagBag(dag_folder=bundle.path, bundle_path=bundle.path, bundle_name=bundle.name)
    for file, text in bag.import_errors.items():
        print(f"stock: {file} does not import: {text}", file=sys.stderr)
    sync_bag_to_db(bag, bundle.name, None)
    settings.dispose_orm()
    from airflow.api_fastapi.execution_api.app import InProcessExecutionAPI

    InProcessExecutionAPI().app  # noqa: B018 - what takes seconds the first time is done once, for all forks
    # `DAG.test` would parse the whole folder again each time.
    DagBundlesManager.get_all_dag_bundles = lambda self: iter(())  # type: ignore[method-assign]
    _spare_empty_tasks()
    return dict(bag.dags)


def _spare_empty_tasks() -> None:
    """`DagRun.schedule_tis` marks tasks of EmptyOperator as successful; `DAG.test`, unlike the scheduler, runs them, and
    so renders their templates."""
    from airflow.sdk.definitions import dag as module

    stock = module._run_task

    def run_task(*, ti: Any, task: Any, **more: Any) -> Any:
        callbacks = task.on_execute_callback or task.on_success_callback
        if task.inherits_from_empty_operator and not (callbacks or task.outlets or task.inlets):
            ti.set_state("success")
            return None
        return stock(ti=ti, task=task, **more)

    module._run_task = run_task


def _become(own: Path, dag: Any, date: str | None) -> None:
    """Run the DAG in this forked process, write its result, end."""
    status = 1
    try:
        os.setsid()
        output = os.open(own / "output.txt", os.O_WRONLY | os.O_CREAT)
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.chdir(own)
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"] = f"sqlite:///{own / 'airflow.db'}"
        (own / "result.json").write_text(json.dumps(_run(dag, date)))
        status = 0
    except BaseException as error:
        (own / "result.json").write_text(json.dumps({"error": f"{type(error).__name__}: {error}"}))
        sys.excepthook(*sys.exc_info())
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _run(dag: Any, date: str | None) -> dict[str, Any]:
    from airflow import settings

    settings.configure_vars()
    settings.configure_orm()
    run = dag.test(logical_date=None if date is None else datetime.fromisoformat(date))
    session = settings.Session()
    instances = run.get_task_instances(session=session)
    found = [[ti.task_id, ti.map_index, str(ti.state) if ti.state else "none"] for ti in instances]
    return {"state": str(run.state), "instances": sorted(found)}


def _ended(active: dict[int, tuple[int, float]], home: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """What has ended, or was ended because its time is over."""
    for pid, (number, deadline) in list(active.items()):
        if os.waitpid(pid, os.WNOHANG)[0]:
            written = home / f"run-{number}" / "result.json"
            yield pid, json.loads(written.read_text()) if written.exists() else {"error": "its process died"}
        elif time.monotonic() > deadline:
            _end_family(pid)
            os.waitpid(pid, 0)
            yield pid, {"timeout": True}


def _end_family(pid: int) -> None:
    with suppress(psutil.NoSuchProcess):
        for process in [*psutil.Process(pid).children(recursive=True), psutil.Process(pid)]:
            with suppress(psutil.NoSuchProcess):
                process.send_signal(signal.SIGKILL)


if __name__ == "__main__":
    main(*sys.argv[1:])
