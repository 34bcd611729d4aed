"""One point of a hyperparameter search, in the shape of a cross-validated training."""

from __future__ import annotations

import time
from typing import Any

from airflow.sdk import Param, dag, result, task
from grid_search_lib.dataset import friedman
from grid_search_lib.network import Hyperparameters
from grid_search_lib.validation import loss_of_fold, split, summarise

# Made here, while the file is parsed, and not by each task: the processes that are forked from the one that parsed the
# file share it, as they share numpy, whose import takes longer than a training.
DATA = friedman(rows=600, seed=1991)


@dag(
    schedule=None,
    catchup=False,
    tags=["example", "search"],
    params={
        "learning_rate": Param(
            0.03,
            type="number",
            exclusiveMinimum=0,
            maximum=10,
            title="Learning rate",
            description="Of the first epoch; it falls linearly from there. Too large a rate makes training diverge.",
        ),
        "hidden_units": Param(16, type="integer", minimum=1, maximum=256, title="Hidden units"),
        "l2": Param(
            0.0,
            type="number",
            minimum=0,
            maximum=1,
            title="L2",
            description="Weight of the penalty on large weights.",
        ),
        "epochs": Param(30, type="integer", minimum=1, maximum=1000, title="Epochs"),
        "folds": Param(
            4,
            type="integer",
            minimum=2,
            maximum=20,
            title="Folds",
            description="Parts of the data; each is predicted by a network that was trained on the others.",
        ),
        "seed": Param(
            0,
            type="integer",
            minimum=0,
            maximum=2**32 - 1,
            title="Seed",
            description="Of the folds, the initial weights and the order of the rows: equal params, equal loss.",
        ),
    },
)
def grid_search() -> None:
    """
    ### Grid search

    Says how good one set of hyperparameters is, by k-fold cross-validation of a small neural network. Call it once for
    each set of a grid, many at a time, and keep the best.

    1. `prepare` deals the rows of the data into folds
    2. `train_fold`, once for each fold, trains on the other folds and measures the loss on its own
    3. `score` is the mean loss; a set with which training diverges has the loss null, and the run is a success
    """

    @task
    def prepare(params: dict[str, Any]) -> list[list[int]]:
        return split(len(DATA.targets), params["folds"], params["seed"])

    @task
    def train_fold(held_out: list[int], params: dict[str, Any]) -> dict[str, float | None]:
        chosen = Hyperparameters(
            learning_rate=params["learning_rate"],
            hidden_units=params["hidden_units"],
            l2=params["l2"],
            epochs=params["epochs"],
            seed=params["seed"],
        )
        begun = time.perf_counter()
        loss = loss_of_fold(DATA, held_out, chosen)
        return {"loss": loss, "seconds": time.perf_counter() - begun}

    @result
    @task
    def score(folds: list[dict[str, float | None]], params: dict[str, Any]) -> dict[str, Any]:
        losses = [fold["loss"] for fold in folds]
        mean, deviation = summarise(losses)
        return {
            "loss": mean,
            "loss_std": deviation,
            "fold_losses": losses,
            "training_seconds": round(sum(fold["seconds"] for fold in folds), 4),
            "params": dict(params),
        }

    score(train_fold.expand(held_out=prepare()))


grid_search()
