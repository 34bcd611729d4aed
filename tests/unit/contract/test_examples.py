"""Values that show how a call looks."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagcall.contract.examples import example, example_params
from dagcall.contract.schemas import fits
from dagcall.model.plan import DagPlan

Schema = dict[str, Any]

MADE_UP: dict[str, Schema] = {
    "anything": {},
    "integer": {"type": "integer"},
    "from 5": {"type": "integer", "minimum": 5},
    "above 5": {"type": "integer", "exclusiveMinimum": 5},
    "below 0": {"type": "number", "exclusiveMaximum": 0},
    "between": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
    "multiple": {"type": "integer", "multipleOf": 7, "minimum": 10},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "nullable": {"type": ["null", "string"]},
    "long": {"type": "string", "minLength": 30},
    "short": {"type": "string", "maxLength": 1},
    "date": {"type": "string", "format": "date"},
    "time": {"type": "string", "format": "date-time"},
    "currency": {"type": "string", "pattern": "^[A-Z]{3}$"},
    "guest": {"type": "string", "pattern": r"^[A-Z]-\d{4}$"},
    "enum": {"enum": ["a", "b"]},
    "const": {"const": {"a": 1}},
    "list": {"type": "array", "items": {"type": "integer", "minimum": 3}},
    "three": {"type": "array", "items": {"type": "boolean"}, "minItems": 2, "maxItems": 3},
    "pair": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "minItems": 2},
    "object": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
    "either": {"anyOf": [{"type": "integer", "minimum": 3}, {"type": "null"}]},
    "tree": {
        "$ref": "#/$defs/Node",
        "$defs": {
            "Node": {
                "type": "object",
                "properties": {
                    "value": {"type": "integer"},
                    "below": {"type": "array", "items": {"$ref": "#/$defs/Node"}},
                },
                "required": ["value"],
            }
        },
    },
}


@pytest.mark.parametrize("name", MADE_UP)
def test_made_up_values_fit(name: str) -> None:
    found = example(MADE_UP[name])
    assert found is not None
    assert fits(found[0], MADE_UP[name])


@pytest.mark.parametrize(
    "schema, value",
    [
        ({"type": "integer", "default": 3, "examples": [4]}, 3),
        ({"type": "integer", "default": None, "examples": [4]}, 4),
        ({"type": "string", "examples": ["x"], "enum": ["y", "x"]}, "x"),
        ({"type": "string", "enum": ["y", "x"]}, "y"),
        ({"type": ["null", "integer"], "default": None}, None),
    ],
)
def test_the_authors_values_go_first_if_they_fit(schema: Schema, value: object) -> None:
    assert example(schema) == (value,)


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "string", "pattern": "^z{40}$"},
        {"not": {}},
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "integer", "minimum": "5"},
        {"type": "string", "pattern": "("},
        {"$ref": "#/$defs/nowhere"},
        {"type": 7},
        {"type": "number", "multipleOf": 0, "minimum": 2},
        {"type": "string", "minLength": 10**12},
        {"anyOf": 7},
    ],
)
def test_what_nothing_fits_has_no_example(schema: Schema) -> None:
    assert example(schema) is None


_KEYWORDS = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["integer", "number", "string", "boolean", "null", "array", "object"]),
        "minimum": st.integers(-9, 9),
        "maximum": st.integers(-9, 9),
        "multipleOf": st.integers(1, 5),
        "minLength": st.integers(0, 9),
        "maxLength": st.integers(0, 9),
        "minItems": st.integers(0, 3),
        "format": st.sampled_from(["date", "email", "unknown"]),
        "enum": st.lists(st.none() | st.integers() | st.text(), min_size=1, max_size=2),
        "default": st.none() | st.integers() | st.text(),
    },
)


@given(
    st.recursive(
        _KEYWORDS,
        lambda inner: (
            st.fixed_dictionaries(
                {"type": st.just("object"), "properties": st.dictionaries(st.text(max_size=3), inner, max_size=3)}
            )
            | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=2)})
            | st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        ),
        max_leaves=4,
    )
)
def test_an_example_always_fits(schema: Schema) -> None:
    found = example(schema)
    assert found is None or fits(found[0], schema)


def test_params_without_a_value_that_fits() -> None:
    impossible = {"type": "string", "pattern": "^z{40}$"}
    schema = {"properties": {"a": {"type": "integer"}, "b": impossible, "c": {**impossible, "default": "z" * 40}}}
    plan = DagPlan("d", "v", "", "", (), params_schema=schema)
    assert example_params(plan) == {"a": 1, "b": "...", "c": "z" * 40}
