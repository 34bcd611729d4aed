"""Data with a known answer: the benchmark of Friedman, "Multivariate Adaptive Regression Splines" (1991), eq. 61."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

INPUTS = 10  # of which the last five have nothing to do with the target
NOISE = 1.0  # standard deviation: no model can have a mean squared error below its square for long


class Dataset(NamedTuple):
    """Read-only, because the processes that train share it."""

    inputs: NDArray[np.float64]
    """(rows, inputs), each uniform between 0 and 1."""
    targets: NDArray[np.float64]
    """(rows,)"""


def friedman(rows: int, seed: int) -> Dataset:
    """`rows` observations of a nonlinear function with noise; equal seeds give equal data."""
    random = np.random.default_rng(seed)
    inputs = random.random((rows, INPUTS))
    x1, x2, x3, x4, x5 = inputs.T[:5]
    targets = 10 * np.sin(np.pi * x1 * x2) + 20 * (x3 - 0.5) ** 2 + 10 * x4 + 5 * x5
    targets += random.normal(scale=NOISE, size=rows)
    for array in (inputs, targets):
        array.flags.writeable = False
    return Dataset(inputs, targets)
