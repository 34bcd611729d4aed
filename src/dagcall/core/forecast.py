"""Which final states the unfinished tasks of a run can still reach.

`Forecast` propagates *possible* final states through the unfinished graph. It never rules out a state that can still
come (a wrong "certain" would tell a caller a lie), but it may keep one that cannot (the answer then comes later, at
the latest with the run's end). What comes from outside (cancel, deadline, `dagrun_timeout`) is not foreseen.
"""

import functools
import operator
from collections.abc import Iterable, Mapping, Sequence
from typing import assert_never

from dagcall.core.instance import TaskRun
from dagcall.model.states import TriggerRule

SUCCESS, SKIPPED, FAILED, UPSTREAM_FAILED, RUNS = (1 << bit for bit in range(5))
"""Final states as bits of a mask; `RUNS` stands for "its dependencies can be met" until it is replaced."""
BAD = FAILED | UPSTREAM_FAILED
EXECUTED = SUCCESS | SKIPPED | FAILED
ANY = EXECUTED | UPSTREAM_FAILED

Ends = frozenset[int]
"""How a group of instances ends: for each of them one mask of its possible states, equal masks only once."""


class Forecast:
    """The possible final states of every unfinished task at one moment, for those on the path to the answer."""

    def __init__(self, tasks: Mapping[str, TaskRun], fail_fast: bool) -> None:
        """`tasks`: all of the run in topological order. Linear in tasks and edges, whatever the map widths."""
        self._tasks = tasks
        self._ends: dict[str, Ends] = {}
        self._skippable: dict[str, bool] = {}
        # With fail_fast the next failure turns whatever has not succeeded or failed into skipped.
        may_fail_fast = fail_fast and any(task.unfinished for task in tasks.values())
        for task_id, task in tasks.items():
            if task.on_answer_path:
                ups = [tasks[up] for up in task.task.upstream]
                self._skippable[task_id] = (may_fail_fast and not task.task.is_teardown) or any(
                    self._skippable[up.task.task_id] or (up.unfinished and up.task.can_skip_downstream) for up in ups
                )
                self._ends[task_id] = self._ends_of(task, ups)

    def is_doomed(self, task: TaskRun) -> bool:
        """Whether some instance of the task is certain to end failed or upstream_failed."""
        return any(not mask & ~BAD for mask in self._ends[task.task.task_id])

    def _ends_of(self, task: TaskRun, ups: Sequence[TaskRun]) -> Ends:
        skippable = SKIPPED if self._skippable[task.task.task_id] else 0
        ended = task.ended
        ends = set()
        if ended.success:
            ends.add(SUCCESS)
        if ended.skipped:
            ends.add(SKIPPED)
        if ended.failed:
            ends.add(FAILED)
        if ended.upstream_failed:
            ends.add(UPSTREAM_FAILED | skippable)
        if task.unfinished:
            mask = skippable
            if task.unfinished > task.waiting:
                mask |= EXECUTED
            if task.waiting:
                mask |= self._waiting(task, ups)
            ends.add(mask or ANY)  # nothing possible: a deadlock, which the end of the run tells
        return frozenset(ends)

    def _waiting(self, task: TaskRun, ups: Sequence[TaskRun]) -> int:
        if task.task.mapped_groups:
            return self._waiting_in_group(task, ups)
        mask = RUNS
        if ups and task.task.trigger_rule is not TriggerRule.ALWAYS:
            mask = possible(task.task.trigger_rule, self._union(ups), self._union(up for up in ups if up.task.is_setup))
            setups = self._union(self._tasks[setup] for setup in task.node.setups)
            mask |= (UPSTREAM_FAILED if can(setups, BAD) else 0) | (SKIPPED if can(setups, SKIPPED) else 0)
            if not all_in(setups, SUCCESS):
                mask &= ~RUNS
        mask = self._with_sources(task, mask)
        if mask & RUNS and task.task.mapping is not None and not task.expanded:
            mask |= UPSTREAM_FAILED | SKIPPED  # its length may turn out unknown, or zero
        return _executed(task, mask)

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
        return _executed(task, self._with_sources(task, mask))

    def _with_sources(self, task: TaskRun, mask: int) -> int:
        sources = [self._tasks[source] for source in task.node.sources]
        unexpanded = self._union(source for source in sources if not source.expanded)
        mask |= (UPSTREAM_FAILED if can(unexpanded, BAD) else 0) | (SKIPPED if can(unexpanded, SKIPPED) else 0)
        if not all_in(self._union(source for source in sources if not source.task.needs_expansion), SUCCESS):
            mask &= ~RUNS
        return mask

    def _any_of(self, tasks: Iterable[TaskRun]) -> Ends:
        """One mask a task: all that any of its instances may end in."""
        return frozenset(functools.reduce(operator.or_, self._ends[task.task.task_id]) for task in tasks)

    def _union(self, tasks: Iterable[TaskRun]) -> Ends:
        return frozenset[int]().union(*(self._ends[task.task.task_id] for task in tasks))


def _executed(task: TaskRun, mask: int) -> int:
    """`mask` with `RUNS` replaced."""
    if mask & RUNS:
        mask |= SUCCESS if task.task.is_empty else EXECUTED
    return mask & ~RUNS


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
