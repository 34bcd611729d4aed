import dataclasses
import datetime
import decimal
import enum
import json
import pathlib
import uuid
from collections import OrderedDict, deque
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagcall.airflow_bridge.plain import plain

UTC = datetime.UTC


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Node:
    value: object
    below: "list[Node]" = dataclasses.field(default_factory=list)


class Array:
    """As numpy's."""

    def tolist(self) -> list[float]:
        return [1.0, float("nan")]


class Frame:
    """As pandas'."""

    def to_dict(self) -> dict[str, dict[int, int]]:
        return {"column": {0: 1}}


class Other:
    def __str__(self) -> str:
        return "other"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (datetime.datetime(2024, 1, 2, 3, 4, 5, 6, tzinfo=UTC), "2024-01-02T03:04:05.000006+00:00"),
        (datetime.date(2024, 1, 2), "2024-01-02"),
        (datetime.time(1, 2), "01:02:00"),
        (datetime.timedelta(minutes=1.5), 90.0),
        (decimal.Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a"), "/a"),
        (Colour.RED, "red"),
        (Node(1, [Node((2,))]), {"value": 1, "below": [{"value": [2], "below": []}]}),
        (OrderedDict(a={1: float("inf")}), {"a": {"1": None}}),
        (frozenset({1}), [1]),
        (deque([1, 2]), [1, 2]),
        (range(2), [0, 1]),
        (b"a\xff", "a\ufffd"),
        (Array(), [1.0, None]),
        (Frame(), {"column": {"0": 1}}),
        (Other(), "other"),
    ],
)
def test_plain(value: Any, expected: Any) -> None:
    assert plain(value) == expected


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON)
def test_json_stays_as_it_is(value: Any) -> None:
    assert plain(value) == value


@given(st.recursive(st.floats() | st.decimals() | st.dates(), lambda inner: st.lists(inner) | st.tuples(inner, inner)))
def test_all_else_becomes_strict_json(value: Any) -> None:
    json.dumps(plain(value), allow_nan=False)
