"""`GET /call` and `GET /call/{dag_id}`: which DAGs can be called, and how."""

from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from dagcall.contract import snippets
from dagcall.contract.examples import example_params
from dagcall.contract.schemas import params_schema, result_schema
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
    params = example_params(plan)
    url = f"http://{request.headers['host']}"  # the guard lets no request without one pass
    document = _summary(plan) | {
        "doc_md": plan.doc_md,
        "version": plan.version,
        "params_schema": params_schema(plan),
        "result_schema": result_schema(plan),
        "isolation": plan.isolation,
        "coalesce": plan.coalesce,
        "cache": plan.cache_ttl,
        "dagrun_timeout": plan.dagrun_timeout,
        "example": {
            "params": params,
            "curl": snippets.curl(url, plan.dag_id, params),
            "python": snippets.python(url, plan.dag_id, params),
            "cli": snippets.cli(plan.dag_id, params),
        },
    }
    return Response(encode(document), media_type=JSON)


def _summary(plan: DagPlan) -> dict[str, Any]:
    path = f"/call/{quote(plan.dag_id, safe='')}"
    return {
        "dag_id": plan.dag_id,
        "display_name": plan.display_name or plan.dag_id,
        "description": plan.description,
        "callable": not plan.refusals,
        "result_tasks": plan.result_tasks,
        "tags": sorted(plan.tags),
        "relative_fileloc": plan.relative_fileloc,
        "href": path,
        "openapi": f"{path}/openapi.json",
        "features": [UnsupportedFeature(one.task_id, one.feature, one.reason) for one in plan.refusals],
        "warnings": plan.warnings,
        "notes": [str(note) for note in plan.notes],
        "hints": [str(hint) for hint in plan.hints],
    }
