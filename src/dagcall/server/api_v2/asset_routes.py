"""Airflow's routes about assets, in the table's form. Fixed paths before those with a free part in the same place."""

from dagcall.server.api_v2 import asset_events, assets
from dagcall.server.api_v2.rows import (
    BOOLEAN,
    INTEGER,
    MAP_INDEX,
    OPTIONAL_TEXT,
    OPTIONAL_TIME,
    TIME,
    between,
    change,
    fields,
    get,
    page,
    pattern,
)
from dagcall.server.policy import Permission
from dagcall.server.route import Parameter, Route, Schema

_TAG = "assets"
_ASSETS = "/api/v2/assets"
_ASSET = _ASSETS + "/{asset_id}"
_OF_DAG = "/api/v2/dags/{dag_id}/assets"

_NAME = pattern("name_pattern", "name")
_NAME_PREFIX = Parameter("name_prefix_pattern", "Beginning of the name; `a|b` either.")
_BEFORE = Parameter("before", "Only what was queued before this time.", TIME)

_EVENT_BODY: Schema = fields(
    "asset_id",
    asset_id=INTEGER,
    extra={"type": "object"},
    partition_key={"type": ["string", "null"], "pattern": "\\S", "maxLength": 250},
    access_control={"type": ["object", "null"]},
)
_MATERIALIZE_BODY: Schema = fields(
    "",
    dag_run_id=OPTIONAL_TEXT,
    logical_date=OPTIONAL_TIME,
    run_after=OPTIONAL_TIME,
    conf={"type": ["object", "null"]},
    note=OPTIONAL_TEXT,
    data_interval_start={"type": "null"},
    data_interval_end={"type": "null"},
    partition_key={"type": "null"},
)

ASSET_ROUTES: tuple[Route, ...] = (
    get(
        _ASSETS,
        Permission.ASSET_READ,
        assets.list_assets,
        "Assets",
        _TAG,
        *page(assets.SORT_KEYS),
        _NAME,
        _NAME_PREFIX,
        pattern("uri_pattern", "URI"),
        Parameter("uri_prefix_pattern", "Beginning of the URI; `a|b` either."),
        Parameter("dag_ids", "Only those that these DAGs name; or with commas.", repeatable=True),
        Parameter("only_active", "Leave out those that no DAG names any more.", BOOLEAN),
    ),
    get(
        _ASSETS + "/aliases",
        Permission.ASSET_ALIAS_READ,
        assets.list_aliases,
        "Aliases",
        _TAG,
        *page(assets.ALIAS_SORT_KEYS),
        _NAME,
        _NAME_PREFIX,
    ),
    get(_ASSETS + "/aliases/{asset_alias_id}", Permission.ASSET_ALIAS_READ, assets.get_alias, "One alias", _TAG),
    get(
        _ASSETS + "/events",
        Permission.ASSET_EVENT_READ,
        asset_events.list_events,
        "Events of assets",
        _TAG,
        *page(asset_events.SORT_KEYS),
        Parameter("asset_id", "Only of this asset.", {**INTEGER, "minimum": 0, "maximum": 10**15 - 1}),
        Parameter("source_dag_id", "Only those that this DAG made."),
        Parameter("source_task_id", "Only those that this task made."),
        Parameter("source_run_id", "Only those that this run made."),
        Parameter("source_map_index", "Only those that instances with this map index made.", MAP_INDEX.schema),
        _NAME,
        _NAME_PREFIX,
        *between("timestamp"),
    ),
    change(
        "POST",
        _ASSETS + "/events",
        Permission.ASSET_EDIT,
        asset_events.create_event,
        "Say that an asset was updated: DAGs scheduled on it start",
        _TAG,
        _EVENT_BODY,
    ),
    change(
        "POST",
        _ASSET + "/materialize",
        Permission.ASSET_EDIT,
        assets.materialize,
        "Start the DAG that updates an asset",
        _TAG,
        _MATERIALIZE_BODY,
        body_required=False,
    ),
    get(
        _ASSET + "/queuedEvents",
        Permission.ASSET_QUEUE_READ,
        asset_events.list_queued,
        "DAGs that an update of the asset is queued for",
        _TAG,
        _BEFORE,
    ),
    change(
        "DELETE",
        _ASSET + "/queuedEvents",
        Permission.ASSET_QUEUE_EDIT,
        asset_events.delete_queued,
        "Forget what is queued for an asset",
        _TAG,
        None,
        _BEFORE,
        status=204,
    ),
    get(_ASSET, Permission.ASSET_READ, assets.get_asset, "One asset", _TAG),
    get(
        _OF_DAG + "/queuedEvents",
        Permission.ASSET_QUEUE_READ,
        asset_events.list_queued,
        "Updated assets that are queued for a DAG",
        _TAG,
        _BEFORE,
    ),
    change(
        "DELETE",
        _OF_DAG + "/queuedEvents",
        Permission.ASSET_QUEUE_EDIT,
        asset_events.delete_queued,
        "Forget what is queued for a DAG",
        _TAG,
        None,
        _BEFORE,
        status=204,
    ),
    get(
        _OF_DAG + "/{asset_id}/queuedEvents",
        Permission.ASSET_QUEUE_READ,
        asset_events.get_queued,
        "Whether an asset is queued for a DAG",
        _TAG,
        _BEFORE,
    ),
    change(
        "DELETE",
        _OF_DAG + "/{asset_id}/queuedEvents",
        Permission.ASSET_QUEUE_EDIT,
        asset_events.delete_queued,
        "Forget that an asset is queued for a DAG",
        _TAG,
        None,
        _BEFORE,
        status=204,
    ),
    get(
        "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/upstreamAssetEvents",
        Permission.RUN_ASSET_EVENT_READ,
        asset_events.upstream_events,
        "The events that a run was started for",
        _TAG,
    ),
)
