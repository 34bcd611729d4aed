"""The examples are ordinary Airflow DAG files: stock Airflow parses and runs them, without dagcall."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

DAGS = Path(__file__).parents[2] / "examples" / "dags"

# Runs in a process of its own, because Airflow reads its configuration once, when it is imported.
RUNNER = """
import json, pathlib, sys
from airflow.dag_processing.dagbag import BundleDagBag

folder, calls, out = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2]), pathlib.Path(sys.argv[3])
bag = BundleDagBag(folder, bundle_path=folder, bundle_name="dags-folder")
assert not bag.import_errors, bag.import_errors
runs = []
for conf in calls:
    run = bag.dags["ask_astro"].test(run_conf=conf, logical_date=None)
    instances = run.get_task_instances()
    answer = next(each for each in instances if each.task_id == "answer")
    runs.append({
        "state": str(run.state),
        "tasks": sorted([each.task_id, each.map_index, str(each.state)] for each in instances),
        "result": answer.xcom_pull(task_ids="answer"),
    })
from ask_astro_lib.corpus import read_passages
wrong = []
for statement in {each.hint.split("`")[1] for each in read_passages() if each.hint.startswith("Import it by")}:
    try:
        exec(statement, {})
    except Exception as error:
        wrong.append(f"{statement}: {error!r}")
files = sorted(pathlib.Path(stat.file).name for stat in bag.dagbag_stats)
out.write_text(json.dumps({"runs": runs, "files": files, "wrong_imports": wrong}))
"""

QUESTION = "What is the maximum number of task instances that can run at once?"


@pytest.fixture(scope="module")
def stock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    home = tmp_path_factory.mktemp("airflow_home")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")} | {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
    }

    def run(*command: str) -> None:
        done = subprocess.run(
            [sys.executable, *command], env=environment, cwd=home, capture_output=True, text=True, timeout=180
        )
        assert done.returncode == 0, f"exit code {done.returncode}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"

    calls = [
        {"question": QUESTION},
        {"question": QUESTION, "verify": False},
        {"question": "What is the capital of France?"},
    ]
    run("-m", "airflow", "db", "migrate")
    run("-c", RUNNER, str(DAGS), json.dumps(calls), str(home / "report.json"))
    report: dict[str, Any] = json.loads((home / "report.json").read_text())
    return report


@pytest.fixture(scope="module")
def runs(stock: dict[str, Any]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = stock["runs"]
    return listed


def test_helper_packages_are_not_taken_for_dag_files(stock: dict[str, Any]) -> None:
    assert "ask_astro.py" in stock["files"]
    assert not {path.name for path in (DAGS / "ask_astro_lib").glob("*.py")} & set(stock["files"])


def test_every_import_it_recommends_works(stock: dict[str, Any]) -> None:
    assert stock["wrong_imports"] == []


def test_answers_with_sources(runs: list[dict[str, Any]]) -> None:
    run = runs[0]
    assert run["state"] == "success"
    assert run["tasks"] == [
        ["answer", -1, "success"],
        ["deduplicate", -1, "success"],
        *[["find_answers", index, "success"] for index in range(3)],
        ["rephrase", -1, "success"],
        *[["verify", index, "success"] for index in range(3)],
    ]
    result = run["result"]
    assert set(result) == {"question", "answer", "sources", "verified", "questions"}
    assert result["question"] == result["questions"][0] == QUESTION
    assert "AIRFLOW__CORE__PARALLELISM" in result["answer"]
    assert result["sources"][0]["location"] == "airflow.cfg [core] parallelism"
    assert result["verified"] is True


def test_skipping_verify_does_not_skip_the_answer(runs: list[dict[str, Any]]) -> None:
    run = runs[1]
    assert run["state"] == "success"
    assert {state for task, _, state in run["tasks"] if task == "verify"} == {"skipped"}
    assert run["result"]["sources"][0]["location"] == "airflow.cfg [core] parallelism"
    assert run["result"]["verified"] is False


def test_says_so_when_there_is_no_answer(runs: list[dict[str, Any]]) -> None:
    run = runs[2]
    assert run["state"] == "success"
    assert ["verify", -1, "skipped"] in run["tasks"]  # mapped over nothing
    assert run["result"]["sources"] == []
    assert run["result"]["verified"] is False
    assert "does not answer" in run["result"]["answer"]
