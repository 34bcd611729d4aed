"""Histories of the real coordinator in which everything goes wrong: `make simulate` plays thousands."""

import pytest

from .history import played, violations_of

COUNT = 100


@pytest.mark.parametrize("block", range(5))
def test_every_promise_is_kept_whatever_goes_wrong(block: int) -> None:
    size = COUNT // 5
    found = {seed: words for seed in range(block * size, (block + 1) * size) if (words := violations_of(seed))}
    assert not found, f"see `make simulate SEED={next(iter(found))}`"


def test_a_seed_is_one_history() -> None:
    first, second = played(7), played(7)
    assert first.steps == second.steps > 100
    assert first.trace == second.trace
    assert first.told == second.told


def test_faults_do_happen() -> None:
    """Over some seeds every kind of fault is met, and yet most callers are answered."""
    worlds = [played(seed) for seed in range(1000, 1020)]
    assert sum(len(world.graves) for world in worlds) > 5, "servers were killed"
    assert sum(len(world.effects) for world in worlds) > 100
    told = [one.what for world in worlds for one in world.told]
    assert {"accepted", "success", "failed"} <= set(told)
    assert len(told) > 100
