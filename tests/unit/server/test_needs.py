"""Every route asks for something, and what it asks for is known."""

import pytest

from dagcall.server.needs import needs_of
from dagcall.server.policy import Caller, Permission
from dagcall.server.routes import TABLE

OPEN = {
    "/",
    "/docs",
    "/openapi.json",  # tells of DAGs to whom may see them
    "/health/live",
    "/health/ready",
    "/api/v2/version",
    "/api/v2/monitor/health",
}


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_declares_what_it_asks_for(route) -> None:
    assert isinstance(route.permission, Permission)
    path = {name: f"a-{name}" for name in route.path_parameters}
    needs = needs_of(route.permission, route.method, path)
    assert bool(needs) == (route.path not in OPEN)
    if "dag_id" in path:
        assert any(need.kind == "dag" and need.id == "a-dag_id" for need in needs)
    for name in ("pool_name", "variable_key", "connection_id", "asset_id", "asset_alias_id"):
        if name in path:
            assert f"a-{name}" in {need.id for need in needs}


@pytest.mark.parametrize("permission", [one for one in Permission if one is not Permission.NONE])
def test_no_permission_asks_for_nothing(permission: Permission) -> None:
    for method in ("GET", "HEAD", "POST", "PATCH", "DELETE"):
        assert needs_of(permission, method, {"dag_id": "d"})
        assert needs_of(permission, method, {})


def test_all_dags_are_no_dag() -> None:
    assert [need.id for need in needs_of(Permission.RUN_READ, "GET", {"dag_id": "~"})] == [None]


def test_equal_keys_of_two_users_never_meet() -> None:
    ada, una = Caller("same name", "1"), Caller("same name", "2")
    assert ada.scoped("k") == ada.scoped("k") != una.scoped("k")
    assert una.scoped(ada.scoped("k")) != ada.scoped("k")
    assert ada.scoped(None) is None
    assert Caller().scoped("k") == "k"
