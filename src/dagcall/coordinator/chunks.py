"""Partial results of one run on their way into its records: how many are taken, and how often.

What tasks emit is kept with the run, so it is bounded: `LIMIT` bytes a run, each value counting `OVERHEAD` more. What
comes after that is dropped, and one last chunk of each attempt says so (`truncated`). Emitted values never hurry the
journal: after a batch of them the next one is made `PAUSE` later, with all that has come meanwhile, in order.
"""

from dagcall.model.events import Emitted
from dagcall.workers.frames import Chunk

LIMIT = 64 << 20
OVERHEAD = 512
PAUSE = 0.01
"""Seconds."""


class Chunks:
    """Counts what one run's tasks emit."""

    def __init__(self) -> None:
        self._taken = 0
        self._truncated: set[int] = set()

    def take(self, frame: Chunk) -> Emitted | None:
        """The event for what a worker sent; None when nothing of it is kept."""
        if frame.attempt in self._truncated:
            return None
        values: list[bytes] = []
        for value in frame.values:
            self._taken += len(value) + OVERHEAD
            if self._taken > LIMIT:
                self._truncated.add(frame.attempt)
                return Emitted(frame.attempt, frame.epoch, tuple(values), truncated=True)
            values.append(value)
        return Emitted(frame.attempt, frame.epoch, tuple(values))
