"""OpenAPI 3.1 documents, made from the table of routes: one for all that the server has, one for each DAG.

A DAG's own operations have its id in their path, and its schemas for params and result. In the document for all they
stand beside the routes for any DAG (`/call/{dag_id}`): OpenAPI looks for a path without parameters first.
"""

from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from dagcall.contract.examples import example_params
from dagcall.contract.schemas import Lifted, component_name, params_schema, result_schema
from dagcall.model.plan import DagPlan
from dagcall.server.accept import JSON
from dagcall.server.documented import RESPONSES, SCHEMAS, airflow_errors, answer_ref, problems, value_answer
from dagcall.server.policy import Permission
from dagcall.server.route import Parameter, Route
from dagcall.version import __version__

_STRING = {"type": "string", "minLength": 1}
_ID = {"type": "integer", "minimum": 1 - 10**15, "maximum": 10**15 - 1}
_PATH_NUMBERS = {
    "asset_id": _ID,
    "asset_alias_id": _ID,
    "import_error_id": _ID,
    "map_index": _ID,
    "try_number": {**_ID, "minimum": 0},
}
_OF_DAG = "/call/{dag_id}"
_TAGS = {
    "Call": "DAGs as functions.",
    "Server": "About this server.",
}
_AIRFLOW = (
    "As in Airflow 3.3. The schemas of its bodies are Airflow's: `openapi.json` of an Airflow API server, or "
    "`airflow/api_fastapi/core_api/openapi/v2-rest-api-generated.yaml` of the package `apache-airflow-core`. What is "
    "not listed here, or a parameter that is not, is answered with 501."
)


def openapi_document(table: Iterable[Route], plans: Iterable[DagPlan] = ()) -> dict[str, Any]:
    """Of all routes, and of each DAG of `plans` that can be called."""
    rows = list(table)
    lifted = Lifted("#/components/schemas/")
    paths = _paths(rows)
    for plan in plans:
        if not plan.refusals:
            paths |= _paths_of(plan, [route for route in rows if route.path == _OF_DAG], lifted)
    return _document("dagcall", "Call an Airflow DAG like a function.", rows, paths, lifted)


def dag_document(table: Iterable[Route], plan: DagPlan) -> dict[str, Any]:
    """Of one DAG: how it is called, and what can be done with its runs."""
    rows = [route for route in table if route.path == _OF_DAG or route.path.startswith(f"{_OF_DAG}/")]
    lifted = Lifted("#/components/schemas/")
    paths = _paths_of(plan, rows, lifted)
    title = plan.display_name or plan.dag_id
    document = _document(title, _summary(plan), rows, paths, lifted)
    if plan.doc_md:
        document["info"]["description"] = plan.doc_md
    document["info"]["x-dag-version"] = plan.version
    return document


def _document(title: str, summary: str, rows: list[Route], paths: dict[str, Any], lifted: Lifted) -> dict[str, Any]:
    return {
        "openapi": "3.1.0",
        "info": {
            "title": title,
            "version": __version__,
            "summary": summary,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "tags": [
            {"name": tag, "description": _TAGS.get(tag, _AIRFLOW)} for tag in dict.fromkeys(row.tag for row in rows)
        ],
        "paths": paths,
        # Neither is asked for while the server has `[dagcall] auth = none`.
        "security": [{}, {"bearer": []}],
        "components": {
            "schemas": SCHEMAS | lifted.definitions,
            "responses": RESPONSES,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _paths(rows: Iterable[Route]) -> dict[str, dict[str, Any]]:
    paths: dict[str, dict[str, Any]] = {}
    for route in rows:
        paths.setdefault(route.openapi_path, {})[route.method.lower()] = _operation(route)
    return paths


def _paths_of(plan: DagPlan, rows: Iterable[Route], lifted: Lifted) -> dict[str, dict[str, Any]]:
    """The paths of `rows` with a DAG's id in its place."""
    paths: dict[str, dict[str, Any]] = {}
    for route in rows:
        is_call = route.path == _OF_DAG and route.method == "POST"
        operation = _call_of(route, plan, lifted) if is_call else _operation(route)
        operation["parameters"] = [one for one in operation["parameters"] if one["name"] != "dag_id"]
        operation["operationId"] = f"{operation_id(route)}.{component_name(plan.dag_id)}"
        path = route.openapi_path.replace("{dag_id}", quote(plan.dag_id, safe=""))
        paths.setdefault(path, {})[route.method.lower()] = operation
    return paths


def _operation(route: Route) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": operation_id(route),
        "summary": route.summary,
        "tags": [route.tag],
        "x-permission": route.permission.value,
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": _path_schema(name)}
                for name in route.path_parameters
            ),
            *(_parameter(one) for one in route.parameters),
        ],
        "responses": _answers(route),
    }
    if route.description:
        operation["description"] = route.description
    if route.body is not None:
        operation["requestBody"] = {"required": route.body_required, "content": {JSON: {"schema": route.body}}}
    return operation


def _call_of(route: Route, plan: DagPlan, lifted: Lifted) -> dict[str, Any]:
    """The call of one DAG. Without the parameter `result`, with which any task's value may be asked for."""
    operation = _operation(route)
    prefix = f"{component_name(plan.dag_id)}."
    operation |= {
        "summary": _summary(plan),
        "description": f"{route.description} Other tasks' values can be asked for with `result`: see {_OF_DAG}.",
        "parameters": [one for one in operation["parameters"] if one["name"] != "result"],
    }
    properties = params_schema(plan)
    body = properties | {
        "properties": {
            name: lifted.place(schema, f"{prefix}{component_name(name)}.")
            for name, schema in properties.get("properties", {}).items()
        }
    }
    operation["requestBody"] = {
        "required": bool(properties["required"]),
        "content": {JSON: {"schema": body, "example": example_params(plan)}},
    }
    result = result_schema(plan)
    if result:
        operation["responses"] |= {"200": value_answer(lifted.place(result, prefix))}
    return operation


def _summary(plan: DagPlan) -> str:
    """What its author says first."""
    lines = (plan.description or plan.doc_md or "").strip().splitlines()
    return lines[0].strip("# ") if lines else f"Call {plan.dag_id}"


def operation_id(route: Route) -> str:
    """`get_call_dag_id`: method and path, which are unique together."""
    words = route.openapi_path.replace("{", "").replace("}", "").replace("/", "_").strip("_")
    return f"{route.method.lower()}_{words or 'root'}"


def _parameter(one: Parameter) -> dict[str, Any]:
    schema = one.schema
    if one.repeatable:
        schema = {"type": "array", "items": schema} | ({} if one.most is None else {"maxItems": one.most})
    return {
        "name": one.name,
        "in": one.place,
        "required": one.required,
        "description": one.description,
        "schema": schema,
    }


def _path_schema(name: str) -> dict[str, Any]:
    return _PATH_NUMBERS.get(name, _STRING)


def _answers(route: Route) -> dict[str, Any]:
    """The route's own, and what any request may be refused with before its route is asked."""
    errors = airflow_errors if route.tag.startswith("Airflow") else problems
    answers = errors(400, 403, 415, 421) | dict(route.answers or {"200": {"description": "OK"}})
    if route.permission is not Permission.NONE:
        answers = errors(401) | answers
    if route.needs_dags:
        answers = errors(503) | answers
    if route.body is not None:
        answers = errors(413, 422) | answers
    return dict(sorted(answers.items()))


def value_in(answer: dict[str, Any]) -> dict[str, Any]:
    """The response object that an operation refers to."""
    name = answer.get("$ref", "").removeprefix(answer_ref("")["$ref"])
    found: dict[str, Any] = RESPONSES[name] if name else answer
    return found
