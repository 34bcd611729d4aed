"""When a task instance may run, given how many of its upstreams ended how.

Authoritative: `airflow/ti_deps/deps/trigger_rule_dep.py`. A verdict is one of

- `None`: wait;
- `READY`: the dependency is met;
- a final state that the instance takes now, possibly before all upstreams are done.

Left out: the clauses that set `removed`; no instance of a run is ever removed here (see `transitions`), though the
counts keep their place for it.
"""

from typing import Final, assert_never

from dagcall.model.states import TaskState, TriggerRule

READY: Final = TaskState.QUEUED

Verdict = TaskState | None


class Counts:
    """How many instances there are upstream, and how many of them ended in which state.

    Attribute names are the states' values, which `add` relies on.
    """

    __slots__ = ("failed", "removed", "skipped", "success", "total", "upstream_failed")

    def __init__(self) -> None:
        self.total = 0
        self.success = 0
        self.skipped = 0
        self.failed = 0
        self.upstream_failed = 0
        self.removed = 0

    @property
    def done(self) -> int:
        return self.success + self.skipped + self.failed + self.upstream_failed + self.removed

    @property
    def bad(self) -> int:
        """Failed, themselves or upstream of them."""
        return self.failed + self.upstream_failed

    def add(self, state: TaskState, count: int = 1) -> None:
        name = state._value_  # `.value` is a descriptor written in Python, and this is asked for each instance's end
        setattr(self, name, getattr(self, name) + count)

    def include(self, other: "Counts") -> None:
        """Count all that `other` counts, too."""
        for name in self.__slots__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    def take(self, state: TaskState) -> None:
        """Count one more instance."""
        self.total += 1
        if state.is_final:
            self.add(state)


def evaluate(rule: TriggerRule, up: Counts, setups: Counts) -> Verdict:
    """Verdict of `rule` over the direct upstreams (`_evaluate_direct_relatives`).

    `up` counts all direct upstream instances, `setups` those of them that belong to setup tasks.
    """
    all_done = up.done >= up.total
    match rule:
        case TriggerRule.ALL_SUCCESS:
            if up.bad:
                return TaskState.UPSTREAM_FAILED
            if up.skipped:
                return TaskState.SKIPPED
            return READY if up.success + up.removed >= up.total else None
        case TriggerRule.ALL_FAILED:
            if up.success or up.skipped:
                return TaskState.SKIPPED
            return READY if up.bad + up.removed >= up.total else None
        case TriggerRule.ALL_DONE:
            return READY if all_done else None
        case TriggerRule.ALL_DONE_MIN_ONE_SUCCESS:
            if up.skipped:
                return TaskState.SKIPPED
            if all_done and not up.success:
                return TaskState.UPSTREAM_FAILED
            return READY if all_done else None
        case TriggerRule.ALL_DONE_SETUP_SUCCESS:
            if not all_done:
                return None
            if not setups.total or setups.success:
                return READY
            return TaskState.SKIPPED if setups.skipped >= setups.total else TaskState.UPSTREAM_FAILED
        case TriggerRule.ONE_SUCCESS:
            if up.success:
                return READY
            if not all_done:
                return None
            return TaskState.SKIPPED if up.done == up.skipped else TaskState.UPSTREAM_FAILED
        case TriggerRule.ONE_FAILED:
            if up.bad:
                return READY
            return TaskState.SKIPPED if all_done else None
        case TriggerRule.ONE_DONE:
            if up.success or up.failed:
                return READY
            return TaskState.SKIPPED if all_done else None
        case TriggerRule.NONE_FAILED:
            if up.bad:
                return TaskState.UPSTREAM_FAILED
            return READY if up.success + up.skipped + up.removed >= up.total else None
        case TriggerRule.NONE_FAILED_MIN_ONE_SUCCESS:
            if up.bad:
                return TaskState.UPSTREAM_FAILED
            if up.skipped == up.total:
                return TaskState.SKIPPED
            if not all_done:
                return None
            return READY if up.success else TaskState.UPSTREAM_FAILED
        case TriggerRule.NONE_SKIPPED:
            if up.skipped:
                return TaskState.SKIPPED
            return READY if all_done else None
        case TriggerRule.ALL_SKIPPED:
            if up.success or up.bad:
                return TaskState.SKIPPED
            return READY if up.skipped >= up.total else None
        case TriggerRule.ALWAYS:
            return READY
    assert_never(rule)


def evaluate_setups(setups: Counts) -> Verdict:
    """Verdict of the setup constraint over the relevant *indirect* setups of a task (`_evaluate_setup_constraint`).

    A final verdict precedes the task's own rule; while this one waits, the rule may still set a final state.
    """
    if setups.bad:
        return TaskState.UPSTREAM_FAILED
    if setups.skipped:
        return TaskState.SKIPPED
    return READY if setups.success + setups.removed >= setups.total else None
