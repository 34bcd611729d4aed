"""The DAGs of `dags/`, here and in stock Airflow."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest
from msgspec.msgpack import decode

from dagcall.coordinator.run import Run

from ..serving import Serving, eventually

DAGS = Path(__file__).with_name("dags")
FILES = '{"conn_type": "fs", "extra": {"path": "/"}}'


@pytest.fixture(scope="session")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Serves a copy of `dags/`."""
    folder = tmp_path_factory.mktemp("waiting") / "dags"
    copytree(DAGS, folder, ignore=lambda _, names: [name for name in names if name == "__pycache__"])
    with Serving(folder, AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE="True", AIRFLOW_CONN_FS_DEFAULT=FILES) as serving:
        yield serving


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """How the DAGs of one file of `dags/` end in stock Airflow; asked once a file."""
    known: dict[str, Any] = {}

    def ends(name: str) -> Any:
        if name not in known:
            base = tmp_path_factory.mktemp("stock")
            copytree(DAGS, base / "dags")
            results = base / "results.json"
            oracle = subprocess.run(
                [
                    sys.executable,
                    str(Path(__file__).with_name("stock_run.py")),
                    str(base / "dags" / name),
                    str(results),
                ],
                env=os.environ
                | {
                    "AIRFLOW_HOME": str(base / "airflow"),
                    "AIRFLOW__CORE__DAGS_FOLDER": str(base / "dags"),
                    "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                    "AIRFLOW_CONN_FS_DEFAULT": FILES,
                    "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
                },
                capture_output=True,
                text=True,
                check=False,
            )
            assert oracle.returncode == 0, oracle.stdout[-2000:] + oracle.stderr[-4000:]
            known[name] = json.loads(results.read_text())
        return known[name]

    return ends


@pytest.fixture(scope="session")
def end_of(waiting: Serving) -> Callable[..., dict[str, Any]]:
    """How one run of a DAG ends here, in the form of `stock`."""

    def ends(dag_id: str, **conf: Any) -> dict[str, Any]:
        run = waiting.start(dag_id, conf)
        eventually(lambda: run.head.state.is_final, f"the end of {dag_id}", lambda: run.machine.instances())
        return written_down(run)

    return ends


def written_down(run: Run) -> dict[str, Any]:
    xcoms = [[task_id, index, item.key, decode(item.value)] for task_id, index, item in run.machine.xcoms.items()]
    return {
        "state": run.machine.state.value,
        "instances": sorted([*ti.key, ti.state.airflow, ti.try_number] for ti in run.machine.instances()),
        "xcoms": sorted(xcoms),
    }
