"""`GET /call` and `GET /call/{dag_id}`: which DAGs can be called, and how."""

import json
import shlex
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from dagcall.error_details import UnsupportedFeature
from dagcall.model.plan import DagPlan
from dagcall.server.accept import JSON, negotiate
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import encode
from dagcall.server.requests import Query


async def list_dags(context: Context, request: Request, caller: Caller) -> Response:
    """GET /call: every DAG, those that are refused included, with the reasons."""
    Query(request, ())
    negotiate(request.headers.get("accept", ""), (JSON,))
    dags = [_summary(plan) for plan in context.coordinator.catalog.plans()]
    return Response(encode({"dags": dags, "total_entries": len(dags)}), media_type=JSON)


async def describe(context: Context, request: Request, caller: Caller) -> Response:
    """GET /call/{dag_id}: how one DAG is called, and with what it answers."""
    Query(request, ())
    negotiate(request.headers.get("accept", ""), (JSON,))
    plan = context.coordinator.catalog.find(request.path_params["dag_id"])
    params = example_params(plan.params_schema)
    host = request.headers.get("host", f"{context.settings.host}:{context.settings.port}")
    document = _summary(plan) | {
        "doc_md": plan.doc_md,
        "version": plan.version,
        "params_schema": plan.params_schema,
        "isolation": plan.isolation,
        "coalesce": plan.coalesce,
        "cache": plan.cache_ttl,
        "dagrun_timeout": plan.dagrun_timeout,
        "example": {
            "params": params,
            "curl": _curl(f"http://{host}/call/{quote(plan.dag_id, safe='')}", params),
            "python": _python(f"http://{host}", plan.dag_id, params),
            "cli": _cli(plan.dag_id, params),
        },
    }
    return Response(encode(document), media_type=JSON)


def _summary(plan: DagPlan) -> dict[str, Any]:
    return {
        "dag_id": plan.dag_id,
        "display_name": plan.display_name or plan.dag_id,
        "description": plan.description,
        "callable": not plan.refusals,
        "result_tasks": plan.result_tasks,
        "tags": sorted(plan.tags),
        "relative_fileloc": plan.relative_fileloc,
        "href": f"/call/{quote(plan.dag_id, safe='')}",
        "features": [UnsupportedFeature(one.task_id, one.feature, one.reason) for one in plan.refusals],
        "warnings": plan.warnings,
        "notes": [str(note) for note in plan.notes],
    }


def example_params(schema: dict[str, Any]) -> dict[str, Any]:
    """Params that show how a call looks: the defaults, and a made-up value for each param that has none."""
    return {name: _example(rules) for name, rules in schema.get("properties", {}).items()}


def _example(rules: dict[str, Any]) -> Any:
    if "default" in rules:
        return rules["default"]
    for choices in (rules.get("examples"), rules.get("enum")):
        if choices:
            return choices[0]
    kinds = rules.get("type", "string")
    kind = kinds if isinstance(kinds, str) else next(iter(kinds), "null")
    if kind in ("integer", "number"):
        return rules.get("minimum", 1)
    return {"boolean": True, "array": [], "object": {}, "null": None}.get(kind, "...")


def _curl(url: str, params: dict[str, Any]) -> str:
    return f"curl {shlex.quote(url)} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(params))}"


def _python(url: str, dag_id: str, params: dict[str, Any]) -> str:
    given = f", {params!r}" if params else ""
    return f"import dagcall\n\ndagcall.Client({url!r}).call({dag_id!r}{given})"


def _cli(dag_id: str, params: dict[str, Any]) -> str:
    given = "".join(f" -p {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in params.items())
    return f"dagcall call {shlex.quote(dag_id)}{given}"
