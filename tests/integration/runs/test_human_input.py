"""HITL operators of Airflow's standard provider, answered by people who are not there in person."""

from typing import Any

import pytest

from dagcall.coordinator.run import Run
from dagcall.model.ids import TaskKey
from dagcall.model.inputs import InputRequest, User

from ..serving import Serving, eventually

ANN = User("1", "ann")

FILE = """
from datetime import timedelta
from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.hitl import (
    ApprovalOperator, HITLBranchOperator, HITLEntryOperator, HITLOperator)
from airflow.providers.standard.triggers.hitl import HITLTrigger
from airflow.sdk import DAG, BaseOperator, Param, task
from airflow.sdk.execution_time.hitl import upsert_hitl_detail
from airflow.sdk.timezone import utcnow

NOW = timedelta(milliseconds=1)

with DAG("asks", schedule=None, params={"what": "tea"}) as asks:
    ask = HITLOperator(
        task_id="ask", subject="More {{ params.what }}?", options=["yes", "no", "later"], multiple=True,
        params={"cups": Param(1, type="integer")}, body="Please", assigned_users=[{"id": "1", "name": "ann"}])
    asks.add_result(ask.output)

with DAG("approves", schedule=None, params={"fail": False}):
    for name, fail in (("approve", False), ("approve_or_fail", True)):
        ApprovalOperator(task_id=name, subject="Ship?", fail_on_reject=fail) >> EmptyOperator(task_id=f"after_{name}")

with DAG("branches", schedule=None):
    branch = HITLBranchOperator(task_id="branch", subject="Where?", options=["left", "right"],
                                options_mapping={"left": "go_left", "right": "go_right"})
    branch >> [EmptyOperator(task_id="go_left"), EmptyOperator(task_id="go_right")]

with DAG("enters", schedule=None) as enters:
    entry = HITLEntryOperator(task_id="enter", subject="Name?", params={"name": "x"}, response_timeout=NOW)
    enters.add_result(entry.output)

with DAG("nobody", schedule=None):
    HITLOperator(task_id="ask", subject="Anyone?", options=["yes"], response_timeout=NOW)

class Deferring(BaseOperator):
    def __init__(self, *, timeout, **kwargs):
        super().__init__(**kwargs)
        self.limit = timeout
    def execute(self, context):
        asked = dict(ti_id=context["ti"].id, options=["yes", "no"], defaults=["no"], params={"n": 1})
        upsert_hitl_detail(subject="?", **asked)
        due = None if self.limit is None else utcnow() + self.limit
        self.defer(trigger=HITLTrigger(timeout_datetime=due, poke_interval=0.02, **asked), method_name="go_on")
    def go_on(self, context, event):
        return [event["chosen_options"], event["params_input"], event["timedout"]]

for name, limit in (("by_trigger", None), ("by_trigger_in_time", NOW)):
    with DAG(name, schedule=None) as deferring:
        deferring.add_result(Deferring(task_id="ask", timeout=limit).output)

with DAG("mapped_asks", schedule=None) as mapped:
    many = HITLOperator.partial(task_id="ask", options=["yes", "no"]).expand(subject=["a?", "b?"])
"""


@pytest.fixture(scope="module")
def served(runs: Serving) -> Serving:
    runs.write("people.py", FILE)
    runs.wait_for_dag("asks", "mapped_asks")
    return runs


def asked(served: Serving, run: Run, task_id: str, map_index: int = -1, state: str = "awaiting_input") -> InputRequest:
    """What the task asks, once it holds no worker any more."""

    def request() -> InputRequest | None:
        instance = run.machine.instance(TaskKey(task_id, map_index))
        if instance is None or instance.state.value != state:
            return None
        return served.do(served.coordinator.inputs.find(run.key, TaskKey(task_id, map_index)))

    return eventually(request, f"{task_id} asks", lambda: [(ti, ti.error) for ti in run.machine.instances()])


def answer(served: Serving, request: InputRequest, *chosen: str, **params: Any) -> None:
    served.do(served.coordinator.inputs.answer(request, list(chosen), params, ANN))


def ended(run: Run) -> dict[str, str]:
    eventually(lambda: run.head.state.is_final, "the end", lambda: [(ti, ti.error) for ti in run.machine.instances()])
    return {str(ti.key): ti.state.value for ti in run.machine.instances()}


def test_a_question_with_params(served: Serving) -> None:
    run = served.start("asks", {"what": "coffee"})
    request = asked(served, run, "ask")
    assert (request.subject, request.body, request.options) == ("More coffee?", "Please", ["yes", "no", "later"])
    assert (request.multiple, request.assigned_users, request.params["cups"]["value"]) == (True, [ANN], 1)
    answer(served, request, "yes", "later", cups=3)
    value = served.value_of(run)
    assert value.pop("responded_at").startswith("20")
    assert value == {
        "chosen_options": ["yes", "later"],
        "params_input": {"cups": 3},
        "responded_by_user": {"id": "1", "name": "ann"},
    }


def test_params_that_do_not_validate_fail_the_task(served: Serving) -> None:
    run = served.start("asks")
    answer(served, asked(served, run, "ask"), "yes", cups="many")
    outcome = served.outcome(run)
    assert outcome.failure is not None
    assert outcome.failure.error.type == "ParamValidationError"


@pytest.mark.parametrize("choice", ["Approve", "Reject"])
def test_approval(served: Serving, choice: str) -> None:
    run = served.start("approves")
    for name in ("approve", "approve_or_fail"):
        answer(served, asked(served, run, name), choice)
    approved = choice == "Approve"
    assert ended(run) == {
        "approve": "success",
        "after_approve": "success" if approved else "skipped",
        "approve_or_fail": "success" if approved else "failed",
        "after_approve_or_fail": "success" if approved else "upstream_failed",
    }


def test_a_branch(served: Serving) -> None:
    run = served.start("branches")
    answer(served, asked(served, run, "branch"), "right")
    assert ended(run) == {"branch": "success", "go_left": "skipped", "go_right": "success"}


def test_in_time_the_defaults_are_the_answer(served: Serving) -> None:
    run = served.start("enters")
    value = served.value_of(run)
    assert (value["chosen_options"], value["params_input"], value["responded_by_user"]) == (["OK"], {"name": "x"}, None)
    request = served.do(served.coordinator.inputs.find(run.key, TaskKey("enter")))
    assert request is not None
    assert (request.is_answered, request.responded_by) == (True, None)


def test_without_defaults_it_fails_in_time(served: Serving) -> None:
    failure = served.failure("nobody")
    assert failure.type == "HITLTimeoutError"
    assert "timeout has passed without a response" in failure.message


def test_mapped(served: Serving) -> None:
    run = served.start("mapped_asks")
    for index, subject in enumerate(("a?", "b?")):
        request = asked(served, run, "ask", index)
        assert request.subject == subject
        answer(served, request, "no")
    assert ended(run) == {"ask[0]": "success", "ask[1]": "success"}


def test_an_operator_that_leaves_the_waiting_to_a_trigger(served: Serving) -> None:
    run = served.start("by_trigger")
    answer(served, asked(served, run, "ask", state="deferred"), "yes", n=2)
    assert served.value_of(run) == [["yes"], {"n": 2}, False]
    assert served.call("by_trigger_in_time") == [["no"], {"n": 1}, True]
