"""Who is killed in a chaos run, and when: drawn from a seed."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

SHARES: Final = {
    "worker": 8,
    "server": 5,
    "database": 5,
    "file zygote": 3,
    "triggerer": 3,
    "root zygote": 2,
    "side": 1,
}
"""Kinds of victims; those of which many can be killed in the time that one of the others needs to be back, more often."""
SURPRISES: Final = 0.25
"""The share of kills that do not wait until what the last one has brought down is back: they hit what is starting."""
LONGEST_SURPRISE: Final = 6.0
"""Seconds."""


@dataclass(frozen=True)
class Kill:
    """When so many calls have been answered, or so many seconds after the last kill, whichever is first."""

    victim: str
    answered: int
    seconds: float


def drawn(seed: int, kills: int, runs: int, *, with_database: bool) -> Sequence[Kill]:
    """Each kind at least once, if there are enough."""
    chance = random.Random(f"kills {seed}")
    kinds = [kind for kind in SHARES if with_database or kind != "database"]
    victims = chance.sample(kinds, len(kinds))
    victims += chance.choices(kinds, [SHARES[kind] for kind in kinds], k=max(0, kills - len(kinds)))
    found = []
    for number, victim in enumerate(victims[:kills], 1):
        seconds = chance.uniform(0, LONGEST_SURPRISE) if chance.random() < SURPRISES else math.inf
        found.append(Kill(victim, number * runs // (kills + 1), seconds))
    return found
