"""The example `grid_search` under stock Airflow: an ordinary DAG, and one whose trainings keep to one thread."""

from __future__ import annotations

import subprocess
import sys

from .conftest import EXAMPLES, UnderStock

COUNT_THREADS = """
import os, sys
sys.path.append(sys.argv[1])
from grid_search_lib import validation
import numpy as np
large = np.ones((1000, 1000))
large @ large
print(len(os.listdir("/proc/self/task")))
"""


def test_the_loss_is_the_mean_over_the_folds_and_divergence_is_a_success(under_stock: UnderStock) -> None:
    good, diverging = under_stock(
        "grid_search",
        "score",
        {"learning_rate": 0.1, "hidden_units": 32, "l2": 0.003, "folds": 3},
        {"learning_rate": 5.0, "folds": 2, "epochs": 5},
    )
    assert good["state"] == diverging["state"] == "success"
    assert good["tasks"] == [
        ["prepare", -1, "success"],
        ["score", -1, "success"],
        *[["train_fold", index, "success"] for index in range(3)],
    ]
    result = good["result"]
    assert set(result) == {"loss", "loss_std", "fold_losses", "training_seconds", "params"}
    assert result["params"] == {
        "learning_rate": 0.1, "hidden_units": 32, "l2": 0.003, "epochs": 30, "folds": 3, "seed": 0,
    }  # fmt: skip
    assert abs(result["loss"] - sum(result["fold_losses"]) / 3) < 1e-5
    assert 1 < result["loss"] < 5
    assert result["training_seconds"] > 0
    assert diverging["result"]["loss"] is None
    assert diverging["result"]["fold_losses"] == [None, None]


def test_a_training_keeps_to_one_thread() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNT_THREADS, str(EXAMPLES / "dags")],
        env={},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "1\n", "")
