"""Which final states the unfinished tasks of a run can still reach.

`Forecast` propagates *possible* final states through the unfinished graph. It never rules out a state that can still
come (a wrong "certain" would tell a caller a lie), but it may keep one that cannot (the answer then comes later, at
the latest with the run's end). What comes from outside (cancel, deadline, `dagrun_timeout`) is not foreseen.
"""

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, assert_never

from dagcall.core.instance import TaskRun
from dagcall.core.mapping import Possible, mappings_of, possible_widths
from dagcall.core.xcoms import RunXComs
from dagcall.model.plan import DagPlan
from dagcall.model.states import TriggerRule

SUCCESS, SKIPPED, FAILED, UPSTREAM_FAILED, RUNS = (1 << bit for bit in range(5))
"""Final states as bits of a mask; `RUNS` stands for "its dependencies can be met" until it is replaced."""
BAD = FAILED | UPSTREAM_FAILED
EXECUTED = SUCCESS | SKIPPED | FAILED
ANY = EXECUTED | UPSTREAM_FAILED

Ends = frozenset[int]
"""How a group of instances ends: for each of them one mask of its possible states, equal masks only once."""


class Scene(NamedTuple):
    """The run that is looked at."""

    plan: DagPlan
    tasks: Mapping[str, TaskRun]
    xcoms: RunXComs

    def possible_widths(self, task: TaskRun) -> Possible:
        """Of a task that is not expanded yet."""
        return possible_widths(mappings_of(task.task, self.plan), self.tasks, self.xcoms)


class Forecast:
    """The possible final states of some tasks at one moment. They must include all that is upstream of them."""

    def __init__(
        self, scene: Scene, path: Iterable[str], assumed: Mapping[str, Ends] | None = None, *, smooth: bool = False
    ) -> None:
        """Linear in tasks and edges, whatever the map widths. `path`: the tasks, in topological order. `assumed`: how
        some of them end. `smooth`: whatever runs succeeds, and no branch skips anything."""
        self._scene = scene
        self._tasks = scene.tasks
        self._assumed = assumed or {}
        self._executed = SUCCESS if smooth else EXECUTED
        self.ends: dict[str, Ends] = {}
        """By task."""
        self.open: dict[str, int] = {}
        """By task that is unfinished: what those of its instances that are may end in, whatever is assumed of it."""
        self._far: dict[str, bool] = {}
        self._smooth = smooth
        self._stops = scene.plan.fail_fast and not smooth and any(self._may_fail(task) for task in self._tasks.values())
        """With fail_fast the next failure turns whatever waits into skipped."""
        path = list(path)
        self._look(path)
        if self._stops and not any(self._may_fail(task) for task in self._tasks.values()):
            self._stops = False
            self._look(path)

    def _look(self, path: Sequence[str]) -> None:
        for task_id in path:
            task = self._tasks[task_id]
            ups = [self._tasks[up] for up in task.task.upstream]
            foreseen = self._ends_of(task, ups)
            self.ends[task_id] = self._assumed.get(task_id, foreseen)

    def is_doomed(self, task: TaskRun) -> bool:
        """Whether some instance of the task is certain to end failed or upstream_failed."""
        return any(not mask & ~BAD for mask in self.ends[task.task.task_id])

    def _may_fail(self, task: TaskRun) -> bool:
        """As far as is known yet of how it may end: what can only be upstream_failed stops nothing."""
        task_id = task.task.task_id
        ends = self._assumed.get(task_id, self.ends.get(task_id))
        return bool(task.unfinished) and (ends is None or can(ends, FAILED))

    def _ends_of(self, task: TaskRun, ups: Sequence[TaskRun]) -> Ends:
        near, far = self._skippers(task, ups)
        ended = task.ended
        ends = set()
        if ended.success:
            ends.add(SUCCESS)
        if ended.skipped:
            ends.add(SKIPPED)
        if ended.failed:
            ends.add(FAILED)
        if ended.upstream_failed:
            ends.add(UPSTREAM_FAILED | (SKIPPED if far and not task.expanded else 0))
        if task.unfinished:
            mask = SKIPPED if near or (far and not task.expanded) or (self._stops and not task.task.is_teardown) else 0
            if task.unfinished > task.waiting:
                mask |= self._executed
            if task.waiting:
                mask |= self._waiting(task, ups)
            mask = mask or ANY  # nothing possible: a deadlock, which the end of the run tells
            self.open[task.task.task_id] = mask
            ends.add(mask)
        return frozenset(ends)

    def _skippers(self, task: TaskRun, ups: Sequence[TaskRun]) -> tuple[bool, bool]:
        """Whether a branch may still skip the task's instances that wait, and whether even those that have ended
        upstream_failed (`RunMachine._skip`)."""
        if self._smooth:
            return False, False
        task_id = task.task.task_id
        self._far[task_id] = any(self._far[up.task.task_id] or self._may_skip(up, anything=True) for up in ups)
        near = any(self._may_skip(up) for up in ups)
        overwrites = any(self._may_skip(up) for up in ups if not up.task.needs_expansion)
        return near, self._far[task_id] or overwrites

    def _may_skip(self, up: TaskRun, *, anything: bool = False) -> bool:
        """Whether it may end with a decision to skip what is directly downstream of it, or `anything` that is."""
        skips = up.unfinished and up.task.can_skip_downstream and can(self.ends[up.task.task_id], SUCCESS)
        return bool(skips) and not (anything and (up.task.needs_expansion or up.task.skips_direct_only))

    def _waiting(self, task: TaskRun, ups: Sequence[TaskRun]) -> int:
        if self._is_paired(task):
            return self._waiting_in_group(task, ups)
        mask = RUNS
        if ups and task.task.trigger_rule is not TriggerRule.ALWAYS:
            mask = possible(task.task.trigger_rule, self._union(ups), self._union(up for up in ups if up.task.is_setup))
            setups = self._union(self._tasks[setup] for setup in task.node.setups)
            mask |= (UPSTREAM_FAILED if can(setups, BAD) else 0) | (SKIPPED if can(setups, SKIPPED) else 0)
            if not all_in(setups, SUCCESS):
                mask &= ~RUNS
        return self._run(task, self._expand(task, self._with_sources(task, mask)))

    def _is_paired(self, task: TaskRun) -> bool:
        """Whether its instances wait for some instances of its upstreams only, or may come to."""
        if not any(relation.shared for relation in task.node.relations.values()):
            return False
        return task.expanded or self._scene.possible_widths(task).some

    def _waiting_in_group(self, task: TaskRun, ups: Sequence[TaskRun]) -> int:
        """Each instance waits for some instances of its upstreams: for any of them, as far as is looked at here."""
        mask = RUNS
        if ups:
            setups = self._any_of(self._tasks[setup] for setup in task.node.setups)
            mask = possible(task.task.trigger_rule, self._any_of(ups), self._any_of(u for u in ups if u.task.is_setup))
            mask |= (UPSTREAM_FAILED if can(setups, BAD) else 0) | (SKIPPED if can(setups, SKIPPED) else 0)
            if not all_in(setups, SUCCESS):
                mask &= ~RUNS
        if not task.expanded or any(relation.further for relation in task.node.relations.values()):
            mask |= UPSTREAM_FAILED | SKIPPED | RUNS  # it may wait for no instance of some upstream at all
        return self._run(task, self._expand(task, self._with_sources(task, mask)))

    def _with_sources(self, task: TaskRun, mask: int) -> int:
        sources = [self._tasks[source] for source in task.node.sources]
        unexpanded = self._union(source for source in sources if not source.expanded)
        mask |= (UPSTREAM_FAILED if can(unexpanded, BAD) else 0) | (SKIPPED if can(unexpanded, SKIPPED) else 0)
        if not all_in(self._union(source for source in sources if not source.task.needs_expansion), SUCCESS):
            mask &= ~RUNS
        return mask

    def _expand(self, task: TaskRun, mask: int) -> int:
        """`mask`, given the lengths of what the task is mapped over."""
        if not mask & RUNS or task.expanded or not task.task.needs_expansion:
            return mask
        width = self._scene.possible_widths(task)
        if self._smooth and width.some:
            return mask
        mask |= (UPSTREAM_FAILED if width.unknown else 0) | (SKIPPED if width.none else 0)
        return mask if width.some else mask & ~RUNS

    def _run(self, task: TaskRun, mask: int) -> int:
        """`mask` with `RUNS` replaced."""
        if mask & RUNS:
            mask |= SUCCESS if task.task.is_empty else self._executed
        return mask & ~RUNS

    def _any_of(self, tasks: Iterable[TaskRun]) -> Ends:
        """One mask a task: all that any of its instances may end in."""
        return frozenset(functools.reduce(operator.or_, self.ends[task.task.task_id]) for task in tasks)

    def _union(self, tasks: Iterable[TaskRun]) -> Ends:
        return frozenset[int]().union(*(self.ends[task.task.task_id] for task in tasks))


def can(ends: Ends, states: int) -> bool:
    """Whether some instance may end in one of `states`."""
    return any(mask & states for mask in ends)


def all_in(ends: Ends, states: int) -> bool:
    """Whether all instances may end in one of `states`."""
    return all(mask & states for mask in ends)


def possible(rule: TriggerRule, up: Ends, setups: Ends) -> int:
    """The verdicts that `trigger_rules.evaluate` may come to, in any order of ends: a mask of states and `RUNS`."""
    match rule:
        case TriggerRule.ALL_SUCCESS:
            return _mask(can(up, BAD), can(up, SKIPPED), all_in(up, SUCCESS))
        case TriggerRule.ALL_FAILED:
            return _mask(False, can(up, SUCCESS | SKIPPED), all_in(up, BAD))
        case TriggerRule.ALL_DONE | TriggerRule.ALWAYS:
            return RUNS
        case TriggerRule.ALL_DONE_MIN_ONE_SUCCESS:
            return _mask(all_in(up, BAD), can(up, SKIPPED), all_in(up, SUCCESS | BAD) and can(up, SUCCESS))
        case TriggerRule.ALL_DONE_SETUP_SUCCESS:
            failed = can(setups, BAD) and all_in(setups, BAD | SKIPPED)
            return _mask(failed, bool(setups) and all_in(setups, SKIPPED), not setups or can(setups, SUCCESS))
        case TriggerRule.ONE_SUCCESS:
            return _mask(can(up, BAD) and all_in(up, BAD | SKIPPED), all_in(up, SKIPPED), can(up, SUCCESS))
        case TriggerRule.ONE_FAILED:
            return _mask(False, all_in(up, SUCCESS | SKIPPED), can(up, BAD))
        case TriggerRule.ONE_DONE:
            return _mask(False, all_in(up, SKIPPED | UPSTREAM_FAILED), can(up, SUCCESS | FAILED))
        case TriggerRule.NONE_FAILED:
            return _mask(can(up, BAD), False, all_in(up, SUCCESS | SKIPPED))
        case TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS:
            return _mask(can(up, BAD), all_in(up, SKIPPED), all_in(up, SUCCESS | SKIPPED) and can(up, SUCCESS))
        case TriggerRule.NONE_SKIPPED:
            return _mask(False, can(up, SKIPPED), all_in(up, SUCCESS | BAD))
        case TriggerRule.ALL_SKIPPED:
            return _mask(False, can(up, SUCCESS | BAD), all_in(up, SKIPPED))
    assert_never(rule)


def _mask(upstream_failed: bool, skipped: bool, runs: bool) -> int:
    return (UPSTREAM_FAILED if upstream_failed else 0) | (SKIPPED if skipped else 0) | (RUNS if runs else 0)
