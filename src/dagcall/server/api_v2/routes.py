"""Airflow's routes that exist here, in the table's form. Longer paths before shorter ones with a free last part."""

from dagcall.server.api_v2 import (
    connections,
    dag_runs,
    dags,
    import_errors,
    logs,
    monitor,
    pools,
    task_instances,
    tasks,
    variables,
    wait,
    xcoms,
)
from dagcall.server.api_v2.asset_routes import ASSET_ROUTES
from dagcall.server.api_v2.rows import INTEGER as _INTEGER
from dagcall.server.api_v2.rows import MAP_INDEX, ORDER_BY, PAGE, STATE
from dagcall.server.api_v2.rows import change as _change
from dagcall.server.api_v2.rows import get as _get
from dagcall.server.policy import Permission
from dagcall.server.route import Parameter, Route, Schema

_DAG = "/api/v2/dags/{dag_id}"
_RUN = _DAG + "/dagRuns/{dag_run_id}"
_INSTANCES = _RUN + "/taskInstances"
_INSTANCE = _INSTANCES + "/{task_id}"

_TRIGGER_BODY: Schema = {
    "type": "object",
    "required": ["logical_date"],
    "properties": {
        "logical_date": {"type": ["string", "null"], "format": "date-time"},
        "dag_run_id": {"type": ["string", "null"]},
        "conf": {"type": ["object", "null"]},
        "note": {"type": ["string", "null"]},
        "run_after": {"type": ["string", "null"], "format": "date-time"},
    },
}

_VARIABLE_BODY: Schema = {
    "type": "object",
    "required": ["key", "value"],
    "properties": {"key": {"type": "string"}, "value": {}, "description": {"type": ["string", "null"]}},
}

_CONNECTION_BODY: Schema = {
    "type": "object",
    "required": ["connection_id", "conn_type"],
    "properties": {
        "connection_id": {"type": "string"},
        "conn_type": {"type": "string"},
        **{name: {"type": ["string", "null"]} for name in ("description", "host", "login", "schema", "password")},
        "port": {"type": ["integer", "null"]},
        "extra": {"type": ["string", "null"], "description": "A JSON object, as text."},
    },
}

UPDATE_MASK = Parameter("update_mask", "Change only this field; repeatable.")


_VARIABLES = "/api/v2/variables"
_VARIABLE = _VARIABLES + "/{variable_key:path}"
_CONNECTIONS = "/api/v2/connections"
_CONNECTION = _CONNECTIONS + "/{connection_id}"

_POOL = "/api/v2/pools/{pool_name:path}"
_POOL_BODY: Schema = {
    "type": "object",
    "required": ["name", "slots"],
    "properties": {
        "name": {"type": "string"},
        "slots": {"type": "integer", "minimum": -1},
        "description": {"type": ["string", "null"]},
        "include_deferred": {"type": "boolean"},
    },
}

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
        *PAGE,
        Parameter("filename_pattern", "Part of the file's name."),
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
        *PAGE,
        Parameter("pool_name_pattern", "Part of the name; `%` any text, `_` any character, `a|b` either."),
        needs_dags=False,
    ),
    _change("POST", "/api/v2/pools", Permission.POOL_EDIT, pools.post_pool, "Create a pool", "pools", _POOL_BODY),
    _get(_POOL, Permission.POOL_READ, pools.get_pool, "One pool", "pools", needs_dags=False),
    _change(
        "PATCH",
        _POOL,
        Permission.POOL_EDIT,
        pools.patch_pool,
        "Change a pool: binds at once",
        "pools",
        {**_POOL_BODY, "required": []},
        UPDATE_MASK,
    ),
    _change("DELETE", _POOL, Permission.POOL_EDIT, pools.delete_pool, "Delete a pool", "pools", None),
    _get(
        "/api/v2/dags",
        Permission.DAG_READ,
        dags.list_dags,
        "DAGs",
        "DAGs",
        *PAGE,
        Parameter("tags", "Only with this tag; repeatable."),
        Parameter("tags_match_mode", "`any` or `all` of the tags."),
        Parameter("owners", "Only of this owner; repeatable."),
        Parameter("dag_id_pattern", "Part of the DAG id; `%` any text, `_` any character, `a|b` either."),
        Parameter("dag_display_name_pattern", "Part of the display name."),
        Parameter("paused", "No DAG is paused here.", {"type": "boolean"}),
        Parameter("has_import_errors", "Only those whose file does (not) import now.", {"type": "boolean"}),
        Parameter("exclude_stale", "No DAG is stale here.", {"type": "boolean"}),
    ),
    _get(_DAG, Permission.DAG_READ, dags.get_dag, "One DAG", "DAGs"),
    _change(
        "PATCH",
        _DAG,
        Permission.DAG_EDIT,
        dags.patch_dag,
        "Not supported: DAGs are never paused here",
        "DAGs",
        {"type": "object", "properties": {"is_paused": {"type": "boolean"}}},
    ),
    _get(_DAG + "/details", Permission.DAG_READ, dags.get_dag_details, "One DAG in detail", "DAGs"),
    _get(_DAG + "/tasks", Permission.DAG_READ, tasks.list_tasks, "Tasks of a DAG", "DAGs", ORDER_BY),
    _get(_DAG + "/tasks/{task_id}", Permission.DAG_READ, tasks.get_task, "One task of a DAG", "DAGs"),
    _get(
        _DAG + "/dagRuns",
        Permission.RUN_READ,
        dag_runs.list_runs,
        "Runs of a DAG, or of all (`~`)",
        "runs",
        *PAGE,
        STATE,
        Parameter("run_type", "Only of this type; repeatable."),
        Parameter(
            "run_after_gte",
            "Bounds: `run_after`, `logical_date`, `start_date`, `end_date` with `_gte`, `_gt`, `_lte`, `_lt`.",
        ),
        Parameter("run_id_pattern", "Part of the run id."),
        Parameter("dag_id_pattern", "Part of the DAG id."),
    ),
    _change("POST", _DAG + "/dagRuns", Permission.DAG_CALL, dag_runs.trigger, "Trigger a run", "runs", _TRIGGER_BODY),
    _get(_RUN, Permission.RUN_READ, dag_runs.get_run, "One run", "runs"),
    _change(
        "PATCH",
        _RUN,
        Permission.RUN_CANCEL,
        dag_runs.patch_run,
        "Set a run to failed: cancels it",
        "runs",
        {"type": "object", "properties": {"state": {"type": "string", "enum": ["failed"]}}},
    ),
    _change("DELETE", _RUN, Permission.RUN_DELETE, dag_runs.delete_run, "Not supported: delete a run", "runs", None),
    _get(
        _RUN + "/wait",
        Permission.RUN_READ,
        wait.wait_run,
        "Wait for a run's end: NDJSON lines, pushed",
        "runs",
        Parameter("interval", "Seconds between lines while nothing changes.", {"type": "number"}, required=True),
        Parameter("result", "Return the XCom of this task; repeatable. Default: the designated ones."),
        Parameter("early", "End as soon as the outcome is known.", {"type": "boolean"}),
        description="The last line has the final state and the `results`. The answer has no Content-Type.",
    ),
    _get(
        _INSTANCES,
        Permission.TASK_READ,
        task_instances.list_instances,
        "Task instances of a run, or of all (`~`)",
        "task instances",
        *PAGE,
        STATE,
        Parameter("task_id", "Only of this task."),
        Parameter("map_index", "Only with this map index; repeatable.", _INTEGER),
        Parameter("pool", "Only of this pool; repeatable."),
        Parameter("queue", "Only of this queue; repeatable."),
        Parameter("operator", "Only of this operator; repeatable."),
    ),
    _get(_INSTANCE, Permission.TASK_READ, task_instances.get_instance, "One task instance", "task instances"),
    _get(
        _INSTANCE + "/listMapped",
        Permission.TASK_READ,
        task_instances.list_mapped,
        "Instances of a mapped task",
        "task instances",
        *PAGE,
        STATE,
    ),
    _get(
        _INSTANCE + "/xcomEntries",
        Permission.XCOM_READ,
        xcoms.list_xcoms,
        "XComs of a task, or of all (`~`)",
        "XComs",
        *PAGE,
        Parameter("xcom_key", "Only with this key."),
        MAP_INDEX,
    ),
    _get(
        _INSTANCE + "/xcomEntries/{xcom_key:path}",
        Permission.XCOM_READ,
        xcoms.get_xcom,
        "One XCom with its value",
        "XComs",
        MAP_INDEX,
        Parameter("stringify", "Show the value as text.", {"type": "boolean"}),
    ),
    _get(
        _INSTANCE + "/logs/{try_number}",
        Permission.LOG_READ,
        logs.get_log,
        "The log of a try",
        "task instances",
        MAP_INDEX,
        Parameter("full_content", "Everything is always sent.", {"type": "boolean"}),
        Parameter("token", "What follows the page that named this token."),
    ),
    _get(
        _INSTANCE + "/{map_index}",
        Permission.TASK_READ,
        task_instances.get_mapped,
        "One instance of a mapped task",
        "task instances",
    ),
    _get(
        _VARIABLES,
        Permission.VARIABLE_READ,
        variables.list_variables,
        "Variables; values under sensitive names are hidden",
        "variables",
        *PAGE,
        Parameter("variable_key_pattern", "Part of the key."),
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
        needs_dags=False,
    ),
    _get(
        _CONNECTIONS,
        Permission.CONNECTION_READ,
        connections.list_connections,
        "Connections; values under sensitive names are hidden",
        "connections",
        *PAGE,
        Parameter("connection_id_pattern", "Part of the id."),
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
        needs_dags=False,
    ),
)
