"""Branches decide what is skipped; an author's limits bind."""

import pytest

from dagcall.model.ids import TaskKey
from dagcall.model.states import TaskState

from ..serving import Serving, eventually

BRANCHES = """
from airflow.sdk import dag, result, task

@dag(schedule=None)
def branches():
    @task.branch
    def choose():
        return "left"

    @task
    def left():
        return "L"

    @task
    def right():
        return "R"

    @result
    @task(trigger_rule="none_failed_min_one_success")
    def join(ti=None):
        return ti.xcom_pull(task_ids=["left", "right"], map_indexes=-1)

    choose() >> [left(), right()] >> join()

branches()

@dag(schedule=None)
def mapped_branches():
    @task.branch
    def choose(number):
        return "odd" if number % 2 else "even"

    @task
    def even(number):
        return number

    @task
    def odd(number):
        return number

    @result
    @task(trigger_rule="none_failed")
    def both(evens, odds):
        return [list(evens), list(odds)]

    evens, odds = even.expand(number=[0, 1, 2]), odd.expand(number=[0, 1, 2])
    choose.expand(number=[0, 1, 2]) >> [evens, odds]
    both(evens, odds)

mapped_branches()

@dag(schedule=None)
def short_circuit():
    @task.short_circuit
    def gate():
        return False

    @task
    def after():
        return 1

    @result
    @task(trigger_rule="all_done")
    def last():
        return "ran"

    gate() >> after() >> last()

short_circuit()
"""

LIMITS = """
import os
import time
from pathlib import Path

from airflow.sdk import dag, result, task

@dag(schedule=None, max_active_tasks=2)
def two_tasks_at_once():
    @task
    def span(number):
        begun = time.time()
        time.sleep(0.1)
        return [begun, time.time()]

    @result
    @task
    def spans(all):
        return list(all)

    spans(span.expand(number=list(range(6))))

two_tasks_at_once()

@dag(schedule=None, max_active_runs=1, params={"gate": ""})
def one_run_at_once():
    @result
    @task
    def wait(params):
        while not Path(params["gate"]).exists():
            time.sleep(0.005)
        return os.path.basename(params["gate"])

    wait()

one_run_at_once()
"""


@pytest.fixture(scope="module", autouse=True)
def dags(served: Serving) -> None:
    served.write("branches.py", BRANCHES)
    served.write("limits.py", LIMITS)
    served.wait_for_dag("branches", "mapped_branches", "short_circuit", "two_tasks_at_once", "one_run_at_once")


def test_a_branch_that_is_not_taken_is_skipped(served: Serving) -> None:
    run = served.start("branches")
    assert served.value_of(run) == ["L", None]
    skipped = run.machine.instance(TaskKey("right"))
    assert skipped is not None
    assert (skipped.state, skipped.try_number) == (TaskState.SKIPPED, 0)


def test_a_mapped_branch_skips_instances_of_its_own_index(served: Serving) -> None:
    assert served.call("mapped_branches") == [[0, 2], [1]]


def test_a_short_circuit_skips_everything_below(served: Serving) -> None:
    assert served.call("short_circuit") is None


def test_max_active_tasks_bounds_a_run(served: Serving) -> None:
    spans = served.call("two_tasks_at_once")
    at_once = [sum(begin <= moment < end for begin, end in spans) for moment, _ in spans]
    assert max(at_once) == 2


def test_max_active_runs_lets_runs_wait_their_turn(served: Serving) -> None:
    gates = [served.home / f"gate-{number}" for number in range(3)]
    runs = [served.start("one_run_at_once", {"gate": str(gate)}) for gate in gates]
    first, *others = runs
    eventually(lambda: first.machine.instances()[0].state is TaskState.RUNNING, "the first run has begun")
    assert [run.head.state.value for run in others] == ["queued", "queued"]
    for gate in reversed(gates):
        gate.touch()
    assert [served.value_of(run) for run in runs] == [gate.name for gate in gates]
    ends = [run.machine.end_date for run in runs]
    assert ends == sorted(ends, key=lambda end: end or 0.0)
