"""Airflow's private names: the table is complete; a server without one is slower, or says so and does not start."""

import ast
import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dagcall.airflow_bridge import private_names
from dagcall.airflow_bridge.private_names import NAMES, missing

BRIDGE = Path(private_names.__file__).parent
PUBLIC = ("airflow.sdk", "airflow.sdk.exceptions", "airflow.sdk.configuration", "airflow.sdk.serde")
MODULES = ("task_runner", "comms", "decorator")
"""Imported as modules, and used by their attributes."""

RENAMES = """
import importlib.machinery, os, sys

NAMES = os.environ["RENAMED"].encode().split()

class Renaming(importlib.machinery.SourceFileLoader):
    def get_code(self, fullname):
        source = self.get_data(self.path)
        if not any(name in source for name in NAMES):
            return super().get_code(fullname)
        for name in NAMES:
            source = source.replace(name, name + b"_of_another_release")
        return self.source_to_code(source, self.path)

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if not name.startswith("airflow."):
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        if spec is not None and type(spec.loader) is importlib.machinery.SourceFileLoader:
            spec.loader = Renaming(spec.loader.name, spec.loader.path)
        return spec

sys.meta_path.insert(0, Finder)
"""
"""As `sitecustomize`: another release of Airflow, in which some names are others."""

CALL = """
import dagcall, sys
with dagcall.Engine(sys.argv[1]) as engine:
    print(engine.call("double", n=4))
"""

DAG = """
from airflow.sdk import dag, result, task

@dag(schedule=None, params={"n": 1})
def double():
    @task
    def twice(params):
        return [params["n"]] * 2
    @task
    def each(n):
        print("here")
        return n * 2
    @result
    @task
    def total(values):
        return sum(values)
    total(each.expand(n=twice()))
double()
"""


def used() -> Iterator[tuple[str, str]]:
    """Module and name of what `airflow_bridge` takes from the Task SDK beyond its public modules."""
    for path in BRIDGE.rglob("*.py"):
        tree = ast.parse(path.read_text())
        modules: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("airflow.sdk"):
                for one in node.names:
                    if one.name in MODULES:
                        modules[one.asname or one.name] = f"{node.module}.{one.name}"
                    elif node.module not in PUBLIC and one.name not in ("structlog",):
                        yield node.module or "", one.name
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
                yield modules[node.value.id], node.attr


def renamed(names: str, tmp_path: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """A program that finds an Airflow in which `names` are called otherwise."""
    (tmp_path / "sitecustomize.py").write_text(RENAMES)
    known = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW", "DAGCALL"))}
    own = {
        "AIRFLOW_HOME": str(tmp_path / "home"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "PYTHONPATH": f"{tmp_path}{os.pathsep}{BRIDGE.parents[1]}",
        "RENAMED": names,
    }
    return subprocess.run(
        [sys.executable, *command], env=known | own, capture_output=True, text=True, timeout=110, check=False
    )


@pytest.fixture
def dags(tmp_path: Path) -> str:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "double.py").write_text(DAG)
    return str(folder)


def test_the_table_has_all_that_is_used() -> None:
    table = {(one.module, one.name.partition(".")[0]) for one in NAMES}
    assert set(used()) - table == set()


def test_this_airflow_has_them_all() -> None:
    assert missing() == []


def test_without_a_shortcut_it_is_slower_and_says_so(tmp_path: Path, dags: str) -> None:
    names, lost = "prevent_duplicates structlog_processors", "log lines, mapped operators, redact_jwt"
    done = renamed(names, tmp_path, "-c", CALL, dags)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["16"]), done.stderr
    assert done.stderr.count(f"slower: {lost}") == 1
    doctor = renamed(names, tmp_path, "-m", "dagcall.cli", "doctor")
    assert any("private names" in line and "warn" in line and lost in line for line in doctor.stdout.splitlines())


def test_without_what_tasks_need_nothing_starts(tmp_path: Path, dags: str) -> None:
    done = renamed("_push_xcom_if_needed", tmp_path, "-c", CALL, dags)
    assert done.returncode == 1
    version = importlib.metadata.version("apache-airflow")
    refusal = f"dagcall: Airflow {version} (Task SDK "
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(refusal)]
    assert "airflow.sdk.execution_time.task_runner._push_xcom_if_needed" in line
    assert "docs/versions.md" in line
    checked = renamed("_push_xcom_if_needed", tmp_path, "-m", "dagcall.airflow_bridge.private_names")
    assert checked.returncode == 1
    assert json.loads(checked.stdout)["missing"] == ["airflow.sdk.execution_time.task_runner._push_xcom_if_needed"]


def test_another_function_under_the_same_name_is_missed(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner

    monkeypatch.setattr(task_runner, "_execute_task", lambda ti, context: None)
    assert [one.name for one in missing()] == ["_execute_task"]
