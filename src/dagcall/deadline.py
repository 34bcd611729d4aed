"""`time_left`: a task asks how long its caller still waits.

Guarantee: outside dagcall (stock Airflow, a test, a shell) the answer is None, as for a call without a deadline, so a
DAG that asks runs everywhere. Inside, the worker's runtime has set the deadline of the call that is running.
"""

import time

_deadline: float | None = None


def time_left() -> float | None:
    """Seconds until the deadline of the call (`timeout=`), not below 0; None when there is none.

    Teardowns, which run after the deadline too, have none.
    """
    return None if _deadline is None else max(0.0, _deadline - time.time())


def set_deadline(deadline: float | None) -> None:
    """For the worker's runtime: seconds since the epoch; None: there is none."""
    global _deadline
    _deadline = deadline
