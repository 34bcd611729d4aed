"""Plays many seeds: `python -m tests.unit.simulation COUNT [FIRST]`; one: `SEED=123`."""

import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor

from .history import violations_of


def one(seed: int) -> tuple[int, list[str]]:
    try:
        return seed, violations_of(seed)
    except Exception as error:
        return seed, [f"the simulation broke: {type(error).__name__}: {error}"]


def main() -> int:
    if "SEED" in os.environ:
        seeds = [int(os.environ["SEED"])]
    else:
        count, first = (*map(int, sys.argv[1:]), 0)[:2] if len(sys.argv) > 2 else (int(sys.argv[1]), 0)
        seeds = list(range(first, first + count))
    began, bad = time.monotonic(), 0
    with ProcessPoolExecutor() as pool:
        for seed, violations in pool.map(one, seeds, chunksize=20):
            if violations:
                bad += 1
                print(f"seed {seed}:", *violations, sep="\n    ", flush=True)
    seconds = time.monotonic() - began
    print(f"{len(seeds)} seeds, {bad} with violations, {seconds:.0f} s, {60 * len(seeds) / seconds:.0f} a minute")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
