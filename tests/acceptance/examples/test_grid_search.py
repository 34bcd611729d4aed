"""The example `grid_search`: its section of the README, and a whole grid against the same trainings done here."""

import itertools
import os
import subprocess
import sys
from typing import Any

import pytest

import dagcall

from ..serving import Server
from .sections import ROOT, commands, run

sys.path.append(str(ROOT / "examples" / "dags"))  # as Airflow does with a DAGs folder

from grid_search_lib.dataset import friedman
from grid_search_lib.network import Hyperparameters
from grid_search_lib.validation import loss_of_fold, split, summarise

RATES, UNITS, PENALTIES = (0.01, 0.1, 1.0), (4, 32), (0.0, 0.003)
GRID = [
    {"learning_rate": rate, "hidden_units": units, "l2": penalty}
    for rate, units, penalty in itertools.product(RATES, UNITS, PENALTIES)
]
EPOCHS, FOLDS, SEED = 20, 3, 7
Point = tuple[float, int, float]


def point_of(params: dict[str, Any]) -> Point:
    return params["learning_rate"], params["hidden_units"], params["l2"]


def trained_here(learning_rate: float, hidden_units: int, l2: float) -> float | None:
    data = friedman(rows=600, seed=1991)
    chosen = Hyperparameters(learning_rate, hidden_units, l2, EPOCHS, SEED)
    return summarise([loss_of_fold(data, fold, chosen) for fold in split(600, FOLDS, SEED)])[0]


def test_the_readme_is_what_happens(examples: Server) -> None:
    for command in commands("grid_search"):
        run(command, examples)


def test_every_set_gets_its_own_answer_and_the_best_is_the_best(examples: Server) -> None:
    fixed = {"epochs": EPOCHS, "folds": FOLDS, "seed": SEED}
    with dagcall.Client(examples.url) as client:
        answers = list(client.map("grid_search", [each | fixed for each in GRID]))
    assert len(answers) == len(GRID)
    losses: dict[Point, float | None] = {}
    for params, answer in answers:
        assert answer["params"] == params
        losses[point_of(params)] = answer["loss"]
    expected = {point_of(each): trained_here(**each) for each in GRID}
    assert losses == {point: loss and pytest.approx(loss, rel=1e-4) for point, loss in expected.items()}

    known = {point: loss for point, loss in losses.items() if loss is not None}
    assert 0 < len(known) < len(GRID), "a set with which training diverges has an answer, too"
    assert len(set(known.values())) == len(known), "different sets, different losses"
    ranking = sorted(known, key=known.__getitem__)
    assert ranking == sorted(known, key=lambda point: expected[point] or 0.0)
    assert known[ranking[0]] < 0.6 * known[ranking[-1]]


def test_the_script_without_a_server_stops_and_says_so() -> None:
    done = subprocess.run(
        [sys.executable, "examples/callers/grid_search.py"],
        cwd=ROOT,
        env=os.environ | {"DAGCALL_URL": "http://127.0.0.1:1", "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("The search cannot go on: No answer from http://127.0.0.1:1")


def test_params_out_of_range_are_refused_and_named(examples: Server) -> None:
    answer = examples.call("grid_search", learning_rate=0, hidden_units=1.5, l2=2)
    assert answer.status_code == 422
    assert [each["field"] for each in answer.json()["errors"]] == ["learning_rate", "hidden_units", "l2"]
