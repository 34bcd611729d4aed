"""The OpenAPI 3.1 document, made from the table of routes."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from dagcall.server.accept import JSON, NDJSON, SSE
from dagcall.server.policy import Permission
from dagcall.server.problems import PROBLEM_JSON
from dagcall.server.route import Parameter, Route
from dagcall.version import __version__

_STRING = {"type": "string"}
_INTEGER = {"type": "integer"}


def _object(required: str, **properties: object) -> dict[str, Any]:
    names = required.split()
    return {"type": "object", "properties": {**dict.fromkeys(names, _STRING), **properties}, "required": names}


SCHEMAS: dict[str, Any] = {
    "Accepted": _object(
        "dag_id run_id state links",
        state={"type": "string", "enum": ["queued", "running", "success", "failed"]},
        links=_object("attach events cancel"),
    ),
    "Problem": _object(
        "type title status detail",
        status=_INTEGER,
        instance=_STRING,
        dag_id=_STRING,
        run_id=_STRING,
        state=_STRING,
        failed_task={"type": ["string", "null"]},
        map_index=_INTEGER,
        try_number=_INTEGER,
        error={"anyOf": [_object("type message"), {"type": "null"}]},
        cause={"type": "array", "items": _object("task_id map_index state", map_index=_INTEGER)},
        cleanup={"type": "string", "enum": ["running", "done"]},
        log=_STRING,
        results={"type": "object"},
        errors={"type": "array", "items": _object("field reason")},
        features={"type": "array", "items": {"$ref": "#/components/schemas/Feature"}},
        retry_after={"type": "number"},
    ),
    "Feature": _object("task_id feature reason", task_id={"type": ["string", "null"]}),
    "Callable": _object(
        "dag_id display_name description callable result_tasks tags relative_fileloc href features warnings notes",
        description={"type": ["string", "null"]},
        callable={"type": "boolean"},
        result_tasks={"type": "array", "items": _STRING},
        tags={"type": "array", "items": _STRING},
        features={"type": "array", "items": {"$ref": "#/components/schemas/Feature"}},
        warnings={"type": "array", "items": _STRING},
        notes={"type": "array", "items": _STRING},
    ),
    "Callables": _object(
        "dags total_entries",
        dags={"type": "array", "items": {"$ref": "#/components/schemas/Callable"}},
        total_entries=_INTEGER,
    ),
    "Contract": {
        "allOf": [
            {"$ref": "#/components/schemas/Callable"},
            _object(
                "version params_schema example",
                params_schema={"type": "object", "description": "JSON Schema of the body of a call."},
                example=_object("params curl python cli", params={"type": "object"}),
                doc_md={"type": ["string", "null"]},
                dagrun_timeout={"type": ["number", "null"]},
                isolation=_STRING,
                coalesce={"type": "boolean"},
                cache={"type": ["number", "null"]},
            ),
        ]
    },
    "Event": _object(
        "id event run_id time data",
        id=_INTEGER,
        event={
            "type": "string",
            "enum": ["accepted", "task", "chunk", "rollback", "callback", "xcom", "cancel", "result", "failure", "end"],
        },
        time={"type": "string", "format": "date-time"},
        data={},
    ),
    "AirflowError": _object("detail", detail={}),
}


def openapi_document(table: Iterable[Route]) -> dict[str, Any]:
    paths: dict[str, dict[str, Any]] = {}
    for route in table:
        paths.setdefault(route.openapi_path, {})[route.method.lower()] = _operation(route)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "dagcall",
            "version": __version__,
            "summary": "Call an Airflow DAG like a function.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": SCHEMAS},
    }


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "x-permission": route.permission.value,
        "parameters": [
            *({"name": name, "in": "path", "required": True, "schema": _STRING} for name in route.path_parameters),
            *(_parameter(one) for one in route.parameters),
        ],
        "responses": {status: _answer(route, status, schema) for status, schema in _answers(route).items()},
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        operation["requestBody"] = {"content": {JSON: {"schema": route.body}}}
    return operation


def operation_id(route: Route) -> str:
    """`get_call_dag_id`: method and path, which are unique together."""
    words = route.openapi_path.replace("{", "").replace("}", "").replace("/", "_").strip("_")
    return f"{route.method.lower()}_{words or 'root'}"


def _parameter(one: Parameter) -> dict[str, Any]:
    return {
        "name": one.name,
        "in": one.place,
        "required": one.required,
        "description": one.description,
        "schema": one.schema,
    }


def _answers(route: Route) -> dict[str, Any]:
    answers = dict(route.answers) or {"200": {}}
    if route.permission is not Permission.NONE:
        error = {"$ref": "#/components/schemas/" + ("AirflowError" if route.tag.startswith("Airflow") else "Problem")}
        answers |= {"401": error, "403": error}
    return dict(sorted(answers.items()))


def _answer(route: Route, status: str, schema: dict[str, Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"description": HTTPStatus(int(status)).phrase}
    if not schema:
        return answer
    if schema.get("$ref", "").endswith("/Problem"):
        types = [PROBLEM_JSON]
    elif schema.get("$ref", "").endswith("/Event"):
        types = [NDJSON, SSE]
    else:
        types = [JSON]
    answer["content"] = {media_type: {"schema": schema} for media_type in types}
    return answer
