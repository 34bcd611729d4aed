"""`copier` gives what `copy.deepcopy` gives, as often as it is asked."""

import copy
from typing import Any

import pytest
from airflow.sdk.definitions._internal.expandinput import DictOfListsExpandInput
from hypothesis import given
from hypothesis import strategies as st

from dagcall.airflow_bridge.copier import copier


class Thing:
    def __init__(self, inside: Any) -> None:
        self.inside = inside

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Thing) and self.inside == other.inside

    def __hash__(self) -> int:
        return 0


leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.binary(max_size=3)
values = st.recursive(
    leaves | st.sets(st.integers()) | st.builds(set) | st.builds(list) | st.builds(dict),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=3), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.builds(Thing, inner)
        | st.builds(DictOfListsExpandInput, st.dictionaries(st.text(max_size=2), st.lists(inner, max_size=3)))
    ),
    max_leaves=12,
)


def reachable(value: Any) -> list[Any]:
    """Everything in a value that somebody could change."""
    if isinstance(value, list | tuple | set):
        inside = list(value)
    elif isinstance(value, dict):
        inside = list(value.values())
    elif isinstance(value, Thing):
        inside = [value.inside]
    elif isinstance(value, DictOfListsExpandInput):
        inside = [value.value]
    else:
        return []
    own = [] if isinstance(value, tuple) else [value]
    return own + [part for item in inside for part in reachable(item)]


@given(values)
def test_copies_are_equal_and_share_nothing_that_can_change(value: Any) -> None:
    expected = copy.deepcopy(value)
    make = copier(value)
    if make is None:
        assert reachable(value) == []
        return
    one, another = make(), make()
    assert one == another == expected
    assert type(one) is type(value)
    known = {id(part) for part in reachable(value)}
    ours = {id(part) for part in reachable(one)}
    assert not known & ours
    assert not ours & {id(part) for part in reachable(another)}


def test_the_same_list_twice_is_one_list_in_the_copy() -> None:
    shared: list[int] = []
    make = copier({"a": shared, "b": [shared]})
    assert make is not None
    copied = make()
    copied["a"].append(1)
    assert copied["b"] == [[1]]
    assert shared == []


def test_an_object_in_a_list_and_in_another_object_is_one_object_in_the_copy() -> None:
    inner = Thing(1)
    make = copier([inner, Thing(inner)])
    assert make is not None
    copied = make()
    assert copied[0] is copied[1].inside
    assert copied[0] is not inner


def test_a_list_that_contains_itself() -> None:
    value: list[Any] = []
    value.append(value)
    make = copier(value)
    assert make is not None
    copied = make()
    assert copied[0] is copied
    assert copied is not value


def test_what_is_shared_stays_shared() -> None:
    dag = Thing("the DAG")
    make = copier({"dag": dag, "list": [dag]}, {id(dag): dag})
    assert make is not None
    copied = make()
    assert copied["dag"] is copied["list"][0] is dag


def test_what_cannot_be_copied_is_said_at_once() -> None:
    with pytest.raises(TypeError, match="generator"):
        copier({"a": (item for item in ())})


def test_a_sentinel_stays_the_object_that_it_is() -> None:
    assert copier(object()) is None
