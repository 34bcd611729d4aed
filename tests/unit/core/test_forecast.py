"""What is forecast from possible upstream states is exactly what the rules can make of them."""

import itertools
from collections.abc import Callable
from typing import Any

import pytest

from dagcall.core import forecast
from dagcall.core.machine import RunMachine
from dagcall.core.trigger_rules import READY, Counts, evaluate
from dagcall.model.plan import Mapping, MapSource, TaskPlan
from dagcall.model.states import TaskState, TriggerRule

BITS = {
    TaskState.SUCCESS: forecast.SUCCESS,
    TaskState.SKIPPED: forecast.SKIPPED,
    TaskState.FAILED: forecast.FAILED,
    TaskState.UPSTREAM_FAILED: forecast.UPSTREAM_FAILED,
}


def foreseen(machine: RunMachine) -> dict[str, forecast.Ends]:
    return forecast.Forecast(machine._watch._scene, machine._board.tasks).ends


def verdicts(rule: TriggerRule, masks: tuple[int, ...], setups: bool) -> int:
    """By trying: every state of every upstream, in every order, asking the rule after each end."""
    found = 0
    options = [[state for state, bit in BITS.items() if mask & bit] for mask in masks]
    for ends in {order for states in itertools.product(*options) for order in itertools.permutations(states)}:
        up, up_setups = Counts(), Counts()
        up.total = len(masks)
        up_setups.total = len(masks) if setups else 0
        for state in ends:
            up.add(state)
            if setups:
                up_setups.add(state)
            verdict = evaluate(rule, up, up_setups)
            if verdict is not None:
                found |= forecast.RUNS if verdict is READY else BITS[verdict]
                break
    return found


@pytest.mark.parametrize("setups", [True, False])
@pytest.mark.parametrize("rule", [rule for rule in TriggerRule if rule is not TriggerRule.ALWAYS])
def test_possible_verdicts(rule: TriggerRule, setups: bool) -> None:
    sound_only = 0
    for width in (1, 2, 3):
        for masks in itertools.combinations_with_replacement(range(1, 16), width):
            ends = frozenset(masks)
            possible = forecast.possible(rule, ends, ends if setups else frozenset())
            tried = verdicts(rule, masks, setups)
            assert tried & ~possible == 0, (masks, tried, possible)
            sound_only += possible != tried
    # Looser than need be only where one upstream must be two things at once; never in most of the 815 cases.
    assert sound_only < 815 / 4


def test_a_map_may_turn_out_empty_or_of_unknown_length(
    run_of: Callable[..., Any], task: Callable[..., TaskPlan]
) -> None:
    run = run_of(task("a"), task("m", "a", mapping=Mapping((MapSource("xcom", task_id="a"),)), trigger_rule="all_done"))
    run.start("a")
    assert foreseen(run.machine)["m"] == {forecast.ANY}


def test_indirect_setups_show_in_the_forecast(run_of: Callable[..., Any], task: Callable[..., TaskPlan]) -> None:
    run = run_of(task("s", is_setup=True), task("a", "s"), task("b", "a", trigger_rule="all_done"))
    assert foreseen(run.machine)["b"] == {forecast.ANY}
