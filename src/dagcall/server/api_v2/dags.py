"""dags: list, get, details. A DAG is never stale here, never scheduled, and paused only where Airflow's bundles are served
and Airflow says so."""

from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.errors import NotSupported
from dagcall.journal.base import HeadQuery
from dagcall.model.plan import DagPlan
from dagcall.model.states import RunState
from dagcall.server.api_v2.asset_expression import expression
from dagcall.server.api_v2.query import PAGING, AirflowQuery, patterns
from dagcall.server.api_v2.runs import check_dag
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import encode
from dagcall.server.times import iso_duration, iso_or_none

JSON = "application/json"

Failing = set[tuple[str, str]]
"""The files that do not import now: bundle and path in it."""

_QUERY = (
    *PAGING,
    "tags",
    "tags_match_mode",
    "owners",
    *patterns("dag_id", "dag_display_name"),
    "exclude_stale",
    "paused",
    "has_import_errors",
    "bundle_name",
    "bundle_version",
    "has_asset_schedule",
    "asset_dependency",
    "is_favorite",
)
SORT_KEYS: dict[str, Callable[[DagPlan], Any]] = {
    "dag_id": lambda plan: plan.dag_id,
    "dag_display_name": lambda plan: plan.display_name or plan.dag_id,
}


async def list_dags(context: Context, request: Request, caller: Caller) -> Response:
    catalog = context.coordinator.catalog
    query = AirflowQuery(request, _QUERY, context.coordinator.settings)
    tags, owners = set(query.many("tags")), set(query.many("owners"))
    needs_all = query.states("tags_match_mode", ("any", "all"), "tags_match_mode") == ["all"]
    by_id, by_name = query.text_matcher("dag_id"), query.text_matcher("dag_display_name")
    bundle, version = query.one("bundle_name"), query.one("bundle_version")
    of_assets = _by_assets(query)
    paused, broken = query.boolean("paused"), query.boolean("has_import_errors")
    favorite = query.boolean("is_favorite")
    query.boolean("exclude_stale")
    failing = _failing(context)
    plans = [
        plan
        for plan in catalog.plans()
        if (paused is None or paused == catalog.is_paused(plan.dag_id))
        and not favorite
        and bundle in (None, plan.bundle_name)
        and version in (None, plan.bundle_version or plan.version)
        and of_assets(plan)
        and (broken is None or broken == _has_errors(plan, failing))
        and (not tags or (tags <= set(plan.tags) if needs_all else tags & set(plan.tags)))
        and (not owners or owners & set(plan.owners))
        and by_id(plan.dag_id)
        and by_name(plan.display_name or plan.dag_id)
    ]
    page, total = query.page(plans, SORT_KEYS, ("dag_id",))
    document = {"dags": [dag_document(context, plan, failing) for plan in page], "total_entries": total}
    return Response(encode(document), media_type=JSON)


def _by_assets(query: AirflowQuery) -> Callable[[DagPlan], bool]:
    """`has_asset_schedule`, and `asset_dependency`: part of the name or URI of an asset that the DAG is scheduled on."""
    scheduled, part = query.boolean("has_asset_schedule"), query.one("asset_dependency")
    wanted = None if part is None else part.lower()

    def matches(plan: DagPlan) -> bool:
        refs = [] if plan.asset_condition is None else list(plan.asset_condition.refs())
        return (scheduled is None or scheduled == bool(refs)) and (
            wanted is None or any(wanted in ref.name.lower() or wanted in ref.uri.lower() for ref in refs)
        )

    return matches


async def get_dag(context: Context, request: Request, caller: Caller) -> Response:
    plan = _find(context, request)
    return Response(encode(dag_document(context, plan, _failing(context))), media_type=JSON)


async def get_dag_details(context: Context, request: Request, caller: Caller) -> Response:
    plan = _find(context, request)
    running = HeadQuery(dag_ids=frozenset({plan.dag_id}), states=frozenset({RunState.RUNNING}), limit=0)
    document = dag_document(context, plan, _failing(context)) | {
        "catchup": False,
        "dag_run_timeout": iso_duration(plan.dagrun_timeout),
        "asset_expression": expression(plan.asset_condition, context.coordinator.assets.book),
        "doc_md": plan.doc_md,
        "start_date": iso_or_none(plan.start_date),
        "end_date": iso_or_none(plan.end_date),
        "is_paused_upon_creation": None,
        "params": {name: _param(rules) for name, rules in plan.params_schema.get("properties", {}).items()},
        "render_template_as_native_obj": False,
        "template_search_path": None,
        "timezone": "UTC",
        "last_parsed": None,
        "default_args": None,
        "rerun_with_latest_version": None,
        "owner_links": None,
        "is_favorite": False,
        "active_runs_count": (await context.coordinator.list_runs(running))[1],
        "concurrency": plan.max_active_tasks or 0,
        "latest_dag_version": None,
    }
    return Response(encode(document), media_type=JSON)


async def patch_dag(context: Context, request: Request, caller: Caller) -> Response:
    AirflowQuery(request, ("update_mask",), context.coordinator.settings)
    check_dag(context, request.path_params["dag_id"])
    raise NotSupported(
        "dagcall does not pause DAGs. Those of a folder are never paused; those of Airflow's bundles are paused and "
        "unpaused in Airflow (`airflow dags pause`)."
    )


def _find(context: Context, request: Request) -> DagPlan:
    check_dag(context, request.path_params["dag_id"])
    return context.coordinator.catalog.find(request.path_params["dag_id"])


def _failing(context: Context) -> Failing:
    return {(error.bundle, error.path) for error in context.coordinator.catalog.import_errors()}


def _has_errors(plan: DagPlan, failing: Failing) -> bool:
    return (plan.bundle_name, plan.relative_fileloc) in failing


def dag_document(context: Context, plan: DagPlan, failing: Failing) -> dict[str, Any]:
    name = plan.display_name or plan.dag_id
    return {
        "dag_id": plan.dag_id,
        "dag_display_name": name,
        "is_paused": context.coordinator.catalog.is_paused(plan.dag_id),
        "is_stale": False,
        "last_parsed_time": None,
        "last_parse_duration": None,
        "last_expired": None,
        "bundle_name": plan.bundle_name,
        "bundle_version": plan.bundle_version or plan.version,
        "relative_fileloc": plan.relative_fileloc,
        "fileloc": plan.fileloc,
        "description": plan.description,
        "timetable_summary": plan.schedule,
        "timetable_description": plan.schedule_description or ("Triggered by assets" if plan.asset_condition else None),
        "timetable_partitioned": False,
        "timetable_periodic": False,
        "tags": [{"name": tag, "dag_id": plan.dag_id, "dag_display_name": name} for tag in sorted(plan.tags)],
        "max_active_tasks": plan.max_active_tasks or 0,
        "max_active_runs": plan.max_active_runs,
        "max_consecutive_failed_dag_runs": 0,
        "has_task_concurrency_limits": False,
        "has_import_errors": _has_errors(plan, failing),
        "next_dagrun_logical_date": None,
        "next_dagrun_data_interval_start": None,
        "next_dagrun_data_interval_end": None,
        "next_dagrun_run_after": None,
        "allowed_run_types": plan.allowed_run_types,
        "owners": list(plan.owners),
        "is_backfillable": False,
        "file_token": plan.relative_fileloc,
    }


def _param(rules: dict[str, Any]) -> dict[str, Any]:
    """A param as Airflow's `Param.dump()` shows it."""
    schema = {name: rule for name, rule in rules.items() if name not in ("default", "description")}
    return {
        "value": rules.get("default"),
        "schema": schema,
        "description": rules.get("description"),
        "source": None,
    }
