"""Time and ids, injected: tests replace them."""

import random
import string
import time
from datetime import UTC, datetime
from typing import Protocol

_ALPHABET = string.ascii_letters + string.digits


class Clock(Protocol):
    def now(self) -> float:
        """Seconds since the epoch, UTC."""
        ...

    def new_run_id(self, run_after: float, run_type: str = "manual") -> str:
        """A run id in Airflow's form for a run without a logical date."""
        ...


class SystemClock:
    def __init__(self) -> None:
        self._random = random.SystemRandom()

    def now(self) -> float:
        return time.time()

    def new_run_id(self, run_after: float, run_type: str = "manual") -> str:
        moment = datetime.fromtimestamp(run_after, UTC).isoformat()
        # As `DagRun.generate_run_id` does: the suffix tells runs of the same moment apart.
        return f"{run_type}__{moment}_{''.join(self._random.choices(_ALPHABET, k=8))}"
