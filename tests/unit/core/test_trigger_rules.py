"""The rules against a transcription of Airflow's own two-step form (set a state; then list what is missing)."""

import itertools

import pytest

from dagcall.core.trigger_rules import READY, Counts, Verdict, evaluate, evaluate_setups
from dagcall.model.states import TaskState, TriggerRule

SKIPPED, UPSTREAM_FAILED = TaskState.SKIPPED, TaskState.UPSTREAM_FAILED


def counts(total: int, s: int, k: int, f: int, u: int, r: int = 0) -> Counts:
    made = Counts()
    made.total, made.success, made.skipped, made.failed, made.upstream_failed, made.removed = total, s, k, f, u, r
    return made


def as_airflow_writes_it(rule: TriggerRule, total: int, s: int, k: int, f: int, u: int, r: int) -> Verdict:
    """`_evaluate_direct_relatives` of trigger_rule_dep.py, 3.3.2, without setups and map indexes."""
    done = s + k + f + u + r
    upstream_done = done >= total
    new_state = None
    match rule.value:
        case "all_success":
            new_state = UPSTREAM_FAILED if u or f else SKIPPED if k else None
            missing = total - s - r > 0
        case "all_failed":
            new_state = SKIPPED if s or k else None
            missing = total - f - u - r > 0
        case "all_done" | "all_done_setup_success":
            missing = not upstream_done
        case "one_success":
            if upstream_done and done == k:
                new_state = SKIPPED
            elif upstream_done and s <= 0:
                new_state = UPSTREAM_FAILED
            missing = s <= 0
        case "one_failed":
            new_state = SKIPPED if upstream_done and not (f or u) else None
            missing = not f and not u
        case "one_done":
            new_state = SKIPPED if upstream_done and not (f or s) else None
            missing = s + f <= 0
        case "none_failed":
            new_state = UPSTREAM_FAILED if u or f else None
            missing = total - s - k - r > 0
        case "none_failed_min_one_success":
            if u or f:
                new_state = UPSTREAM_FAILED
            elif k == total:
                new_state = SKIPPED
            elif upstream_done and s == 0:
                new_state = UPSTREAM_FAILED
            missing = total - s - k - r > 0 or s <= 0
        case "none_skipped":
            new_state = SKIPPED if k else None
            missing = not upstream_done or k > 0
        case "all_skipped":
            new_state = SKIPPED if s or f or u else None
            missing = total - k > 0
        case "all_done_min_one_success":
            if k > 0:
                new_state = SKIPPED
            elif s + f + u + r >= total - k and s == 0:
                new_state = UPSTREAM_FAILED
            missing = k > 0 or s + f + u < total - k - r or s == 0
        case _:
            missing = False
    return new_state if new_state is not None else None if missing else READY


@pytest.mark.parametrize("rule", list(TriggerRule))
def test_every_rule_over_all_counts_up_to_four(rule: TriggerRule) -> None:
    for total in range(1, 5):
        for ended in itertools.product(range(total + 1), repeat=5):
            if sum(ended) <= total:
                expected = as_airflow_writes_it(rule, total, *ended)
                assert evaluate(rule, counts(total, *ended), Counts()) is expected, (total, ended)


@pytest.mark.parametrize(
    ("setups", "expected"),
    [
        (counts(2, s=1, k=0, f=1, u=0), READY),
        (counts(2, s=0, k=2, f=0, u=0), SKIPPED),
        (counts(2, s=0, k=1, f=1, u=0), UPSTREAM_FAILED),
        (counts(1, s=0, k=0, f=0, u=1), UPSTREAM_FAILED),
        (counts(0, s=0, k=0, f=0, u=0), READY),
    ],
)
def test_a_teardown_looks_at_its_setups_once_all_upstreams_are_done(setups: Counts, expected: Verdict) -> None:
    rule = TriggerRule.ALL_DONE_SETUP_SUCCESS
    assert evaluate(rule, counts(3, s=3, k=0, f=0, u=0), setups) is expected
    assert evaluate(rule, counts(3, s=2, k=0, f=0, u=0), setups) is None


@pytest.mark.parametrize(
    ("setups", "expected"),
    [
        (counts(2, s=1, k=0, f=0, u=0), None),
        (counts(2, s=2, k=0, f=0, u=0), READY),
        (counts(2, s=0, k=1, f=0, u=0), SKIPPED),
        (counts(2, s=0, k=1, f=1, u=0), UPSTREAM_FAILED),
    ],
)
def test_indirect_setups_must_all_succeed(setups: Counts, expected: Verdict) -> None:
    assert evaluate_setups(setups) is expected
