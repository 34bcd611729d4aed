"""Cross-validation: each part of the data is predicted once, by a model that was trained on all the other parts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from grid_search_lib.dataset import Dataset
from grid_search_lib.network import Hyperparameters, train


def split(rows: int, folds: int, seed: int) -> list[list[int]]:
    """The numbers of the rows that each fold holds out: every row is in exactly one fold."""
    order = np.random.default_rng(seed).permutation(rows)
    return [part.tolist() for part in np.array_split(order, folds)]


def loss_of_fold(data: Dataset, held_out: Sequence[int], chosen: Hyperparameters) -> float | None:
    """The mean squared error on the rows held out, after training on the others; None when training diverged."""
    is_held_out = np.zeros(len(data.targets), dtype=bool)
    is_held_out[held_out] = True
    # Scaled by what the training rows alone say: a model must know nothing of the rows that it is judged by.
    inputs, targets = data.inputs[~is_held_out], data.targets[~is_held_out]
    center, spread = inputs.mean(axis=0), inputs.std(axis=0)
    mean, deviation = targets.mean(), targets.std()
    network = train((inputs - center) / spread, (targets - mean) / deviation, chosen)
    if network is None:
        return None
    predicted = mean + deviation * network.predict((data.inputs[is_held_out] - center) / spread)
    return round(float(np.mean((predicted - data.targets[is_held_out]) ** 2)), 6)


def summarise(losses: Sequence[float | None]) -> tuple[float | None, float | None]:
    """Mean and standard deviation over the folds; both None when training diverged in any of them."""
    known = [each for each in losses if each is not None]
    if len(known) < len(losses):
        return None, None
    return round(float(np.mean(known)), 6), round(float(np.std(known)), 6)
