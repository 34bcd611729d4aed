"""Whether something holds whatever the unfinished tasks of a run still do.

One forecast looks at each task by itself: that two tasks hang on the same third one it does not see. Where it leaves
the question open, the run is taken apart by cases: a task that may end in several ways ends in each of them in turn,
the happy one first, until the forecast tells, or a case speaks against it. The cases of a small DAG are gone through
completely; of a large one as many as `EFFORT` allows, and what is not found out by then counts as not certain. So the
answer "certain" is always right, and "not certain" may be late.

Deciding it exactly is as hard as satisfiability (trigger rules are and, or, not): hence the limit.
"""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from dagcall.core.forecast import FAILED, SKIPPED, SUCCESS, UPSTREAM_FAILED, Ends, Forecast, Scene
from dagcall.core.instance import TaskRun

EFFORT: Final = 2000
"""How many tasks are looked at, counted once a case, before the question is given up: some 20 ms."""

Holds = Callable[[Forecast], bool]
"""Whether it is certain by this forecast alone."""


def is_certain(scene: Scene, path: Sequence[str], holds: Holds) -> bool:
    """`path`: the tasks that it depends on and all that is upstream of them, in topological order."""
    return _Cases(scene, path, holds).hold({})


class _Cases:
    def __init__(self, scene: Scene, path: Sequence[str], holds: Holds) -> None:
        self._scene = scene
        self._path = path
        self._holds = holds
        self._effort = EFFORT

    def hold(self, assumed: Mapping[str, Ends]) -> bool:
        self._effort -= len(self._path)
        if self._effort < 0:
            return False
        forecast = Forecast(self._scene, self._path, assumed)
        if self._holds(forecast):
            return True
        for task_id in self._path:
            ends = forecast.ends[task_id]
            if task_id not in assumed and any(mask & (mask - 1) for mask in ends):
                ways = ways_to_end(self._scene.tasks[task_id], ends)
                return all(self.hold({**assumed, task_id: way}) for way in ways)
        return False


def ways_to_end(task: TaskRun, ends: Ends) -> Iterator[Ends]:
    """Each way in which all instances of the task have ended, as far as it makes a difference: how many of them ended
    how does not."""
    open_bits = 0
    for mask in ends:
        if mask & (mask - 1):
            open_bits |= mask
    ended = frozenset(mask for mask in ends if not mask & (mask - 1))
    bits = [bit for bit in (SUCCESS, SKIPPED, FAILED, UPSTREAM_FAILED) if open_bits & bit]
    most = 1 if len(task.instances) == 1 and (task.expanded or not task.task.needs_expansion) else len(bits)
    for size in range(1, most + 1):
        for together in itertools.combinations(bits, size):
            yield ended.union(together)
