"""Airflow's routes that exist here, in the table's form. Longer paths before shorter ones with a free last part."""

from dagcall.server.api_v2 import (
    connections,
    dags,
    import_errors,
    monitor,
    pools,
    tasks,
    variables,
)
from dagcall.server.api_v2.asset_routes import ASSET_ROUTES
from dagcall.server.api_v2.rows import (
    BOOLEAN,
    OPTIONAL_TEXT,
    UPDATE_MASK,
    fields,
    one_of,
    order_by,
    page,
    patterns,
)
from dagcall.server.api_v2.rows import change as _change
from dagcall.server.api_v2.rows import get as _get
from dagcall.server.api_v2.run_routes import RUN_ROUTES
from dagcall.server.policy import Permission
from dagcall.server.route import Parameter, Route, Schema

_DAG = "/api/v2/dags/{dag_id}"

_VARIABLE_BODY: Schema = fields(
    "key value",
    key={"type": "string", "maxLength": 250},
    value={},
    description=OPTIONAL_TEXT,
    team_name={"type": "null"},
)

_CONNECTION_BODY: Schema = fields(
    "connection_id conn_type",
    connection_id={"type": "string", "pattern": r"^[\w.-]+$", "maxLength": 200},
    conn_type={"type": "string"},
    description=OPTIONAL_TEXT,
    host=OPTIONAL_TEXT,
    login=OPTIONAL_TEXT,
    schema=OPTIONAL_TEXT,
    password=OPTIONAL_TEXT,
    port={"type": ["integer", "null"], "minimum": -(2**63) + 1, "maximum": 2**63 - 1},
    extra={**OPTIONAL_TEXT, "description": "A JSON object, as text."},
    team_name={"type": "null"},
)

_VARIABLES = "/api/v2/variables"
_VARIABLE = _VARIABLES + "/{variable_key:path}"
_CONNECTIONS = "/api/v2/connections"
_CONNECTION = _CONNECTIONS + "/{connection_id}"

_POOL = "/api/v2/pools/{pool_name:path}"
_POOL_FIELDS: dict[str, Schema] = {
    "slots": {"type": "integer", "minimum": -1, "maximum": 2**63 - 1},
    "description": OPTIONAL_TEXT,
    "include_deferred": BOOLEAN,
    "team_name": {"type": "null"},
}
_POOL_BODY = fields("name slots", name={"type": "string", "maxLength": 256}, **_POOL_FIELDS)
_POOL_CHANGE = fields("pool slots include_deferred", pool={"type": "string"}, **_POOL_FIELDS)

AIRFLOW_ROUTES: tuple[Route, ...] = (
    *ASSET_ROUTES,
    _get("/api/v2/version", Permission.NONE, monitor.version, "Airflow's version", "monitoring", needs_dags=False),
    _get(
        "/api/v2/monitor/health", Permission.NONE, monitor.health, "Health of the parts", "monitoring", needs_dags=False
    ),
    _get(
        "/api/v2/importErrors",
        Permission.IMPORT_ERROR_READ,
        import_errors.list_import_errors,
        "Files that do not import",
        "import errors",
        *page(import_errors.SORT_KEYS),
        *patterns("filename", "file's name"),
        Parameter("filename", "Only of this file."),
        Parameter("bundle_name", "Only of this bundle."),
        needs_dags=False,
    ),
    _get(
        "/api/v2/importErrors/{import_error_id}",
        Permission.IMPORT_ERROR_READ,
        import_errors.get_import_error,
        "One file that does not import",
        "import errors",
        needs_dags=False,
    ),
    _get(
        "/api/v2/pools",
        Permission.POOL_READ,
        pools.list_pools,
        "Pools, and how much of them is taken",
        "pools",
        *page(pools.SORT_KEYS),
        *patterns("pool_name", "name"),
    ),
    _change(
        "POST", "/api/v2/pools", Permission.POOL_EDIT, pools.post_pool, "Create a pool", "pools", _POOL_BODY, status=201
    ),
    _get(_POOL, Permission.POOL_READ, pools.get_pool, "One pool", "pools"),
    _change(
        "PATCH",
        _POOL,
        Permission.POOL_EDIT,
        pools.patch_pool,
        "Change a pool: binds at once",
        "pools",
        _POOL_CHANGE,
        UPDATE_MASK,
    ),
    _change("DELETE", _POOL, Permission.POOL_EDIT, pools.delete_pool, "Delete a pool", "pools", None, status=204),
    _get(
        "/api/v2/dags",
        Permission.DAG_READ,
        dags.list_dags,
        "DAGs",
        "DAGs",
        *page(dags.SORT_KEYS),
        Parameter("tags", "Only with this tag.", repeatable=True),
        one_of("tags_match_mode", "`any` or `all` of the tags.", ("any", "all"), repeatable=False),
        Parameter("owners", "Only of this owner.", repeatable=True),
        *patterns("dag_id", "DAG id"),
        *patterns("dag_display_name", "display name"),
        Parameter("paused", "No DAG is paused here.", BOOLEAN),
        Parameter("has_import_errors", "Only those whose file does (not) import now.", BOOLEAN),
        Parameter("exclude_stale", "No DAG is stale here.", BOOLEAN),
        Parameter("bundle_name", "Only of this bundle."),
        Parameter("bundle_version", "Only those that are served in this version."),
        Parameter("has_asset_schedule", "Only those that are (not) scheduled on assets.", BOOLEAN),
        Parameter("asset_dependency", "Only those scheduled on an asset with this in its name or URI."),
        Parameter("is_favorite", "No DAG is a favorite here.", BOOLEAN),
    ),
    _get(_DAG, Permission.DAG_READ, dags.get_dag, "One DAG", "DAGs"),
    _change(
        "PATCH",
        _DAG,
        Permission.DAG_EDIT,
        dags.patch_dag,
        "Not supported: DAGs are never paused here",
        "DAGs",
        {"type": "object", "properties": {"is_paused": BOOLEAN}},
        UPDATE_MASK,
    ),
    _get(_DAG + "/details", Permission.DAG_READ, dags.get_dag_details, "One DAG in detail", "DAGs"),
    _get(_DAG + "/tasks", Permission.TASK_READ, tasks.list_tasks, "Tasks of a DAG", "DAGs", order_by(tasks.SORT_KEYS)),
    _get(_DAG + "/tasks/{task_id}", Permission.TASK_READ, tasks.get_task, "One task of a DAG", "DAGs"),
    *RUN_ROUTES,
    _get(
        _VARIABLES,
        Permission.VARIABLE_READ,
        variables.list_variables,
        "Variables; values under sensitive names are hidden",
        "variables",
        *page(variables.SORT_KEYS),
        *patterns("variable_key", "key"),
        needs_dags=False,
    ),
    _change(
        "POST",
        _VARIABLES,
        Permission.VARIABLE_EDIT,
        variables.post_variable,
        "Create a Variable",
        "variables",
        _VARIABLE_BODY,
        status=201,
        needs_dags=False,
    ),
    _get(
        _VARIABLE,
        Permission.VARIABLE_READ,
        variables.get_variable,
        "One Variable",
        "variables",
        needs_dags=False,
    ),
    _change(
        "PATCH",
        _VARIABLE,
        Permission.VARIABLE_EDIT,
        variables.patch_variable,
        "Change a Variable",
        "variables",
        _VARIABLE_BODY,
        UPDATE_MASK,
        needs_dags=False,
    ),
    _change(
        "DELETE",
        _VARIABLE,
        Permission.VARIABLE_EDIT,
        variables.delete_variable,
        "Remove a Variable",
        "variables",
        None,
        status=204,
        needs_dags=False,
    ),
    _get(
        _CONNECTIONS,
        Permission.CONNECTION_READ,
        connections.list_connections,
        "Connections; values under sensitive names are hidden",
        "connections",
        *page(connections.SORT_KEYS),
        *patterns("connection_id", "id"),
        needs_dags=False,
    ),
    _change(
        "POST",
        _CONNECTIONS,
        Permission.CONNECTION_EDIT,
        connections.post_connection,
        "Create a Connection",
        "connections",
        _CONNECTION_BODY,
        status=201,
        needs_dags=False,
    ),
    _get(
        _CONNECTION,
        Permission.CONNECTION_READ,
        connections.get_connection,
        "One Connection",
        "connections",
        needs_dags=False,
    ),
    _change(
        "PATCH",
        _CONNECTION,
        Permission.CONNECTION_EDIT,
        connections.patch_connection,
        "Change a Connection",
        "connections",
        _CONNECTION_BODY,
        UPDATE_MASK,
        needs_dags=False,
    ),
    _change(
        "DELETE",
        _CONNECTION,
        Permission.CONNECTION_EDIT,
        connections.delete_connection,
        "Remove a Connection",
        "connections",
        None,
        status=204,
        needs_dags=False,
    ),
)
