"""XComs beyond the running task's own pushes: of others, of other runs, deleted, and added after the end."""

from typing import Any

from dagcall.coordinator.recovery import rebuild
from dagcall.coordinator.run import Run

from ..serving import Serving, eventually

HEAD = """
from airflow.sdk import DAG, BaseOperator, BaseOperatorLink, dag, result, task
from airflow.sdk.execution_time.xcom import XCom
"""


def replayed(served: Serving, run: Run) -> list[tuple[str, int, str, bytes]]:
    """The XComs of a run as the journal has them; the same as those in memory."""
    again = served.do(rebuild(served.coordinator._journal, run.key))
    assert again is not None
    kept = [(task_id, index, item.key, item.value) for task_id, index, item in again.machine.xcoms.items()]
    live = [(task_id, index, item.key, item.value) for task_id, index, item in run.machine.xcoms.items()]
    assert sorted(kept) == sorted(live)
    return kept


def test_xcoms_of_other_tasks_and_runs_are_set_and_deleted_for_good(served: Serving) -> None:
    served.write(
        "others.py",
        HEAD
        + """
@dag(schedule=None, params={"of": ""})
def others():
    @task
    def first(ti=None):
        ti.xcom_push(key="own", value=1)
        ti.xcom_push(key="gone", value=1)
        XCom.delete(key="gone", task_id="first", dag_id=ti.dag_id, run_id=ti.run_id, map_index=-1)
        return "first"
    @task
    def second(value, ti=None, params=None):
        here = dict(task_id="first", dag_id=ti.dag_id, run_id=params["of"] or ti.run_id)
        XCom.set(key="from second", value={"n": [1, None]}, **here)
        XCom.set(key="own", value="replaced", **here)
        XCom.delete(key="return_value", **here)
        XCom.delete(key="nothing", **here)
        pull = lambda key: ti.xcom_pull(task_ids="first", key=key, run_id=here["run_id"], map_indexes=-1)
        return [value, pull("from second"), pull("own"), pull("return_value"), pull("gone")]
    return second(first())
others()
""",
    )
    served.wait_for_dag("others")
    run = served.start("others")
    expected = ["first", {"n": [1, None]}, "replaced", None, None]
    assert served.value_of(run) == expected
    eventually(lambda: run.head.state.is_final, "it has ended")
    assert {(task_id, key) for task_id, _, key, _ in replayed(served, run)} == {
        ("first", "own"),
        ("first", "from second"),
        ("second", "return_value"),
    }
    # Of a run that has ended.
    before = served.start("others", run_id="ended")
    served.value_of(before)
    eventually(lambda: before.head.state.is_final, "it has ended")
    ended = before.head.last_record
    served.value_of(served.start("others", {"of": "ended"}))
    assert before.head.last_record == ended + 2  # its return value was deleted before
    replayed(served, before)


def test_where_an_xcom_cannot_be_set(served: Serving) -> None:
    served.write(
        "not_there.py",
        HEAD
        + """
@dag(schedule=None)
def not_there():
    @task
    def ask(ti=None):
        messages = []
        for where in (
            dict(task_id="ask", dag_id=ti.dag_id, run_id="no_run"),
            dict(task_id="no_task", dag_id=ti.dag_id, run_id=ti.run_id),
            dict(task_id="ask", dag_id=ti.dag_id, run_id=ti.run_id, map_index=3),
        ):
            try:
                XCom.set(key="k", value=1, **where)
            except Exception as error:
                messages.append(str(error))
        return messages
    return ask()
not_there()
""",
    )
    served.wait_for_dag("not_there")
    no_run, no_task, no_index = served.call("not_there")
    assert "DAG run not found on DAG 'not_there' with ID 'no_run'" in no_run
    assert "has no task instance 'no_task'" in no_task
    assert "has no task instance 'ask[3]'" in no_index


def test_what_earlier_runs_have_pushed(served: Serving) -> None:
    served.write(
        "earlier.py",
        HEAD
        + """
@dag(schedule=None, params={"push": True})
def earlier():
    @task
    def push(ti=None, params=None):
        if params["push"]:
            ti.xcom_push(key="k", value=ti.run_id)
    @task
    def each(n, ti=None, params=None):
        if params["push"]:
            ti.xcom_push(key="k", value=f"{ti.run_id}-{n}")
    @task(trigger_rule="all_done")
    def pull(ti=None):
        prior = dict(key="k", include_prior_dates=True)
        return {
            "one": ti.xcom_pull(task_ids="push", map_indexes=-1, **prior),
            "own": ti.xcom_pull(task_ids="push", key="k", map_indexes=-1),
            "all": ti.xcom_pull(task_ids="push", **prior),
            "mapped": ti.xcom_pull(task_ids="each", map_indexes=1, **prior),
            "all mapped": ti.xcom_pull(task_ids="each", **prior),
            "nobody": ti.xcom_pull(task_ids="nobody", map_indexes=-1, **prior),
        }
    [push(), each.expand(n=[0, 1])] >> (pulled := pull())
    return pulled
earlier()
""",
    )
    served.wait_for_dag("earlier")

    def call(run_id: str, date: float, *, push: bool = True) -> Any:
        run = served.start("earlier", {"push": push}, run_id=run_id, logical_date=date)
        value = served.value_of(run)
        eventually(lambda: run.head.state.is_final, "it has ended")
        return value

    call("second", 200.0)
    assert call("first", 100.0)["one"] == "first"  # the other one is of a later date
    third = call("third", 300.0, push=False)
    assert third == {
        "one": "second",
        "own": None,
        "all": ["second", "first"],
        "mapped": "second-1",
        "all mapped": ["second-0", "first-0", "second-1", "first-1"],
        "nobody": None,
    }


def test_what_comes_after_the_end_is_kept(served: Serving) -> None:
    served.write(
        "after_end.py",
        HEAD
        + """
class Link(BaseOperatorLink):
    name = "The page"
    def get_link(self, operator, *, ti_key):
        return f"http://page.example/{ti_key.run_id}"

class Linked(BaseOperator):
    operator_extra_links = (Link(),)
    template_fields = ("text",)
    overwrite_rtif_after_execution = True
    def __init__(self, text, **more):
        super().__init__(**more)
        self.text = text
    def execute(self, context):
        self.text = "executed"
        return 5

def on_success(context):
    ti = context["ti"]
    ti.xcom_push(key="callback", value=1)
    ti.xcom_push(key="read back", value=ti.xcom_pull(task_ids=ti.task_id, key="callback", map_indexes=-1))

with DAG("after_end", schedule=None) as dag:
    dag.add_result(Linked(task_id="linked", text="{{ run_id }}", on_success_callback=on_success).output)
""",
    )
    served.wait_for_dag("after_end")
    run = served.start("after_end")
    assert served.value_of(run) == 5

    def kept() -> set[str]:
        return set(run.machine.xcoms.keys("linked", -1))

    eventually(lambda: kept() >= {"return_value", "callback", "read back", "_link_Link"}, "all are kept", kept)
    eventually(lambda: b"executed" in run.machine.instances()[0].rendered_fields, "the fields are replaced")
    eventually(lambda: run.head.last_record == len(run.records), "all is durable")
    values = {key: value for _, _, key, value in replayed(served, run)}
    assert values["read back"] == b"\x01"
    assert b"http://page.example/" in values["_link_Link"]
    kinds = [record.kind for record in run.records]
    assert "xcom" in kinds


def test_a_callback_may_ask(served: Serving) -> None:
    served.write(
        "callback_asks.py",
        HEAD
        + """
from airflow.sdk import Variable

def on_success(context):
    Variable.set("from_callback", context["ti"].get_dagrun_state("callback_asks", context["run_id"]))

@dag(schedule=None)
def callback_asks():
    @task(on_success_callback=on_success)
    def one():
        return 1
    return one()
callback_asks()
""",
    )
    served.wait_for_dag("callback_asks")
    assert served.call("callback_asks") == 1
    variables = served.coordinator.kept.variables
    eventually(lambda: served.do(variables.get("from_callback")), "the callback has run")
