"""The example `ask_astro` under stock Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from .conftest import EXAMPLES, UnderStock

QUESTION = "What is the maximum number of task instances that can run at once?"

# In a process of its own: what is recommended is imported, whatever that brings with it.
IMPORT_ALL = """
import json, pathlib, sys
sys.path.append(sys.argv[1])
from ask_astro_lib.corpus import read_passages
statements = {each.hint.split("`")[1] for each in read_passages() if each.hint.startswith("Import it by")}
wrong = []
for statement in sorted(statements):
    try:
        exec(statement, {})
    except Exception as error:
        wrong.append(f"{statement}: {error!r}")
pathlib.Path(sys.argv[2]).write_text(json.dumps({"tried": len(statements), "wrong": wrong}))
"""


@pytest.fixture(scope="module")
def runs(under_stock: UnderStock) -> list[dict[str, Any]]:
    return under_stock(
        "ask_astro",
        "answer",
        {"question": QUESTION},
        {"question": QUESTION, "verify": False},
        {"question": "What is the capital of France?"},
    )


def test_every_import_it_recommends_works(stock_environment: dict[str, str], tmp_path: Path) -> None:
    out = tmp_path / "imports.json"
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, str(EXAMPLES / "dags"), str(out)],
        env=stock_environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    found = json.loads(out.read_text())
    assert found["wrong"] == []
    assert found["tried"] > 50


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
