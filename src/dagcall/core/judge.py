"""What becomes of the waiting instances of a task: all checks that Airflow makes before it schedules one.

Airflow runs its checks (`ti_deps/deps`) in an order that is chance, and each may set a state. Where two of them
disagree, upstream_failed wins over skipped here.
"""

from collections.abc import Mapping

from dagcall.core.instance import TaskRun
from dagcall.core.mapping import evaluate_sources
from dagcall.core.trigger_rules import READY, Verdict, evaluate, evaluate_setups
from dagcall.model.states import TaskState, TriggerRule


def judge(task: TaskRun, tasks: Mapping[str, TaskRun]) -> Verdict:
    """None: wait; `READY`: may be scheduled, or expanded; else a final state. `tasks`: all of the run."""
    verdict = _upstreams(task)
    if task.task.mapping is None or task.expanded or verdict is TaskState.UPSTREAM_FAILED:
        return verdict
    by_sources = evaluate_sources(task.task.mapping, tasks)
    if by_sources is READY or (by_sources is TaskState.SKIPPED and verdict is TaskState.SKIPPED):
        return verdict
    return by_sources


def _upstreams(task: TaskRun) -> Verdict:
    rule = task.task.trigger_rule
    if not task.task.upstream or rule is TriggerRule.ALWAYS:
        return READY  # not even setups are waited for
    by_setups = evaluate_setups(task.setups) if task.setups.total else READY
    if by_setups is not None and by_setups is not READY:
        return by_setups
    by_rule = evaluate(rule, task.up, task.up_setups)
    if by_rule is not READY:
        return by_rule
    # Only teardowns have a scope; it never sets a state.
    return by_setups if task.scope.done >= task.scope.total else None
