"""Our /api/v2 against the OpenAPI document that the installed Airflow carries: paths, methods, and every body."""

import importlib.util
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import jsonschema
import pytest
import yaml

from dagcall.coordinator.api import ImportErrorInfo
from dagcall.model.assets import (
    AliasDeclaration,
    AssetChanges,
    AssetCondition,
    AssetDeclaration,
    AssetRef,
    Consumption,
)
from dagcall.model.ids import RunKey
from dagcall.model.plan import TaskPlan
from dagcall.server.api_v2.dag_runs import RUN_STATES, RUN_TYPES
from dagcall.server.api_v2.routes import AIRFLOW_ROUTES
from dagcall.server.api_v2.task_instances import STATES
from dagcall.server.app import create_app
from dagcall.server.route import Route
from dagcall.server.settings import ServerSettings

from ...unit.server.conftest import (
    coordinator,  # noqa: F401  the fixture, with its DAGs
    plan,
)
from ...unit.server.scripted import Hold, ScriptedCoordinator

pytestmark = pytest.mark.anyio

RUN = "/api/v2/dags/mapped/dagRuns/r"
TASKS = f"{RUN}/taskInstances"


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="module")
def stock() -> dict[str, Any]:
    found = importlib.util.find_spec("airflow")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "api_fastapi/core_api/openapi"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return dict(yaml.load((folder / "v2-rest-api-generated.yaml").read_text(), Loader=loader))


@pytest.fixture
async def http(coordinator: ScriptedCoordinator) -> AsyncIterator[httpx.AsyncClient]:  # noqa: F811
    coordinator.work |= {"make": lambda params, index: [1, {"a": None}], "each": lambda params, index: index}
    coordinator.catalog.errors = [ImportErrorInfo(1, "bad.py", "ImportError", 1_767_225_600.0)]
    transport = httpx.ASGITransport(create_app(coordinator, ServerSettings()))
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        await client.post("/call/mapped?run_id=r", json={"n": 1})
        await client.post("/api/v2/variables", json={"key": "v", "value": 1})
        await client.post("/api/v2/connections", json={"connection_id": "c", "conn_type": "http", "port": 1})
        await _with_assets(coordinator, client)
        asked = {"ti_id": "x", "options": ["a"], "subject": "s", "params": {"n": 1}, "assigned_users": []}
        await coordinator.inputs.ask(RunKey("mapped", "r"), "make", -1, 1, json.dumps(asked).encode())
        yield client


async def _with_assets(coordinator: ScriptedCoordinator, client: httpx.AsyncClient) -> None:  # noqa: F811
    """Two assets, an alias, an event that is queued for a DAG, and one that the run was started for."""
    refs = (AssetRef("asset", "a", "s3://a/b"), AssetRef("alias", "alias"))
    condition = AssetCondition("all", parts=tuple(AssetCondition("ref", ref) for ref in refs))
    declared = (AssetDeclaration("a", "s3://a/b", extra=b'{"x":[1]}'),)
    aliases = (AliasDeclaration("alias"),)
    task = TaskPlan("t", inlets=refs, outlets=refs)
    coordinator.serve(
        plan("on_assets", task, asset_condition=condition, assets=declared, asset_aliases=aliases, schedule="Asset")
    )
    for extra in ({}, {"n": None}):
        answer = await client.post("/api/v2/assets/events", json={"asset_id": 1, "extra": extra})
        assert answer.status_code == 200, answer.text
    await coordinator.journal.assets.write(AssetChanges(consumed=(Consumption(1, "mapped", "r", True),)))


@pytest.mark.parametrize("route", AIRFLOW_ROUTES, ids=lambda route: f"{route.method} {route.openapi_path}")
def test_route_is_airflows(stock: dict[str, Any], route: Route) -> None:
    # Starlette's `{xcom_key:path}` and FastAPI's are the same template.
    operation = stock["paths"][route.openapi_path][route.method.lower()]
    queries = {one["name"] for one in operation.get("parameters", []) if one["in"] == "query"}
    ours = {one.name for one in route.parameters}
    assert ours - queries <= {"early"}, "a parameter that Airflow does not have"


@pytest.mark.parametrize(
    "path, schema",
    [
        ("/api/v2/version", "VersionInfo"),
        ("/api/v2/monitor/health", "HealthInfoResponse"),
        ("/api/v2/importErrors", "ImportErrorCollectionResponse"),
        ("/api/v2/importErrors/1", "ImportErrorResponse"),
        ("/api/v2/dags", "DAGCollectionResponse"),
        ("/api/v2/dags/simple", "DAGResponse"),
        ("/api/v2/dags/simple/details", "DAGDetailsResponse"),
        ("/api/v2/dags/mapped/tasks", "TaskCollectionResponse"),
        ("/api/v2/dags/mapped/tasks/each", "TaskResponse"),
        ("/api/v2/dags/~/dagRuns", "DAGRunCollectionResponse"),
        ("/api/v2/pools", "PoolCollectionResponse"),
        ("/api/v2/pools/default_pool", "PoolResponse"),
        (RUN, "DAGRunResponse"),
        (TASKS, "TaskInstanceCollectionResponse"),
        (f"{TASKS}/make", "TaskInstanceResponse"),
        (f"{TASKS}/each/1", "TaskInstanceResponse"),
        (f"{TASKS}/each/listMapped", "TaskInstanceCollectionResponse"),
        (f"{TASKS}/~/xcomEntries", "XComCollectionResponse"),
        (f"{TASKS}/make/xcomEntries/return_value", "XComResponseNative"),
        (f"{TASKS}/make/xcomEntries/return_value?stringify=true", "XComResponseString"),
        (f"{TASKS}/make/logs/1", "TaskInstancesLogResponse"),
        ("/api/v2/variables", "VariableCollectionResponse"),
        ("/api/v2/variables/v", "VariableResponse"),
        ("/api/v2/connections", "ConnectionCollectionResponse"),
        ("/api/v2/connections/c", "ConnectionResponse"),
        ("/api/v2/assets", "AssetCollectionResponse"),
        ("/api/v2/assets/1", "AssetResponse"),
        ("/api/v2/assets/aliases", "AssetAliasCollectionResponse"),
        ("/api/v2/assets/aliases/1", "AssetAliasResponse"),
        ("/api/v2/assets/events", "AssetEventCollectionResponse"),
        ("/api/v2/assets/1/queuedEvents", "QueuedEventCollectionResponse"),
        ("/api/v2/dags/on_assets/assets/queuedEvents", "QueuedEventCollectionResponse"),
        ("/api/v2/dags/on_assets/assets/1/queuedEvents", "QueuedEventResponse"),
        ("/api/v2/dags/on_assets/details", "DAGDetailsResponse"),
        (f"{RUN}/upstreamAssetEvents", "AssetEventCollectionResponse"),
        (f"{TASKS}/make/-1/hitlDetails", "HITLDetail"),
        (f"{RUN}/hitlDetails", "HITLDetailCollection"),
    ],
)
async def test_body_is_airflows(stock: dict[str, Any], http: httpx.AsyncClient, path: str, schema: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 200, answer.text
    check(stock, schema, answer.json())


async def test_unfinished_runs_too(
    stock: dict[str, Any],
    http: httpx.AsyncClient,
    coordinator: ScriptedCoordinator,  # noqa: F811
) -> None:
    def hold(params: object, index: int) -> None:
        raise Hold

    coordinator.work["make"] = hold
    answer = await http.post("/api/v2/dags/mapped/dagRuns", json={"logical_date": None, "dag_run_id": "open"})
    check(stock, "DAGRunResponse", answer.json())
    instances = (await http.get("/api/v2/dags/mapped/dagRuns/open/taskInstances")).json()
    check(stock, "TaskInstanceCollectionResponse", instances)


async def test_changes_of_assets_too(stock: dict[str, Any], http: httpx.AsyncClient) -> None:
    check(stock, "AssetEventResponse", (await http.post("/api/v2/assets/events", json={"asset_id": 1})).json())
    check(stock, "DAGRunResponse", (await http.post("/api/v2/assets/1/materialize", json={})).json())
    assert (await http.delete("/api/v2/assets/1/queuedEvents")).status_code == 204


async def test_answers_of_people_are_airflows(stock: dict[str, Any], http: httpx.AsyncClient) -> None:
    answer = await http.patch(f"{TASKS}/make/-1/hitlDetails", json={"chosen_options": ["a"]})
    check(stock, "HITLDetailResponse", answer.json())
    check(stock, "HITLDetail", (await http.get(f"{TASKS}/make/-1/hitlDetails")).json())


async def test_errors_are_airflows(stock: dict[str, Any], http: httpx.AsyncClient) -> None:
    check(stock, "HTTPExceptionResponse", (await http.get(f"{RUN}x")).json())
    check(stock, "HTTPValidationError", (await http.get("/api/v2/dags?limit=x")).json())
    check(stock, "HTTPValidationError", (await http.post("/api/v2/dags/mapped/dagRuns", json={})).json())


def test_enumerations_are_airflows(stock: dict[str, Any]) -> None:
    schemas = stock["components"]["schemas"]
    assert set(RUN_STATES) == set(schemas["DagRunState"]["enum"])
    assert set(RUN_TYPES) == set(schemas["DagRunType"]["enum"])
    assert set(STATES) - {"none", "no_status"} == set(schemas["TaskInstanceState"]["enum"])


def check(stock: dict[str, Any], name: str, body: Any) -> None:
    """The body fits Airflow's schema, and has exactly the fields that Airflow sends."""
    document = {"$ref": f"#/components/schemas/{name}", "components": strict(stock["components"])}
    validator = jsonschema.Draft202012Validator(document, format_checker=jsonschema.FormatChecker())
    problems = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(body)]
    assert not problems, "\n".join(problems)


def strict(components: dict[str, Any]) -> dict[str, Any]:
    """Every field that a response's schema names must be there, and no other, unless the schema says so."""
    made: dict[str, Any] = json.loads(json.dumps(components))
    for name, schema in made["schemas"].items():
        if re.search("Response|Info", name) and "properties" in schema and "Exception" not in name:
            schema["required"] = list(schema["properties"])
            schema.setdefault("additionalProperties", False)
    return made
