from typing import Any

import pytest

from dagcall.coordinator.params import LARGE, ParamsValidator, is_large
from dagcall.errors import InvalidParams
from dagcall.model.plan import DagPlan

SCHEMA = {
    "type": "object",
    "properties": {
        "n": {"type": "integer", "minimum": 1, "default": 3},
        "bad_default": {"type": "string", "default": 5},
        "free": {"default": None},
        "deep": {"type": "object", "properties": {"a": {"type": "array", "items": {"type": "integer"}}}, "default": {}},
        "needed": {"type": "string"},
        "any": {},
    },
    "required": ["needed", "any"],
}
GOOD = {"needed": "x", "any": None, "bad_default": "good"}


def problems(schema: dict[str, Any], conf: dict[str, Any]) -> dict[str, str]:
    validator = ParamsValidator(DagPlan("d", "v", "/d.py", "d.py", (), params_schema=schema))
    try:
        validator.check(conf)
    except InvalidParams as error:
        return {problem.field: problem.reason for problem in error.errors}
    return {}


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        (GOOD, {}),
        ({**GOOD, "other": [1]}, {}),
        ({**GOOD, "n": 0}, {"n": "0 is less than the minimum of 1"}),
        ({**GOOD, "deep": {"a": [1, "b", 2]}}, {"deep.a[1]": "'b' is not of type 'integer'"}),
        ({**GOOD, "needed": None}, {"needed": "None is not of type 'string'"}),
        ({"needed": "x", "any": 1}, {"bad_default": "5 is not of type 'string'"}),
        ({"bad_default": "x"}, {"needed": "is required", "any": "is required"}),
    ],
)
def test_fields_and_reasons(conf: dict[str, Any], expected: dict[str, str]) -> None:
    assert problems(SCHEMA, conf) == expected


def test_no_params_take_anything() -> None:
    assert problems({}, {"a": 1}) == {}
    assert problems({"type": "object", "properties": {}}, {"a": 1}) == {}


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, False),
        ({"question": "x" * 100_000}, False),
        ({str(number): number for number in range(LARGE)}, False),
        ({"rows": list(range(LARGE))}, True),
        ({"rows": [{"a": [number]} for number in range(LARGE // 3)]}, False),
        ({"rows": [{"a": [number]} for number in range(LARGE // 2)]}, True),
    ],
)
def test_large_is_what_has_many_values_at_whatever_depth(conf: dict[str, Any], expected: bool) -> None:
    assert is_large(conf) is expected
