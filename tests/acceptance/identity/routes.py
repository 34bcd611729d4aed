"""Requests to every route that a server has, made from its own table."""

from collections.abc import Mapping
from urllib.parse import quote

import httpx

from dagcall.server.route import Route
from dagcall.server.routes import TABLE

NAMES = {
    "run_id": "by-ada",
    "dag_run_id": "by-ada",
    "task_id": "say",
    "map_index": "-1",
    "xcom_key": "return_value",
    "try_number": "1",
    "task_try_number": "1",
    "pool_name": "default_pool",
    "variable_key": "nothing",
    "connection_id": "nothing",
    "asset_id": "1",
    "asset_alias_id": "1",
    "import_error_id": "1",
}


def name_of(route: Route) -> str:
    return f"{route.method} {route.openapi_path}"


def ask(http: httpx.Client, route: Route, headers: Mapping[str, str], names: Mapping[str, str]) -> httpx.Response:
    """A request that is well-formed as far as its path goes. Nothing that tests share is deleted."""
    values = NAMES | dict(names)
    if route.method == "DELETE":
        values |= {"run_id": "none-such", "dag_run_id": "none-such", "pool_name": "none-such"}
    path = route.openapi_path.format_map({name: quote(values[name], safe="") for name in route.path_parameters})
    query = {"interval": "1"} if path.endswith("/wait") else {}
    body = {"json": {}} if route.method in ("POST", "PATCH") else {}
    return http.request(route.method, path, headers=dict(headers), params=query, **body)  # type: ignore[arg-type]


__all__ = ["NAMES", "TABLE", "ask", "name_of"]
