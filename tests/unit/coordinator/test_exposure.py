"""Which DAGs callers see, and which refuse calls."""

import pytest

from dagcall.coordinator.exposure import RULES, Exposure
from dagcall.errors import DagPaused, Unavailable
from dagcall.model.plan import DagPlan, TaskPlan
from dagcall.options import Options

BATCH = DagPlan("batch", "1", "/b.py", "b.py", (TaskPlan("t", "PythonOperator"),), tags=("nightly", "dagcaller"))
WITH_RESULT = DagPlan("result", "1", "/r.py", "r.py", (TaskPlan("t", "PythonOperator", is_result=True),))
TAGGED = DagPlan("tagged", "1", "/t.py", "t.py", (), tags=("dagcall",))
WISHING = DagPlan("wishing", "1", "/w.py", "w.py", (), tags=("dagcall:cache=60",))


@pytest.mark.parametrize(
    ("rule", "exposed"),
    [
        ("marked", {"result", "tagged", "wishing"}),
        ("tagged", {"tagged", "wishing"}),
        ("all", {"batch", "result", "tagged", "wishing"}),
    ],
)
def test_each_rule(rule: str, exposed: set[str]) -> None:
    exposure = Exposure()
    exposure.apply(rule)
    assert {plan.dag_id for plan in (BATCH, WITH_RESULT, TAGGED, WISHING) if exposure.is_exposed(plan)} == exposed
    assert f"[dagcall] expose = {rule}" in exposure.why_not


def test_the_option_has_these_rules() -> None:
    assert {Options.read({"expose": rule}).expose for rule in RULES} == set(RULES)
    assert Options().expose in RULES


def test_a_paused_dag_refuses_calls_until_it_is_not() -> None:
    exposure = Exposure()
    exposure.check("batch")
    exposure.pause({"batch"})
    assert exposure.is_paused("batch")
    with pytest.raises(DagPaused, match="'batch' is paused in Airflow"):
        exposure.check("batch")
    exposure.check("other")
    exposure.pause(set())
    exposure.check("batch")


def test_before_airflow_has_said_who_is_paused_no_call_is_taken() -> None:
    exposure = Exposure()
    exposure.wait_for_airflow("The database is away")
    with pytest.raises(Unavailable, match="The database is away; it is not known yet whether DAG 'x' is paused"):
        exposure.check("x")
    exposure.pause({"y"})
    exposure.check("x")
