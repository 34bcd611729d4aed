"""Airflow's API of assets: bodies, filters and errors as stock gives them."""

from typing import Any

import httpx
import pytest

from dagcall.core.asset_outlets import changes_of
from dagcall.model.assets import (
    AliasDeclaration,
    AssetChanges,
    AssetCondition,
    AssetDeclaration,
    AssetKey,
    AssetRef,
    Consumption,
    OutletEvent,
    Outlets,
    Source,
)
from dagcall.model.plan import TaskPlan

from .conftest import plan
from .scripted import START, ScriptedCoordinator

pytestmark = pytest.mark.anyio

ORDERS = AssetRef("asset", "orders", "s3://sales/orders")
STOCK = AssetRef("asset", "stock", "s3://sales/stock")
ALIAS = AssetRef("alias", "any")
BEFORE = "2025-12-31T23:59:59Z"


@pytest.fixture(autouse=True)
async def served(coordinator: ScriptedCoordinator) -> None:
    declared = tuple(AssetDeclaration(ref.name, ref.uri, extra=b'{"team":"sales"}') for ref in (ORDERS, STOCK))
    coordinator.serve(
        plan(
            "maker",
            TaskPlan("make", outlets=(ORDERS, ALIAS), is_result=True),
            TaskPlan("check", inlets=(ORDERS,)),
            assets=declared[:1],
            asset_aliases=(AliasDeclaration("any"),),
        )
    )
    coordinator.serve(
        plan(
            "taker",
            TaskPlan("take", is_result=True),
            asset_condition=AssetCondition(
                "all", parts=(AssetCondition("ref", ORDERS), AssetCondition("ref", STOCK), AssetCondition("ref", ALIAS))
            ),
            assets=declared,
            asset_aliases=(AliasDeclaration("any"),),
            schedule="Asset",
        )
    )


async def emit(coordinator: ScriptedCoordinator, *refs: AssetRef, events: tuple[OutletEvent, ...] = ()) -> None:
    assets = coordinator.assets
    source = Source("maker", "make", "r1")
    changes = changes_of(assets.book, Outlets(refs, events), source, START + coordinator.tick() - START)
    await coordinator.journal.assets.write(changes)
    assets.durable(changes)


async def ok(http: httpx.AsyncClient, path: str) -> Any:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_assets(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    found = await ok(http, "/api/v2/assets")
    assert found["total_entries"] == 2
    orders = found["assets"][0]
    since = {"created_at": BEFORE, "updated_at": BEFORE}
    assert (
        orders
        == await ok(http, "/api/v2/assets/1")
        == {
            "id": 1,
            "name": "orders",
            "uri": "s3://sales/orders",
            "group": "asset",
            "extra": {"team": "sales"},
            **since,
            "scheduled_dags": [{"dag_id": "taker", **since}],
            "producing_tasks": [{"dag_id": "maker", "task_id": "make", **since}],
            "consuming_tasks": [{"dag_id": "maker", "task_id": "check", **since}],
            "aliases": [],
            "watchers": [],
            "last_asset_event": {"id": None, "timestamp": None},
        }
    )
    await emit(coordinator, ORDERS, ALIAS, events=(OutletEvent(ORDERS.key, alias="any"),))
    orders = await ok(http, "/api/v2/assets/1")
    assert orders["last_asset_event"]["id"] == 2
    assert orders["aliases"] == [{"id": 1, "name": "any", "group": "asset"}]


async def test_filters_of_assets(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    async def names(query: str) -> list[str]:
        return [one["name"] for one in (await ok(http, f"/api/v2/assets?{query}"))["assets"]]

    assert await names("name_pattern=RDE") == ["orders"]
    assert await names("name_prefix_pattern=st") == ["stock"]
    assert await names("uri_pattern=sales%25o") == ["orders", "stock"]
    assert await names("uri_prefix_pattern=s3://sales/s") == ["stock"]
    assert await names("dag_ids=maker") == ["orders"]
    assert await names("dag_ids=maker,taker&order_by=-name") == ["stock", "orders"]
    assert await names("limit=1&offset=1") == ["stock"]
    coordinator.serve(plan("taker", TaskPlan("take")))
    assert await names("") == ["orders"]
    assert await names("only_active=false") == ["orders", "stock"]


async def test_what_is_not_there(http: httpx.AsyncClient) -> None:
    async def error(path: str, method: str = "GET", **more: Any) -> tuple[int, Any]:
        answer = await http.request(method, f"/api/v2/{path}", **more)
        return answer.status_code, answer.json()["detail"]

    assert await error("assets/9") == (404, "The Asset with ID: `9` was not found")
    assert (await error("assets/x"))[0] == 422
    assert await error("assets/aliases/9") == (404, "The Asset Alias with ID: `9` was not found")
    assert await error("assets/events", "POST", json={"asset_id": 9}) == (404, "Asset with ID: `9` was not found")
    assert await error("assets/1/queuedEvents", "DELETE") == (404, "Queue event with asset_id: `1` was not found")
    assert await error("dags/taker/assets/queuedEvents", "DELETE") == (
        404,
        "Queue event with dag_id: `taker` was not found",
    )
    missing = (404, "Queued event with dag_id: `taker` and asset_id: `1` was not found")
    assert await error("dags/taker/assets/1/queuedEvents") == missing
    assert await error("dags/taker/assets/1/queuedEvents", "DELETE") == missing
    assert (await error("dags/taker/dagRuns/no/upstreamAssetEvents"))[0] == 404
    assert await error("assets/2/materialize", "POST") == (404, "No Dag materializes asset with ID: 2")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "asset_id"),
        ({"asset_id": "one"}, "asset_id"),
        ({"asset_id": True}, "asset_id"),
        ({"asset_id": 1, "extra": []}, "extra"),
        ({"asset_id": 1, "partition_key": " "}, "partition_key"),
        ({"asset_id": 1, "partition_key": "x" * 251}, "partition_key"),
        ({"asset_id": 1, "timestamp": "2026-01-01"}, "timestamp"),
    ],
)
async def test_bodies_that_airflow_does_not_take(http: httpx.AsyncClient, body: dict[str, Any], field: str) -> None:
    answer = await http.post("/api/v2/assets/events", json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", field]


async def test_an_event_is_made_and_queued(http: httpx.AsyncClient) -> None:
    answer = await http.post("/api/v2/assets/events", json={"asset_id": 1, "extra": {"n": 1}})
    assert answer.status_code == 200
    event = answer.json()
    assert event == {
        "id": 1,
        "asset_id": 1,
        "uri": "s3://sales/orders",
        "name": "orders",
        "group": "asset",
        "extra": {"n": 1, "from_rest_api": True},
        "source_task_id": None,
        "source_dag_id": None,
        "source_run_id": None,
        "source_map_index": -1,
        "created_dagruns": [],
        "timestamp": event["timestamp"],
        "partition_key": None,
    }
    queued = {"dag_id": "taker", "asset_id": 1, "created_at": event["timestamp"], "dag_display_name": "taker"}
    assert await ok(http, "/api/v2/assets/1/queuedEvents") == {"queued_events": [queued], "total_entries": 1}
    assert (await ok(http, "/api/v2/dags/taker/assets/queuedEvents"))["queued_events"] == [queued]
    assert (await ok(http, f"/api/v2/dags/taker/assets/queuedEvents?before={BEFORE}"))["queued_events"] == []
    assert await ok(http, "/api/v2/dags/taker/assets/1/queuedEvents") == queued
    assert (await http.delete("/api/v2/dags/taker/assets/1/queuedEvents")).status_code == 204
    assert (await ok(http, "/api/v2/assets/1/queuedEvents"))["total_entries"] == 0
    assert (await ok(http, "/api/v2/assets/events"))["total_entries"] == 1


async def test_filters_of_events(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    async def ids(query: str) -> list[int]:
        return [one["id"] for one in (await ok(http, f"/api/v2/assets/events?{query}"))["asset_events"]]

    await emit(coordinator, ORDERS)
    await http.post("/api/v2/assets/events", json={"asset_id": 2})
    await emit(coordinator, ORDERS)
    assert await ids("") == [1, 2, 3]
    assert await ids("order_by=-timestamp&limit=2") == [3, 2]
    assert await ids("asset_id=2") == [2]
    assert await ids("source_dag_id=maker&source_task_id=make&source_run_id=r1&source_map_index=-1") == [1, 3]
    assert await ids("name_pattern=stock") == [2]
    assert await ids("name_pattern=stock&asset_id=1") == []
    middle = (await ok(http, "/api/v2/assets/events"))["asset_events"][1]["timestamp"]
    assert await ids(f"timestamp_gt={middle}") == [3]
    assert await ids(f"timestamp_lte={middle}") == [1, 2]
    assert (await http.get("/api/v2/assets/events?order_by=extra")).status_code == 400


async def test_the_runs_of_an_event_and_the_events_of_a_run(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    await emit(coordinator, ORDERS)
    await emit(coordinator, ORDERS)
    await http.post("/api/v2/dags/taker/dagRuns", json={"logical_date": None, "dag_run_id": "t1"})
    consumed = (Consumption(1, "taker", "t1", False), Consumption(2, "taker", "t1", True))
    await coordinator.journal.assets.write(AssetChanges(consumed=consumed))
    found = await ok(http, "/api/v2/dags/taker/dagRuns/t1/upstreamAssetEvents")
    assert [one["id"] for one in found["asset_events"]] == [1, 2]
    assert found["total_entries"] == 2
    (run,) = found["asset_events"][1]["created_dagruns"]
    assert (run["dag_id"], run["run_id"], run["state"], run["triggering"]) == ("taker", "t1", "success", True)
    assert not found["asset_events"][0]["created_dagruns"][0]["triggering"]


async def test_aliases(http: httpx.AsyncClient) -> None:
    alias = {"id": 1, "name": "any", "group": "asset"}
    assert await ok(http, "/api/v2/assets/aliases") == {"asset_aliases": [alias], "total_entries": 1}
    assert await ok(http, "/api/v2/assets/aliases?name_pattern=x") == {"asset_aliases": [], "total_entries": 0}
    assert await ok(http, "/api/v2/assets/aliases/1") == alias


async def test_materialize(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    answer = await http.post("/api/v2/assets/1/materialize", json={"conf": {"n": 2}, "note": "why", "dag_run_id": "m"})
    assert answer.status_code == 200, answer.text
    request = coordinator.requests[-1]
    assert (request.dag_id, request.run_type, request.conf, request.note) == (
        "maker",
        "asset_materialization",
        {"n": 2},
        "why",
    )
    assert (await http.post("/api/v2/assets/1/materialize")).status_code == 200
    coordinator.serve(
        plan("rival", TaskPlan("t", outlets=(ORDERS,)), assets=(AssetDeclaration(*AssetKey(*ORDERS.key)),))
    )
    assert (await http.post("/api/v2/assets/1/materialize")).status_code == 409


async def test_the_dag_shows_its_expression(http: httpx.AsyncClient) -> None:
    found = await ok(http, "/api/v2/dags/taker/details")
    assert found["timetable_summary"] == "Asset"
    assert found["timetable_description"] == "Triggered by assets"
    assert found["asset_expression"] == {
        "all": [
            {"asset": {"uri": "s3://sales/orders", "name": "orders", "group": "asset", "id": 1}},
            {"asset": {"uri": "s3://sales/stock", "name": "stock", "group": "asset", "id": 2}},
            {"alias": {"name": "any", "group": "asset"}},
        ]
    }
