"""The processes of a pool in words, a line a file and a line a busy worker; of at most `MOST` files and workers."""

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from dagcall.workers.loaded_code import LoadedCode
from dagcall.workers.worker import State

MOST: Final = 100


def describe(codes: Sequence[LoadedCode]) -> Iterator[str]:
    for code in islice(codes, MOST):
        zygote = "no process" if code.zygote is None else f"zygote {code.zygote.pid}"
        triggers = 0 if code.triggerer is None else code.triggerer.count
        closing = ", replaced" if code.closing else ""
        yield (
            f"{code.path} ({code.version[:12]}{closing}): {zygote}; {len(code.workers)} workers, {len(code.idle)} idle, "
            f"{code.starting} starting; {len(code.waiting)} tasks wait; {triggers} triggers"
        )
    if len(codes) > MOST:
        yield f"... and {len(codes) - MOST} more files"
    busy = (worker for code in codes for worker in code.workers.values() if worker.state is not State.IDLE)
    for worker in islice(busy, MOST):
        yield f"worker {worker.pid} is {worker.state.name.lower()}, {worker.tasks_run} tasks before: {worker.holds or 'no task'}"
