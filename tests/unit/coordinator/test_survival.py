"""Whose word counts: the call's, the DAG's, the server's."""

import pytest

from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.survival import Survival
from dagcall.model.plan import DagPlan


@pytest.mark.parametrize(
    ("call", "dag", "word"),
    [(None, None, "none"), (None, "process", "process"), ("power", "process", "power"), ("none", "power", "none")],
)
def test_the_nearest_word_counts(call: str | None, dag: str | None, word: str) -> None:
    plan = DagPlan("d", "v", "", "", (), durability=dag)  # type: ignore[arg-type] # one of the words
    assert Survival("none").durability_of(CallRequest("d", durability=call), plan) == word


def test_on_restart() -> None:
    plan, failing = DagPlan("d", "v", "", "", ()), DagPlan("d", "v", "", "", (), on_restart="fail")
    assert Survival().on_restart_of(plan) == "resume"
    assert Survival().on_restart_of(failing) == "fail"
    assert Survival(on_restart="fail").on_restart_of(plan) == "fail"
