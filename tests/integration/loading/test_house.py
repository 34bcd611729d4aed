"""A deployment with plugins, operators and an XCom backend of its own (`house/`), here and in stock Airflow."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ..serving import Serving, eventually

HOUSE = Path(__file__).parent / "house"
SETTINGS = {
    "AIRFLOW__CORE__PLUGINS_FOLDER": str(HOUSE / "plugins"),
    "AIRFLOW__CORE__XCOM_BACKEND": "house_xcom.HouseXCom",
}
STOCK = """
import json, pathlib, sys
from airflow.utils.db import initdb

initdb()
from airflow.dag_processing.dagbag import BundleDagBag

folder = pathlib.Path(sys.argv[1])
bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
run = bag.dags["house"].test(run_conf={"name": "bea"}, logical_date=None)
instances = {each.task_id: each for each in run.get_task_instances() if each.map_index < 1}
states = {name: str(each.state) for name, each in instances.items()}
value = instances["tell"].xcom_pull(task_ids="tell")
pathlib.Path(sys.argv[2]).write_text(json.dumps([str(run.state), states, value]))
"""


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Path]:
    """State of the run, states of its tasks, the result; and the folder that listener and backend wrote to."""
    home = tmp_path_factory.mktemp("house-stock")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | SETTINGS
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(HOUSE / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOUSE": str(home),
    }
    command = [sys.executable, "-c", STOCK, str(HOUSE / "dags"), str(home / "report.json")]
    ended = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr[-3000:]
    (home / "report.json").rename(home / "report")
    found: list[Any] = json.loads((home / "report").read_text())
    return found, home


def test_it_runs_as_in_stock_airflow(tmp_path: Path, stock: tuple[list[Any], Path]) -> None:
    (state, states, value), written = stock
    assert value == {"first": "Good day, BEA!", "count": 5, "lengths": [14] * 5}
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "house.py").write_text((HOUSE / "dags" / "house.py").read_text())
    with Serving(folder, **SETTINGS, HOUSE=str(tmp_path), PYTHONDONTWRITEBYTECODE="1") as serving:
        run = serving.start("house", {"name": "bea"})
        assert serving.value_of(run) == value
        eventually(lambda: run.head.state.is_final, "the run's end")
        instances = run.machine.instances()
        assert run.head.state.value == state
        assert {one.task.task_id: one.state.value for one in instances if one.map_index < 1} == states
        eventually(lambda: told(tmp_path) == told(written), "the listener was told the same", lambda: told(tmp_path))
    assert len(list(tmp_path.glob("*.json"))) == len(list(written.glob("*.json"))) == 1


def told(folder: Path) -> list[str]:
    return sorted((folder / "told").read_text().splitlines())
