"""The simulation sees a broken product: a sceptic's question to it."""

import pytest

from .mutants import MUTANTS, seeds_until_found

LATE = {"takes the word of a stopped attempt", "forgets a lost attempt", "keeps no notice with what it tells"}
"""Take hundreds of seeds, or ten seconds: `make simulate-mutants`."""


@pytest.mark.parametrize("broken", sorted(MUTANTS.keys() - LATE))
def test_a_broken_product_is_found_soon(broken: str) -> None:
    assert seeds_until_found(broken, most=120) is not None
