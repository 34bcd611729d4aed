"""The benchmark's modules are imported as `python bench/run.py` finds them, and given a run that was never made."""

import sys
from pathlib import Path

import pytest

sys.path.append(str(Path(__file__).parents[3] / "bench"))

from plan import LEVELS, MANY_CALLERS
from samples import Phase, Sample

ONE = [("one_task", 1), ("ask_astro", 1), ("fanout_200", 1), ("realistic", 1)]
MANY = [("one_task", 32), ("ask_astro", 32), ("realistic", 8)]
CROWDS = [*MANY, ("realistic", MANY_CALLERS), ("fanout_200", 1), ("fanout_2000", 1)]


def sample(ms: float, rate: float = 1.0) -> Sample:
    """Of which `ms` is the median, and twice as much the p95."""
    return Sample([ms / 2, ms, ms * 2], [rate], [{"server": 1.0, "workers": 2.0, "callers": 0.1}])


def phase(factor: float, loads: list[tuple[str, int]]) -> Phase:
    """Milliseconds are the factor times the callers, runs a second the callers divided by it."""
    return {(name, callers): sample(factor * callers, callers / factor) for name, callers in loads}


@pytest.fixture
def quick_run() -> dict[str, Phase]:
    levels = {f"durability_{level}": phase(2 + place, ONE[:2]) for place, level in enumerate(LEVELS)}
    return {"turns": phase(2, ONE), "sdk_runner": phase(3, ONE), "crowds": phase(2, CROWDS), **levels}


@pytest.fixture
def full_run(quick_run: dict[str, Phase]) -> dict[str, Phase]:
    return quick_run | {
        "stock": phase(900, [*ONE, *MANY]),
        "after_stock": phase(4, [*ONE, *MANY]),
        "tuned": phase(100, [*ONE, *MANY]),
        "after_tuned": phase(6, [*ONE, *MANY]),
    }
