"""JSON Schemas of one DAG: of the params that a call may send, and of the value that it gets.

A schema that defines parts of its own (`$defs`) refers to them from the document's root, so it cannot simply be put
inside another document: `Lifted` takes the definitions out and gives the references their new place.
"""

import re
from dataclasses import dataclass, field
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from dagcall.model.answers import ASSET, JsonSchema
from dagcall.model.plan import DagPlan

_LOCAL = "#/$defs/"
_FORMATS = FormatChecker()


def fits(value: Any, schema: JsonSchema) -> bool:
    """As a call's params are checked. A schema that is none lets nothing pass."""
    try:
        return bool(Draft202012Validator(schema, format_checker=_FORMATS).is_valid(value))
    except Exception:  # a pattern that does not compile, a reference that leads nowhere, ...: the author's
        return False


def must_be_sent(plan: DagPlan) -> list[str]:
    """Params without a default, or with one that a call may not have."""
    required = plan.params_schema.get("required", ())
    return [
        name
        for name, schema in plan.params_schema.get("properties", {}).items()
        if name in required or not fits(schema.get("default"), schema)
    ]


def params_schema(plan: DagPlan) -> JsonSchema:
    """Of the body of a call."""
    return {**plan.params_schema, "required": must_be_sent(plan)}


def result_schema(plan: DagPlan) -> JsonSchema | None:
    """Of the value that a call is answered with; None when there is none (204). Of several result tasks, those that
    are skipped are left out."""
    if not plan.result_tasks:
        return None
    if len(plan.result_tasks) == 1:
        return _of_task(plan, plan.result_tasks[0])
    lifted = Lifted(_LOCAL)
    properties = {
        task_id: lifted.place(_of_task(plan, task_id), f"{component_name(task_id)}.") for task_id in plan.result_tasks
    }
    schema: JsonSchema = {"type": "object", "properties": properties, "additionalProperties": False}
    return schema | ({"$defs": lifted.definitions} if lifted.definitions else {})


def _of_task(plan: DagPlan, task_id: str) -> JsonSchema:
    schema = plan.result_schemas.get(task_id, {})
    has_asset = any(outlet.kind == "asset" for outlet in plan.by_id[task_id].outlets)
    return ASSET if has_asset and schema.get("type") == "null" else schema


@dataclass
class Lifted:
    """Definitions taken out of schemas, by their new name. `place`: where references find them."""

    root: str
    definitions: dict[str, JsonSchema] = field(default_factory=dict)

    def place(self, schema: JsonSchema, prefix: str) -> JsonSchema:
        """The schema without its definitions, which are kept under `prefix` and their name."""
        rest = {key: value for key, value in schema.items() if key != "$defs"}
        for name, definition in schema.get("$defs", {}).items():
            self.definitions[prefix + component_name(name)] = self._moved(definition, prefix)
        moved: JsonSchema = self._moved(rest, prefix)
        return moved

    def _moved(self, value: Any, prefix: str) -> Any:
        if isinstance(value, dict):
            return {key: self._moved(item, prefix) for key, item in value.items()}
        if isinstance(value, list):
            return [self._moved(item, prefix) for item in value]
        if isinstance(value, str) and value.startswith(_LOCAL):
            return self.root + prefix + component_name(value.removeprefix(_LOCAL))
        return value


def component_name(name: str) -> str:
    """A name as OpenAPI allows it for components, different for different names."""
    return re.sub(r"[^A-Za-z0-9._]", lambda found: f"-{ord(found[0]):x}-", name)
