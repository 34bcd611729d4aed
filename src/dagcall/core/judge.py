"""What becomes of the waiting instances of a task by what is upstream of them (`TriggerRuleDep`).

Airflow makes more checks before it schedules one (`ti_deps/deps`), in an order that is chance, and each may set a
state. Where they disagree (`rounds`), upstream_failed wins over skipped here.
"""

from dagcall.core.instance import TaskRun
from dagcall.core.trigger_rules import READY, Counts, Verdict, evaluate, evaluate_setups
from dagcall.model.plan import TaskPlan
from dagcall.model.states import TriggerRule


def judge(task: TaskRun) -> Verdict:
    """Of all waiting instances of a task outside mapped groups, by their upstreams. None: wait; `READY`: may be
    scheduled, or expanded; else a final state."""
    return by_upstreams(task.task, task.setups, task.up, task.up_setups, task.scope)


def by_upstreams(task: TaskPlan, setups: Counts, up: Counts, up_setups: Counts, scope: Counts) -> Verdict:
    """Setup constraint, trigger rule and teardown scope, over the instances that count."""
    if not task.upstream or task.trigger_rule is TriggerRule.ALWAYS:
        return READY  # not even setups are waited for
    by_setups = evaluate_setups(setups) if setups.total else READY
    if by_setups is not None and by_setups is not READY:
        return by_setups
    by_rule = evaluate(task.trigger_rule, up, up_setups)
    if by_rule is not READY:
        return by_rule
    # Only teardowns have a scope; it never sets a state.
    return by_setups if scope.done >= scope.total else None
