"""What a permission asks of Airflow's auth managers: the same as Airflow's own API server does for the same route.

A need is `(kind, method, entity, id)`, as `airflow_bridge.identity` takes it; the id is None where a request is about the
kind as a whole, as for lists. Pure.
"""

from collections.abc import Mapping
from typing import NamedTuple

from dagcall.server.policy import Permission

ALL = "~"


class Need(NamedTuple):
    kind: str
    method: str
    entity: str | None
    id: str | None


_METHODS = {"GET": "GET", "HEAD": "GET", "POST": "POST", "PATCH": "PUT", "PUT": "PUT", "DELETE": "DELETE"}

_OF_DAG: dict[Permission, tuple[tuple[str, str | None], ...]] = {
    Permission.DAG_CALL: (("POST", "RUN"), ("GET", "XCOM")),
    Permission.DAG_TRIGGER: (("POST", "RUN"),),
    Permission.DAG_READ: (("GET", None),),
    Permission.DAG_EDIT: (("PUT", None),),
    Permission.TASK_READ: (("GET", "TASK"),),
    Permission.RUN_READ: (("GET", "RUN"),),
    Permission.RESULT_READ: (("GET", "RUN"), ("GET", "XCOM")),
    Permission.RUN_CANCEL: (("PUT", "RUN"),),
    Permission.RUN_DELETE: (("DELETE", "RUN"),),
    Permission.INSTANCE_READ: (("GET", "TASK_INSTANCE"),),
    Permission.INSTANCE_EDIT: (("PUT", "TASK_INSTANCE"),),
    Permission.XCOM_READ: (("GET", "XCOM"),),
    Permission.LOG_READ: (("GET", "TASK_LOGS"),),
    Permission.INPUT_READ: (("GET", "HITL_DETAIL"),),
    Permission.INPUT_ANSWER: (("PUT", "HITL_DETAIL"),),
}
_OF_THING = {
    Permission.POOL_READ: ("pool", "pool_name"),
    Permission.POOL_EDIT: ("pool", "pool_name"),
    Permission.VARIABLE_READ: ("variable", "variable_key"),
    Permission.VARIABLE_EDIT: ("variable", "variable_key"),
    Permission.CONNECTION_READ: ("connection", "connection_id"),
    Permission.CONNECTION_EDIT: ("connection", "connection_id"),
}


def needs_of_dag(permission: Permission, dag_id: str | None) -> tuple[Need, ...]:
    return tuple(Need("dag", method, entity, dag_id) for method, entity in _OF_DAG[permission])


def needs_of(permission: Permission, http_method: str, path: Mapping[str, str]) -> tuple[Need, ...]:
    """All of them must be met. None only for what is open to everybody. Raises KeyError for a permission that has none
    here: it is refused."""
    if permission is Permission.NONE:
        return ()
    dag_id = path.get("dag_id")
    dag_id = None if dag_id == ALL else dag_id
    if permission in _OF_DAG:
        return needs_of_dag(permission, dag_id)
    method = _METHODS[http_method]
    if permission in _OF_THING:
        kind, name = _OF_THING[permission]
        return (Need(kind, method, None, path.get(name)),)
    asset = Need("asset", method, None, path.get("asset_id"))
    match permission:
        case Permission.IMPORT_ERROR_READ:
            return (Need("view", "GET", "IMPORT_ERRORS", None),)
        case Permission.METRICS_READ:
            return (Need("view", "GET", "CLUSTER_ACTIVITY", None),)
        case Permission.ASSET_READ:
            return (asset, Need("asset_alias", method, None, None))
        case Permission.ASSET_ALIAS_READ:
            return (Need("asset_alias", method, None, path.get("asset_alias_id")),)
        case Permission.ASSET_EDIT | Permission.ASSET_EVENT_READ:
            return (asset,)
        case Permission.ASSET_QUEUE_READ:
            return (asset, Need("dag", "GET", None, dag_id)) if "dag_id" in path else (asset,)
        case Permission.ASSET_QUEUE_EDIT:
            return (asset, Need("dag", "PUT", None, dag_id))
        case Permission.RUN_ASSET_EVENT_READ:
            return (asset, Need("dag", "GET", "RUN", dag_id))
    raise KeyError(permission)
