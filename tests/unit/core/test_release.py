"""An ended run is freed with its last reference."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

from dagcall.model.plan import TaskPlan


def test_an_ended_run_needs_no_garbage_collector(run_of: Callable[..., Any], task: Callable[..., TaskPlan]) -> None:
    """The server makes full collections rare: what is left in cycles would pile up with every run."""
    run = run_of(task("a"), task("b", "a", is_empty=True))
    run.end("a")
    assert run.machine.state.is_final
    machine = weakref.ref(run.machine)
    gc.disable()
    try:
        del run
        assert machine() is None
    finally:
        gc.enable()
