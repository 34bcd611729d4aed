"""The schemas of one DAG, alone and inside another document."""

from typing import Any

from jsonschema import Draft202012Validator

from dagcall.contract.hints import hints_of
from dagcall.contract.schemas import Lifted, component_name, params_schema, result_schema
from dagcall.model.answers import ASSET
from dagcall.model.assets import AssetRef
from dagcall.model.plan import DagPlan, TaskPlan

NODE: dict[str, Any] = {
    "$ref": "#/$defs/Node",
    "$defs": {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "next": {"anyOf": [{"$ref": "#/$defs/Node"}, {"type": "null"}]},
            },
            "required": ["value"],
        }
    },
}


def plan(*tasks: TaskPlan, **more: Any) -> DagPlan:
    return DagPlan("d", "v", "", "", tasks, **more)


def test_a_default_that_does_not_fit_must_be_sent() -> None:
    properties = {"a": {"type": "integer", "default": None}, "b": {"type": "integer", "default": 1}, "c": {}}
    found = params_schema(plan(params_schema={"type": "object", "properties": properties, "required": ["c"]}))
    assert found == {"type": "object", "properties": properties, "required": ["a", "c"]}


def test_no_result_task() -> None:
    assert result_schema(plan(TaskPlan("t"))) is None


def test_one_result_task() -> None:
    assert result_schema(plan(TaskPlan("t", is_result=True))) == {}
    assert result_schema(plan(TaskPlan("t", is_result=True), result_schemas={"t": NODE})) == NODE


def test_an_asset_in_place_of_nothing() -> None:
    task = TaskPlan("t", is_result=True, outlets=(AssetRef("asset", "a", "s3://a"),))
    assert result_schema(plan(task, result_schemas={"t": {"type": "null"}})) == ASSET
    assert result_schema(plan(task, result_schemas={"t": {"type": "string"}})) == {"type": "string"}


def test_several_result_tasks_keep_their_definitions_apart() -> None:
    other = {"$ref": "#/$defs/Node", "$defs": {"Node": {"type": "string"}}}
    tasks = (TaskPlan("left", is_result=True), TaskPlan("g.right", is_result=True), TaskPlan("any", is_result=True))
    schema = result_schema(plan(*tasks, result_schemas={"left": NODE, "g.right": other}))
    assert schema is not None
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"left": {"value": 1, "next": {"value": 2}}, "g.right": "x", "any": [1]})
    assert validator.is_valid({})
    assert not validator.is_valid({"left": {"value": 1, "next": {"value": "x"}}})
    assert not validator.is_valid({"g.right": {"value": 1}})
    assert not validator.is_valid({"other": 1})


def test_lifted_definitions_are_found_where_they_are_put() -> None:
    lifted = Lifted("#/components/schemas/")
    here = lifted.place({"type": "array", "items": NODE["$defs"]["Node"], "$defs": NODE["$defs"]}, "d.")
    document = {"components": {"schemas": lifted.definitions}, **here}
    assert Draft202012Validator(document).is_valid([{"value": 1, "next": {"value": 2}}])
    assert not Draft202012Validator(document).is_valid([{"value": 1, "next": {}}])
    assert set(lifted.definitions) == {"d.Node"}


def test_component_names() -> None:
    assert component_name("a.b_c9") == "a.b_c9"
    assert len({component_name(name) for name in ("a-b", "a b", "a.b", "a/b", "ab", "\u00e4", "a-20-b")}) == 7


def test_hints() -> None:
    properties = {
        "good": {"type": "integer", "description": "d", "default": 1},
        "bare": {},
        "unfit": {"type": "integer", "description": "d", "default": None},
        "hard": {"type": "string", "description": "d", "pattern": "^z{40}$"},
    }
    schema = {"type": "object", "properties": properties, "required": ["bare", "hard"]}
    tasks = (TaskPlan("said", is_result=True), TaskPlan("unsaid", is_result=True))
    found = [
        (one.task_id, one.feature) for one in hints_of(plan(*tasks, params_schema=schema, result_schemas={"said": {}}))
    ]
    assert found == [
        (None, "description"),
        (None, "param 'bare'"),
        (None, "param 'bare'"),
        (None, "param 'unfit'"),
        (None, "param 'hard'"),
        ("unsaid", "return annotation"),
    ]
    assert [str(one) for one in hints_of(plan(description="d"))] == [
        "result is missing: a call is told how the run ended, and gets no value (`@result`)"
    ]
