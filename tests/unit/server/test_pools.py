"""Airflow's pools API."""

from typing import Any

import httpx
import pytest

from dagcall.coordinator.limits import Limits
from dagcall.coordinator.pools import Pools

from .scripted import ScriptedCoordinator

pytestmark = pytest.mark.anyio

POOLS = "/api/v2/pools"
FREE = {"occupied_slots": 0, "running_slots": 0, "queued_slots": 0, "scheduled_slots": 0, "deferred_slots": 0}


def document(name: str, slots: int, description: str | None = None, include_deferred: bool = False) -> dict[str, Any]:
    shown = {"name": name, "slots": slots, "description": description, "include_deferred": include_deferred}
    return {**shown, **FREE, "open_slots": slots, "team_name": None}


async def names(http: httpx.AsyncClient, query: str = "") -> tuple[list[str], int]:
    body = (await http.get(f"{POOLS}?{query}")).json()
    return [pool["name"] for pool in body["pools"]], body["total_entries"]


async def test_the_default_pool_is_always_there(http: httpx.AsyncClient) -> None:
    assert (await http.get(f"{POOLS}/default_pool")).json() == document("default_pool", 128, "Default pool")
    assert (await http.delete(f"{POOLS}/default_pool")).json() == {"detail": "Default Pool can't be deleted"}
    assert (await http.post(POOLS, json={"name": "default_pool", "slots": 1})).status_code == 409


async def test_create_list_change_delete(http: httpx.AsyncClient) -> None:
    made = await http.post(POOLS, json={"name": "db/main", "slots": 3, "description": "the database"})
    assert (made.status_code, made.json()) == (201, document("db/main", 3, "the database"))
    again = await http.post(POOLS, json={"name": "db/main", "slots": 4})
    assert (again.status_code, again.json()["detail"]["reason"]) == (409, "Unique constraint violation")
    await http.post(POOLS, json={"name": "any", "slots": -1, "include_deferred": True})
    assert await names(http) == (["default_pool", "db/main", "any"], 3)
    assert await names(http, "order_by=-name&limit=2") == (["default_pool", "db/main"], 3)
    assert await names(http, "pool_name_pattern=a%25n") == (["db/main", "any"], 2)
    whole = {"pool": "db/main", "slots": 5, "include_deferred": True}
    changed = await http.patch(f"{POOLS}/db/main", json=whole)
    assert (changed.status_code, changed.json()) == (200, document("db/main", 5, "the database", True))
    masked = await http.patch(f"{POOLS}/db/main?update_mask=slots", json={**whole, "slots": 6, "description": "x"})
    assert masked.json() == document("db/main", 6, "the database", True)
    assert (await http.get(f"{POOLS}/any")).json() == document("any", -1, None, True)
    assert (await http.delete(f"{POOLS}/db/main")).status_code == 204
    missing = await http.delete(f"{POOLS}/db/main")
    assert (missing.status_code, missing.json()["detail"]) == (404, "The Pool with name: `db/main` was not found")
    assert await names(http) == (["default_pool", "any"], 2)


async def test_of_the_default_pool_slots_and_include_deferred_can_change(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    refused = await http.patch(f"{POOLS}/default_pool", json={"slots": 1})
    assert refused.status_code == 400
    assert refused.json()["detail"] == "Only slots and included_deferred can be modified on Default Pool"
    changed = await http.patch(f"{POOLS}/default_pool?update_mask=slots", json={"slots": 1})
    assert changed.json() == document("default_pool", 1, "Default pool")
    # Written down, and so also after a restart, whatever Airflow is configured to give it.
    limits = Limits()
    pools = Pools(coordinator.journal.store, limits, list, lambda: 0.0)
    await pools.load({"default_pool_slots": 64})
    assert (limits.pools["default_pool"].slots, limits.pools["default_pool"].is_binding) == (1, True)


@pytest.mark.parametrize(
    "body, field",
    [
        ({"slots": 1}, "name"),
        ({"name": "p"}, "slots"),
        ({"name": "p", "slots": -2}, "slots"),
        ({"name": "p", "slots": True}, "slots"),
        ({"name": "p", "slots": 1, "include_deferred": "yes"}, "include_deferred"),
        ({"name": "p" * 257, "slots": 1}, "name"),
        ({"name": "p", "slots": 1, "surprise": 1}, "surprise"),
    ],
)
async def test_what_is_no_pool_is_refused(http: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await http.post(POOLS, json=body)
    assert (answer.status_code, answer.json()["detail"][0]["loc"]) == (422, ["body", field])


async def test_a_change_must_be_a_whole_pool_of_that_name(http: httpx.AsyncClient) -> None:
    await http.post(POOLS, json={"name": "p", "slots": 1})
    assert (await http.patch(f"{POOLS}/p", json={"slots": 2})).status_code == 422
    renamed = await http.patch(f"{POOLS}/p", json={"pool": "q", "slots": 2, "include_deferred": False})
    assert renamed.status_code == 400
    assert (await http.patch(f"{POOLS}/x", json={"slots": 2})).status_code == 404
    assert (await http.patch(POOLS, json={"actions": []})).status_code == 501


async def test_airflows_configured_limits_bind_where_they_are_inherited() -> None:
    limits = Limits()
    coordinator = ScriptedCoordinator()
    await coordinator.journal.open()
    pools = Pools(coordinator.journal.store, limits, list, lambda: 0.0)
    await pools.load({"default_pool_slots": 64, "parallelism": 32, "inherits_airflow_limits": True})
    assert (limits.pools["default_pool"].slots, limits.pools["default_pool"].is_binding) == (64, True)
    assert limits._parallelism == 32
