"""Stock Airflow for the examples: they are ordinary DAG files, which it parses and runs without dagcall."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

EXAMPLES = Path(__file__).parents[3] / "examples"
UnderStock = Callable[..., list[dict[str, Any]]]

# Runs in a process of its own, because Airflow reads its configuration once, when it is imported.
RUNNER = """
import json, pathlib, sys
from airflow.dag_processing.dagbag import BundleDagBag

folder, dag_id, result_task, confs, out = pathlib.Path(sys.argv[1]), *sys.argv[2:5], pathlib.Path(sys.argv[5])
bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
runs = []
for conf in json.loads(confs):
    run = bag.dags[dag_id].test(run_conf=conf, logical_date=None)
    instances = run.get_task_instances()
    answer = next(each for each in instances if each.task_id == result_task)
    runs.append({
        "state": str(run.state),
        "tasks": sorted([each.task_id, each.map_index, str(each.state)] for each in instances),
        "result": answer.xcom_pull(task_ids=result_task),
    })
out.write_text(json.dumps(runs))
"""


@pytest.fixture(scope="session")
def stock_environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of an Airflow with a migrated database of its own, whose DAGs folder is that of the examples."""
    home = tmp_path_factory.mktemp("airflow_home")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }
    _python(environment, home, "-m", "airflow", "db", "migrate")
    return environment


@pytest.fixture(scope="session")
def under_stock(stock_environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> UnderStock:
    """`under_stock(dag_id, result_task, *confs)`: a run by `dag.test()` for each conf.

    Each is `{"state": ..., "tasks": [[task_id, map_index, state], ...], "result": XCom of the result task}`.
    """

    def run(dag_id: str, result_task: str, *confs: dict[str, Any]) -> list[dict[str, Any]]:
        folder = tmp_path_factory.mktemp(dag_id)
        arguments = (str(EXAMPLES / "dags"), dag_id, result_task, json.dumps(confs), str(folder / "runs.json"))
        _python(stock_environment, folder, "-c", RUNNER, *arguments)
        runs: list[dict[str, Any]] = json.loads((folder / "runs.json").read_text())
        return runs

    return run


def _python(environment: dict[str, str], folder: Path, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, *arguments], env=environment, cwd=folder, capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
