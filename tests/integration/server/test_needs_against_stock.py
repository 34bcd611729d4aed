"""What a route below `/api/v2` asks of the auth manager is what Airflow's own route asks, by Airflow's own code."""

import inspect
import re
import warnings
from typing import Any

import pytest

pytest.importorskip("airflow.sdk")

from dagcall.server.needs import needs_of
from dagcall.server.routes import TABLE

OURS = [route for route in TABLE if route.path.startswith("/api/v2")]


@pytest.fixture(scope="module")
def stock() -> dict[tuple[str, str], set[tuple[str, str, str | None]]]:
    """By method and path: kind, method, entity of each requirement."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Airflow imports
        from airflow.api_fastapi.core_api.routes.public import public_router
        from fastapi import FastAPI

    app = FastAPI()
    app.include_router(public_router)
    found: dict[tuple[str, str], set[tuple[str, str, str | None]]] = {}
    for route in app.routes:
        for method in getattr(route, "methods", ()) or ():
            if hasattr(route, "dependant"):
                path = re.sub(r"\{(\w+):\w+\}", r"{\1}", route.path)
                found[method, path] = set(_requirements(route.dependant))
    return found


def _requirements(dependant: Any) -> Any:
    for dependency in dependant.dependencies:
        name = getattr(dependency.call, "__qualname__", "")
        if name.startswith("requires_access_"):
            of = inspect.getclosurevars(dependency.call).nonlocals
            kind = name.partition(".")[0].removeprefix("requires_access_")
            entity = of.get("access_entity") or of.get("access_view")
            yield kind, of.get("method", "GET"), None if entity is None else entity.name
        yield from _requirements(dependency)


@pytest.mark.parametrize("route", OURS, ids=lambda route: f"{route.method} {route.openapi_path}")
def test_a_route_asks_what_airflow_asks(stock: Any, route: Any) -> None:
    path = {name: f"a-{name}" for name in route.path_parameters}
    asked = {(need.kind, need.method, need.entity) for need in needs_of(route.permission, route.method, path)}
    assert asked == stock[route.method, route.openapi_path]


def test_it_is_airflows_requirements_that_were_read(stock: Any) -> None:
    """Else nothing would be compared with nothing."""
    assert len(OURS) > 50
    assert sum(bool(stock[route.method, route.openapi_path]) for route in OURS) > 50
