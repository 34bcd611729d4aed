"""Whether and when a failed try is followed by another one.

Authoritative: `TaskInstance.next_retry_datetime` (airflow/models/taskinstance.py) and `_is_eligible_to_retry`
(airflow/api_fastapi/execution_api/routes/task_instances.py). The jitter is a hash, not chance, so a replay agrees.
"""

import hashlib
import math
from datetime import UTC, datetime
from typing import Final

from dagcall.model.events import ErrorInfo
from dagcall.model.plan import Retry

MAX_RETRY_DELAY: Final = 24 * 60 * 60
"""Seconds; default of Airflow's `[core] max_task_retry_delay`, which caps exponential delays only."""


def may_retry(retry: Retry, try_number: int) -> bool:
    """Whether try `try_number` (1, 2, ...), having failed, may be followed by another."""
    return retry.retries != 0 and try_number <= retry.retries


def too_late(error: ErrorInfo | None, delay: float, left: float) -> ErrorInfo:
    """Why a try that failed is the last one, though another is allowed: it would begin after the call's deadline."""
    known = error or ErrorInfo("TaskFailed", "the task failed")
    why = f"not tried again: the next try is due in {delay:g} s, the deadline of the call in {max(left, 0.0):.3g} s"
    return ErrorInfo(known.type, f"{known.message} ({why})")


def retry_delay(retry: Retry, dag_id: str, task_id: str, logical_date: float | None, try_number: int) -> float:
    """Seconds between the end of failed try `try_number` and the next one.

    `logical_date`: seconds since the epoch; part of the jitter's hash as Airflow writes it (`None` without one). The
    map index is not part of it: instances of one mapped task that fail together are tried together.
    """
    multiplier = retry.exponential_backoff or 1.0
    if multiplier == 1.0 or multiplier <= 0:
        return retry.delay
    try:
        backoff = max(math.ceil(retry.delay * multiplier ** (try_number - 1)), 1)
    except OverflowError:
        backoff = MAX_RETRY_DELAY
    date = None if logical_date is None else datetime.fromtimestamp(logical_date, UTC)
    identity = f"{dag_id}#{task_id}#{date}#{try_number}".encode()
    jitter = int(hashlib.sha1(identity, usedforsecurity=False).hexdigest(), 16) % backoff
    delay = float(min(backoff + jitter, MAX_RETRY_DELAY))
    return min(retry.max_delay, delay) if retry.max_delay else delay
