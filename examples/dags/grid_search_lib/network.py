"""A neural network with one hidden layer of tanh units, fitted by mini-batch gradient descent with momentum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

BATCH = 40
MOMENTUM = 0.9
DIVERGED = 10.0  # times the squared error of always guessing the mean, by the end
Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """What a search tries values of."""

    learning_rate: float
    """Of the first epoch; it falls linearly from there."""
    hidden_units: int
    l2: float
    """Weight of the penalty on large weights."""
    epochs: int
    seed: int
    """Of the initial weights and of the order of the rows."""


class Network(NamedTuple):
    """The weights. Targets are taken to have the mean zero, so the output has no bias."""

    hidden: Array
    """(inputs + 1, hidden units); the last row is the bias."""
    output: Array
    """(hidden units,)"""

    def predict(self, inputs: Array) -> Array:
        """The expected targets of inputs of the shape (rows, inputs)."""
        return np.tanh(_with_constant(inputs) @ self.hidden) @ self.output


@np.errstate(over="ignore", invalid="ignore")  # what overflows has diverged
def train(inputs: Array, targets: Array, chosen: Hyperparameters) -> Network | None:
    """The network fitted to standardised inputs and targets; None when the descent diverged."""
    random = np.random.default_rng(chosen.seed)
    inputs = _with_constant(inputs)
    rows, columns = inputs.shape
    network = Network(
        random.normal(scale=columns**-0.5, size=(columns, chosen.hidden_units)),
        random.normal(scale=chosen.hidden_units**-0.5, size=chosen.hidden_units),
    )
    steps = [np.zeros_like(weights) for weights in network]
    for epoch in range(chosen.epochs):
        rate = chosen.learning_rate * (1 - epoch / chosen.epochs)
        order = random.permutation(rows)
        inputs, targets = inputs[order], targets[order]
        squared_error = 0.0
        for start in range(0, rows, BATCH):
            batch = slice(start, start + BATCH)
            errors, slopes = gradient(network, inputs[batch], targets[batch])
            squared_error += errors @ errors
            for weights, step, slope in zip(network, steps, slopes, strict=True):
                step *= MOMENTUM
                step -= rate * (slope + chosen.l2 * weights)
                weights += step
    return network if squared_error / rows <= DIVERGED else None


def gradient(network: Network, inputs: Array, targets: Array) -> tuple[Array, Network]:
    """The errors, and how steeply the mean of their squares rises with each of the weights."""
    hidden = np.tanh(inputs @ network.hidden)
    errors = hidden @ network.output - targets
    output = errors * (2 / len(targets))
    return errors, Network(inputs.T @ (output[:, None] * network.output * (1 - hidden**2)), output @ hidden)


def _with_constant(inputs: Array) -> Array:
    return np.column_stack([inputs, np.ones(len(inputs))])
