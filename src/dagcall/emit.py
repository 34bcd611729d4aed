"""`emit`: a task hands out a partial result while it runs.

Guarantee: outside dagcall (stock Airflow, a test, a shell) it does nothing and costs nothing, so a DAG that emits
runs everywhere. Inside, the worker's runtime has set a hook for the task that is running.
"""

from collections.abc import Callable

_hook: Callable[[object], None] | None = None


def emit(value: object) -> None:
    """Send `value`, as plain JSON, to whoever follows the run, as a `chunk` event of this task and try."""
    if _hook is not None:
        _hook(value)


def set_hook(hook: Callable[[object], None] | None) -> None:
    """For the worker's runtime: where values go from now on; None: nowhere."""
    global _hook
    _hook = hook
