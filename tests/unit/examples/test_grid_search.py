"""The model and the validation of the `grid_search` example."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.append(str(Path(__file__).parents[3] / "examples" / "dags"))  # as Airflow does with a DAGs folder

from grid_search_lib.dataset import NOISE, friedman
from grid_search_lib.network import Hyperparameters, Network, gradient, train
from grid_search_lib.validation import loss_of_fold, split, summarise

DATA = friedman(rows=200, seed=3)
GOOD = Hyperparameters(learning_rate=0.1, hidden_units=16, l2=0.003, epochs=30, seed=0)


def changed(**values: float) -> Hyperparameters:
    return Hyperparameters(**{name: getattr(GOOD, name) for name in GOOD.__slots__} | values)


def test_the_data_are_the_function_and_noise_of_the_variance_that_they_claim() -> None:
    data = friedman(rows=20_000, seed=1)
    x = data.inputs
    function = 10 * np.sin(np.pi * x[:, 0] * x[:, 1]) + 20 * (x[:, 2] - 0.5) ** 2 + 10 * x[:, 3] + 5 * x[:, 4]
    assert np.std(data.targets - function) == pytest.approx(NOISE, rel=0.03)
    assert (x.min() >= 0) & (x.max() <= 1)


def test_equal_seeds_give_equal_data_that_nobody_can_change() -> None:
    again, other = friedman(rows=200, seed=3), friedman(rows=200, seed=4)
    assert np.array_equal(again.targets, DATA.targets)
    assert np.array_equal(again.inputs, DATA.inputs)
    assert not np.array_equal(other.targets, DATA.targets)
    with pytest.raises(ValueError, match="read-only"):
        DATA.targets[0] = 0


@pytest.mark.parametrize("folds", [2, 4, 7])
def test_every_row_is_held_out_once(folds: int) -> None:
    parts = split(200, folds, seed=0)
    assert sorted(row for part in parts for row in part) == list(range(200))
    assert {len(part) for part in parts} <= {200 // folds, 200 // folds + 1}
    assert parts == split(200, folds, seed=0) != split(200, folds, seed=1)


def test_the_gradient_is_that_of_the_loss() -> None:
    random = np.random.default_rng(0)
    inputs, targets = random.normal(size=(9, 3)), random.normal(size=9)
    network = Network(random.normal(size=(3, 4)), random.normal(size=4))

    def mean_square() -> float:
        errors = np.tanh(inputs @ network.hidden) @ network.output - targets
        return float(np.mean(errors**2))

    _, slopes = gradient(network, inputs, targets)
    nudge = 1e-6
    for weights, slope in zip(network, slopes, strict=True):
        for place in np.ndindex(weights.shape):
            weights[place] += nudge
            above = mean_square()
            weights[place] -= 2 * nudge
            below = mean_square()
            weights[place] += nudge
            assert (above - below) / (2 * nudge) == pytest.approx(slope[place], rel=1e-4, abs=1e-7)


def test_training_learns_the_function() -> None:
    data = friedman(rows=1000, seed=3)
    held_out = split(1000, 4, seed=0)[0]
    loss = loss_of_fold(data, held_out, GOOD)
    guess = np.mean((data.targets[held_out] - data.targets.mean()) ** 2)
    assert loss is not None
    assert NOISE**2 < loss < 0.15 * guess


def test_the_loss_is_of_rows_that_training_has_not_seen() -> None:
    held_out = split(200, 4, seed=0)[0]
    targets = DATA.targets.copy()
    targets[held_out] += 5.0
    shifted = loss_of_fold(DATA._replace(targets=targets), held_out, GOOD)
    plain = loss_of_fold(DATA, held_out, GOOD)
    assert plain is not None
    assert shifted is not None
    # Where training is the same, each error e has become e - 5: the loss grows by 25 - 10 * mean(e), and the mean error
    # is at most the root of the mean square.
    assert abs(shifted - plain - 25) <= 10 * plain**0.5


@pytest.mark.parametrize(
    "change", [{"learning_rate": 0.01}, {"hidden_units": 2}, {"l2": 0.5}, {"epochs": 3}, {"seed": 1}]
)
def test_every_hyperparameter_matters(change: dict[str, float]) -> None:
    held_out = split(200, 4, seed=0)[0]
    assert loss_of_fold(DATA, held_out, GOOD) == loss_of_fold(DATA, held_out, changed())
    assert loss_of_fold(DATA, held_out, GOOD) != loss_of_fold(DATA, held_out, changed(**change))


@pytest.mark.parametrize("rate", [2.0, 10.0, 1e6])
def test_too_high_a_rate_diverges_without_a_warning(rate: float) -> None:
    assert train(DATA.inputs, DATA.targets, changed(learning_rate=rate)) is None
    assert loss_of_fold(DATA, list(range(50)), changed(learning_rate=rate)) is None


def test_the_summary_has_no_loss_when_any_fold_diverged() -> None:
    assert summarise([1.0, 2.0, 3.0]) == (2.0, pytest.approx((2 / 3) ** 0.5, abs=1e-6))
    assert summarise([1.0, None, 3.0]) == (None, None)
    assert summarise([None]) == (None, None)
