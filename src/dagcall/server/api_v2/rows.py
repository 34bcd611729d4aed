"""Rows of the table of Airflow's routes: what they have in common."""

from collections.abc import Iterable
from typing import Any

from dagcall.server.api_v2.query import MAX_SORT
from dagcall.server.context import Handler
from dagcall.server.documented import airflow_errors, described
from dagcall.server.policy import Permission
from dagcall.server.route import Parameter, Route, Schema

INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
OPTIONAL_TEXT: Schema = {"type": ["string", "null"]}
OPTIONAL_TIME: Schema = {"type": ["string", "null"], "format": "date-time"}
COUNT: Schema = {"type": "integer", "minimum": 0, "maximum": 10**15 - 1}
_INDEX: Schema = {"type": "integer", "minimum": -1, "maximum": 10**15 - 1}
NOTE: Schema = {"type": ["string", "null"], "maxLength": 1000}
_OBJECT = described("As in Airflow 3.3's public API", {"type": "object"})
_NOTHING = described("Done")

LIMIT = Parameter("limit", "At most so many entries.", COUNT)
OFFSET = Parameter("offset", "Leave out so many entries first.", COUNT)
MAP_INDEX = Parameter("map_index", "Which instance of a mapped task; -1 when it is not mapped.", _INDEX)
UPDATE_MASK = Parameter("update_mask", "Change only this field.", repeatable=True)
PATTERN = "`%` any text, `_` any character, `a|b` either."
_BOUNDS = {"gte": "Not before", "gt": "After", "lte": "Not after", "lt": "Before"}


def order_by(keys: Iterable[str]) -> Parameter:
    names = list(keys)
    schema = {"type": "string", "enum": [*names, *(f"-{name}" for name in names)]}
    description = "Name of a field, `-` in front for descending."
    return Parameter("order_by", description, schema, repeatable=True, most=MAX_SORT)


def page(keys: Iterable[str]) -> tuple[Parameter, ...]:
    """What every list takes. `keys`: by what it can be ordered."""
    return (LIMIT, OFFSET, order_by(keys))


def one_of(name: str, description: str, values: Iterable[str], *, repeatable: bool = True) -> Parameter:
    return Parameter(name, description, {"type": "string", "enum": list(values)}, repeatable=repeatable)


def state(values: Iterable[str]) -> Parameter:
    return one_of("state", "Only those in this state.", values)


def between(*names: str) -> tuple[Parameter, ...]:
    """Bounds of times."""
    return tuple(
        Parameter(f"{name}_{bound}", f"{words} this time.", TIME) for name in names for bound, words in _BOUNDS.items()
    )


def pattern(name: str, what: str) -> Parameter:
    return Parameter(name, f"Part of the {what}; {PATTERN}")


def patterns(name: str, what: str) -> tuple[Parameter, Parameter]:
    """`{name}_pattern`, `{name}_prefix_pattern`."""
    prefix = Parameter(f"{name}_prefix_pattern", f"Beginning of the {what}; `a|b` either.")
    return pattern(f"{name}_pattern", what), prefix


def durations() -> tuple[Parameter, ...]:
    """Bounds of a duration."""
    words = {"gte": "At least", "gt": "More than", "lte": "At most", "lt": "Less than"}
    return tuple(
        Parameter(f"duration_{bound}", f"{text} so many seconds.", {"type": "number"}) for bound, text in words.items()
    )


def fields(required: str, **properties: Schema) -> Schema:
    """A body with no fields but these."""
    return {
        "type": "object",
        "properties": properties,
        "required": required.split(),
        "additionalProperties": False,
    }


def get(
    path: str,
    permission: Permission,
    handler: Handler,
    summary: str,
    tag: str,
    *parameters: Parameter,
    needs_dags: bool = True,
    description: str = "",
    answer: dict[str, Any] | None = None,
) -> Route:
    return Route(
        "GET",
        path,
        permission,
        handler,
        summary,
        f"Airflow: {tag}",
        description=description,
        needs_dags=needs_dags,
        parameters=parameters,
        answers={"200": _OBJECT if answer is None else answer} | airflow_errors(404, 422, 501),
    )


def change(
    method: str,
    path: str,
    permission: Permission,
    handler: Handler,
    summary: str,
    tag: str,
    body: Schema | None,
    *parameters: Parameter,
    needs_dags: bool = True,
    status: int = 200,
    body_required: bool = True,
) -> Route:
    return Route(
        method,
        path,
        permission,
        handler,
        summary,
        f"Airflow: {tag}",
        needs_dags=needs_dags,
        parameters=parameters,
        body=body,
        body_required=body_required and body is not None,
        answers={str(status): _NOTHING if status == 204 else _OBJECT} | airflow_errors(400, 404, 409, 422, 501),
    )
