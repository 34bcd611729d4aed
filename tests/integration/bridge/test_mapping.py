"""Mapping on real workers, of whole task groups most of all: what each instance is given, and what comes back."""

import pytest

from ..serving import Serving

GROUPS = """
from airflow.sdk import TaskGroup, dag, result, task, task_group

@dag(schedule=None, params={"numbers": [1, 2, 3]})
def mapped_groups():
    @task
    def numbers(params):
        return params["numbers"]

    @task
    def ten():
        return 10

    @task
    def times(number, factor):
        return number * factor

    @task
    def plus_one(number, ti=None):
        return [ti.map_index, number + 1]

    @task_group
    def work(number, factor):
        product = times(number, factor)
        with TaskGroup("inner"):
            return plus_one(product)

    @task
    def pairs():
        return [{"number": 5, "factor": 1}, {"number": 6, "factor": 2}]

    @result
    @task
    def all_of(first, second):
        return {"first": list(first), "second": list(second)}

    first = work.partial(factor=ten()).expand(number=numbers())
    second = work.override(group_id="again").expand_kwargs(pairs())
    all_of(first, second)

mapped_groups()

@dag(schedule=None)
def ends_in_a_group():
    @result
    @task
    def double(number):
        if number == 13:
            raise ValueError("unlucky")
        return number * 2

    @task_group
    def group(number):
        return double(number)

    @task
    def numbers(params):
        return params["numbers"]

    group.expand(number=numbers())

ends_in_a_group()
"""


@pytest.fixture(scope="module")
def groups(served: Serving) -> Serving:
    served.write("mapped_groups.py", GROUPS)
    served.wait_for_dag("mapped_groups")
    return served


def test_each_instance_is_given_its_own_element_and_its_own_upstream_value(groups: Serving) -> None:
    assert groups.call("mapped_groups") == {
        "first": [[0, 11], [1, 21], [2, 31]],
        "second": [[0, 6], [1, 13]],
    }


def test_a_group_over_nothing_is_skipped(groups: Serving) -> None:
    assert groups.call("mapped_groups", {"numbers": []}) is None
    assert groups.failure("mapped_groups", {"numbers": 7}).type == "UnmappableXComTypePushed"


def test_a_list_over_max_map_length_fails_the_task_that_returned_it(groups: Serving) -> None:
    failure = groups.failure("mapped_groups", {"numbers": [0] * 1025})
    assert "too large to map" in failure.message
    assert failure.outcome.failure is not None
    assert failure.outcome.failure.failed_task == "numbers"


def test_a_result_in_a_group_is_a_list(groups: Serving) -> None:
    assert groups.call("ends_in_a_group", {"numbers": [1, 2]}) == [2, 4]
    failure = groups.failure("ends_in_a_group", {"numbers": [1, 13, 2]})
    assert failure.message == "unlucky"
    assert failure.outcome.failure is not None
    assert failure.outcome.failure.map_index == 1
