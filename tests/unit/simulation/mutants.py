"""Does the simulation see it when the product is broken? Breaks it in some ways, one after the other, and plays seeds
until a violation is found: `python -m tests.unit.simulation.mutants`."""

import inspect
import logging
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dagcall.coordinator.driver import Driver
from dagcall.coordinator.readers import Readers
from dagcall.coordinator.retaking import Retaking
from dagcall.coordinator.run import Run
from dagcall.coordinator.sharing import Sharing
from dagcall.core.slots import Slots
from dagcall.journal.memory import MemoryJournal
from dagcall.workers.worker import Worker

from .history import violations_of

MUTANTS: dict[str, tuple[type, str, str, str]] = {
    "acts before the commit": (
        Driver,
        "_process",
        "appended.add_done_callback(lambda future: self._committed(batch, acts, future))",
        "appended.add_done_callback(lambda future: future.exception()); done = asyncio.get_running_loop().create_future(); "
        "done.set_result(None); self._committed(batch, acts, done)",
    ),
    "is not fenced": (MemoryJournal, "_writable", "storage.epoch != self._epoch", "False"),
    "forgets a lost attempt": (Driver, "resume", "if started:", "if started and False:"),
    "starts twice": (
        Worker,
        "start",
        "self._connection.send(start)",
        "[self._connection.send(start) for _ in range(2)]",
    ),
    "loses who waits": (Run, "answer", "self._wake()", "None"),
    "loses who reads": (Readers, "wake", "self._waking |= self._waiting", "None"),
    "forgets runs that the journal failed": (Retaking, "begin", "self._stopped", "True"),
    "looks for no run of a key": (Sharing, "by_key", "await self._of_key(request)", "None"),
    "keeps no notice with what it tells": (Driver, "_process", "act.item for act in acts", "act.item for act in []"),
    "exceeds limits": (Slots, "_lacking", "need.slots > room", "need.slots > room + 1"),
    "takes the word of a stopped attempt": (Driver, "attempt_ended", "is not attempt", "== 1"),
}
"""What is broken: class, method, text in its source, and what stands there instead."""
MOST_SEEDS = 3000


@contextmanager
def mutated(owner: type, name: str, old: str, new: str) -> Iterator[None]:
    method: Callable[..., Any] = owner.__dict__[name]
    source = textwrap.dedent(inspect.getsource(method))
    assert old in source, f"{owner.__name__}.{name} does not hold {old!r} any more"
    names: dict[str, Any] = {}
    exec(source.replace(old, new), method.__globals__, names)
    setattr(owner, name, names[name])
    try:
        yield
    finally:
        setattr(owner, name, method)


def seeds_until_found(words: str, most: int = MOST_SEEDS) -> tuple[int, str] | None:
    """How many seeds it takes, and what is found; None: nothing is."""
    with mutated(*MUTANTS[words]):
        for seed in range(most):
            try:
                found = violations_of(seed)
            except Exception as error:
                found = [f"{type(error).__name__}: {error}"]
            if found:
                return seed + 1, found[0]
    return None


def main() -> int:
    logging.disable(logging.CRITICAL)
    missed = 0
    for words in MUTANTS:
        found = seeds_until_found(words)
        missed += found is None
        print(f"{words}: " + ("NOT FOUND" if found is None else f"{found[0]} seeds: {found[1][:150]}"), flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
