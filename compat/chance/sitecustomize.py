"""On the path of both sides of `make compat`: example DAGs that draw lots draw the same ones, so that ends compare."""

import random
from collections.abc import Sequence
from typing import Any

random.choice = lambda options: options[0]  # type: ignore[method-assign,assignment]
random.choices = lambda options, *args, k=1, **kwargs: [options[0]] * k  # type: ignore[method-assign,assignment]
random.randint = lambda low, high: low  # type: ignore[method-assign,assignment]
random.random = lambda: 0.25  # type: ignore[method-assign,assignment]


def _sample(options: Sequence[Any], k: int, **kwargs: Any) -> list[Any]:
    return list(options)[:k]


random.sample = _sample  # type: ignore[method-assign,assignment]
