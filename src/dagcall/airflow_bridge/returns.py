"""What the result tasks of a DAG return, as their authors annotate it: JSON Schema 2020-12.

Read from the return annotation of the function that a Python task calls, or of `execute` of an operator that is not
Airflow's own, whose annotations are too coarse to promise anything (`@task.llm` annotates the prompt, not the answer).
It is the schema of the value as a caller gets it, see `results`: where pydantic would write JSON otherwise, the schema
follows `results`. What is annotated is promised by the author; nothing here checks that a task keeps it.

No annotation is too strange to load a DAG: what cannot become a schema is any JSON, with a note that says why.
"""

import functools
import inspect
import json
import operator
import sys
import types
import typing
from collections.abc import Callable
from copy import deepcopy
from typing import Annotated, Any, Literal, NotRequired, Required, Union, get_args, get_origin, get_type_hints

import typing_extensions
from airflow.sdk import DAG, Asset, ObjectStoragePath
from airflow.sdk.bases.operator import BaseOperator
from airflow.sdk.definitions.mappedoperator import MappedOperator
from pydantic import ConfigDict, TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue

from dagcall.model.answers import ASSET, REFERENCE, JsonSchema
from dagcall.model.plan import Note

Operator = BaseOperator | MappedOperator

ANY: JsonSchema = {}
_CONFIG = ConfigDict(arbitrary_types_allowed=True)
_BY_REFERENCE = (bytearray, memoryview, ObjectStoragePath)
_FRAMES = ("pandas.", "polars.")
_PYTHON = "airflow.providers.standard.operators.python"
_LENGTH = 200


def of_dag(dag: DAG) -> tuple[dict[str, JsonSchema], list[Note]]:
    """The schemas by result task. A task whose author could annotate its function and does not has none; one that
    there is nothing to annotate of (such as a BashOperator) is any JSON."""
    schemas: dict[str, JsonSchema] = {}
    notes: list[Note] = []
    for task in dag.tasks:
        if not task.returns_dag_result:
            continue
        function = _function(task)
        if function is None:
            schema: JsonSchema = ANY
        elif "return" not in getattr(function, "__annotations__", {}):
            continue
        else:
            try:
                schema = schema_of(return_annotation(function))
            except Exception as error:
                schema = ANY
                why = " ".join(f"{type(error).__name__}: {error}".split())[:_LENGTH]
                notes.append(Note(task.task_id, "return annotation", f"is no JSON Schema: any JSON is promised. {why}"))
        schemas[task.task_id] = _collected(schema) if _is_expanded(task) else schema
    return schemas, notes


def _function(task: Operator) -> Callable[..., Any] | None:
    """What is annotated with the type that the task returns."""
    if isinstance(task, MappedOperator):
        kind: type = task.operator_class
        called = getattr(task, "python_callable", None) or task.partial_kwargs.get("python_callable")
    else:
        kind, called = type(task), getattr(task, "python_callable", None)
    python = getattr(sys.modules.get(_PYTHON), "PythonOperator", None)
    if python is not None and issubclass(kind, python):
        return called if callable(called) else None
    execute = getattr(kind, "execute", None)
    is_airflows = str(getattr(execute, "__module__", "airflow.")).partition(".")[0] == "airflow"
    return None if is_airflows else execute


def return_annotation(function: Callable[..., Any]) -> Any:
    """Evaluated, where it is written as text. Its parameters' annotations are not looked at: names that only a type
    checker imports are usual there."""
    inner = inspect.unwrap(function)
    alone = types.SimpleNamespace(__annotations__={"return": function.__annotations__["return"]})
    known = getattr(inner, "__globals__", {})
    local = inspect.getclosurevars(inner).nonlocals if inspect.isfunction(inner) else {}
    return get_type_hints(alone, known, dict(local), include_extras=True)["return"]


def schema_of(annotation: Any) -> JsonSchema:
    """Raises whatever pydantic, or the annotation's own code, raises."""
    if sys.version_info < (3, 12):
        annotation = _with_current_typed_dicts(annotation)
    # As the items of a list, since pydantic lets only types that are no models of their own be configured.
    listed = TypeAdapter(list[annotation], config=_CONFIG).json_schema(
        by_alias=False, mode="serialization", schema_generator=_PlainSchema
    )
    # An author's additions (`json_schema_extra`) may be anything, and a plan is plain data.
    text = json.dumps(listed["items"] | {"$defs": listed.get("$defs", {})}, allow_nan=False)
    schema: JsonSchema = json.loads(text)
    definitions = schema.pop("$defs")
    reference = schema.get("$ref")
    if len(schema) == 1 and reference is not None and text.count(f'"{reference}"') == 1:
        schema = definitions.pop(reference.rpartition("/")[2])
    return schema | ({"$defs": definitions} if definitions else {})


class _PlainSchema(GenerateJsonSchema):
    """JSON Schema of what `results` writes: `plain`, with references in place of what is no JSON."""

    def handle_invalid_for_json_schema(self, schema: Any, error_info: str) -> JsonSchemaValue:
        kind = schema.get("cls")
        if inspect.isclass(kind):
            if issubclass(kind, Asset):
                return deepcopy(ASSET)
            if issubclass(kind, _BY_REFERENCE) or f"{kind.__module__}.".startswith(_FRAMES):
                return deepcopy(REFERENCE)
        function = getattr(schema.get("function", {}).get("function"), "__qualname__", "")
        if function.startswith("UPath."):  # what an ObjectStoragePath is to pydantic
            return deepcopy(REFERENCE)
        return super().handle_invalid_for_json_schema(schema, error_info)

    def bytes_schema(self, schema: Any) -> JsonSchemaValue:
        return deepcopy(REFERENCE)

    def field_is_required(self, field: Any, total: bool) -> bool:
        """All fields of a model or dataclass are written, also those that have their default."""
        if field["type"] == "typed-dict-field":
            return super().field_is_required(field, total)
        return field.get("serialization_exclude_if") is None

    def timedelta_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": "number"}  # seconds

    def decimal_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": "string"}  # `str` of it, exponents included

    def datetime_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": "string"}  # ISO 8601, but not always with the offset that `date-time` wants

    def time_schema(self, schema: Any) -> JsonSchemaValue:
        return {"type": "string"}


def _is_expanded(task: Operator) -> bool:
    return isinstance(task, MappedOperator) or next(iter(task.iter_mapped_task_groups()), None) is not None


def _collected(schema: JsonSchema) -> JsonSchema:
    """Of the list of values of a mapped task. What a schema defines stays at its root, where its references look."""
    items = dict(schema)
    definitions = items.pop("$defs", None)
    return {"type": "array", "items": items} | ({"$defs": definitions} if definitions else {})


def _with_current_typed_dicts(annotation: Any) -> Any:
    """The same with every `typing.TypedDict` made again as one of `typing_extensions`: pydantic takes no other before
    Python 3.12."""
    if typing.is_typeddict(annotation):
        return _current(annotation)
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is None or origin is Literal or not arguments:
        return annotation
    if origin is Annotated:
        return Annotated[(_with_current_typed_dicts(arguments[0]), *annotation.__metadata__)]
    renewed = tuple(_with_current_typed_dicts(one) for one in arguments)
    if renewed == arguments:
        return annotation
    if origin in (Union, types.UnionType):
        return functools.reduce(operator.or_, renewed)
    return origin[renewed]


def _current(typed_dict: Any) -> Any:
    fields = {}
    for name, hint in get_type_hints(typed_dict, include_extras=True).items():
        marker: Any = Required if name in typed_dict.__required_keys__ else NotRequired
        if get_origin(hint) in (Required, NotRequired):  # unseen when the class was made, if annotations are text
            marker, (hint,) = get_origin(hint), get_args(hint)
        fields[name] = marker[_with_current_typed_dicts(hint)]
    renewed = typing_extensions.TypedDict(typed_dict.__name__, fields)  # type: ignore[misc]
    renewed.__doc__, renewed.__module__ = typed_dict.__doc__, typed_dict.__module__
    return renewed
