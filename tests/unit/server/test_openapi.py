"""The OpenAPI documents: valid, whole, and of the DAGs that are served."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.requests import Request

from dagcall.errors import NotAuthenticated, problem_from
from dagcall.model.plan import Refusal, TaskPlan
from dagcall.server.app import create_app
from dagcall.server.documented import PROBLEM_STATUSES, RESPONSES
from dagcall.server.openapi import operation_id
from dagcall.server.policy import AllowAll, Caller, Permission
from dagcall.server.route import Route
from dagcall.server.routes import TABLE
from dagcall.server.settings import ServerSettings

from .conftest import plan
from .scripted import ScriptedCoordinator

pytestmark = pytest.mark.anyio

NODE: dict[str, Any] = {
    "$ref": "#/$defs/Node",
    "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}},
}


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, by_method in document["paths"].items():
        for method, operation in by_method.items():
            yield method.upper(), path, operation


async def test_the_document_for_all_is_valid_and_has_every_route_and_dag(http: httpx.AsyncClient) -> None:
    document = (await http.get("/openapi.json")).json()
    OpenAPIV31SpecValidator(document).validate()
    found = {(method, path) for method, path, _ in operations(document)}
    routes = {(route.method, route.openapi_path) for route in TABLE}
    dags = ("simple", "two", "none", "mapped")
    assert found - routes == {(method, f"/call/{dag_id}") for dag_id in dags for method in ("GET", "POST")}
    assert routes <= found


async def test_a_dags_own_document(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    schema = {"type": "object", "properties": {"n": NODE | {"default": {}}}, "required": []}
    task = TaskPlan("t", is_result=True)
    coordinator.serve(plan("gr\u00fcn", task, params_schema=schema, result_schemas={"t": NODE}, doc_md="# Green"))
    answer = await http.get("/call/gr%C3%BCn/openapi.json")
    document = answer.json()
    OpenAPIV31SpecValidator(document).validate()
    assert document["info"]["title"] == "gr\u00fcn"
    assert document["info"]["description"] == "# Green"
    assert set(document["paths"]) == {
        f"/call/gr%C3%BCn{rest}"
        for rest in (
            "",
            "/openapi.json",
            "/{run_id}",
            "/{run_id}/critical-path",
            "/{run_id}/events",
            "/{run_id}/value",
            "/{run_id}/value/{task_id}",
        )
    }
    call = document["paths"]["/call/gr%C3%BCn"]["post"]
    body = call["requestBody"]["content"]["application/json"]
    assert body["example"] == {"n": {}}
    params, result = "gr-fc-n.n.Node", "gr-fc-n.Node"
    assert body["schema"]["properties"]["n"]["$ref"] == f"#/components/schemas/{params}"
    value = call["responses"]["200"]["content"]["application/json"]["schema"]
    assert {"$ref": f"#/components/schemas/{result}"} in value["anyOf"]
    assert {params, result} <= set(document["components"]["schemas"])
    assert (await http.get("/call/nowhere/openapi.json")).status_code == 404


async def test_no_run_can_have_the_documents_name(http: httpx.AsyncClient) -> None:
    answer = await http.post("/call/simple?run_id=openapi.json")
    assert answer.status_code == 400
    assert "openapi.json" in answer.json()["detail"]


async def test_a_refused_dag_is_not_offered_as_a_call(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    coordinator.serve(plan("refused", TaskPlan("t"), refusals=(Refusal("t", "executor", "why"),)))
    assert "/call/refused" not in (await http.get("/openapi.json")).json()["paths"]


async def test_who_may_see_no_dag_is_told_of_none(coordinator: ScriptedCoordinator) -> None:
    class Refuses(AllowAll):
        is_open = False

        async def check(self, permission: Permission, request: Request) -> Caller:
            if permission is Permission.NONE:
                return Caller()
            raise NotAuthenticated()

    app = create_app(coordinator, ServerSettings(), Refuses())
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as http:
        answer = await http.get("/openapi.json")
        assert answer.status_code == 200
        assert "simple" not in answer.text
        assert (await http.get("/call/simple/openapi.json")).status_code == 401


async def test_before_the_dags_are_loaded_there_are_only_the_routes(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator
) -> None:
    coordinator.catalog.is_loaded = False
    answer = await http.get("/openapi.json")
    assert answer.status_code == 200
    assert "/call/simple" not in answer.json()["paths"]


@pytest.mark.parametrize("route", TABLE, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_says_what_it_answers(route: Route) -> None:
    assert any(status < "400" for status in route.answers) or "501" in route.answers


LISTED = re.compile(r"it knows: ([^.]*)\.|known here: ([^.]*)\.")


@pytest.mark.parametrize("route", [one for one in TABLE if one.method == "GET"], ids=operation_id)
async def test_the_documented_query_parameters_are_those_that_are_read(http: httpx.AsyncClient, route: Route) -> None:
    numbers = "(id|number|index)"
    path = re.sub(rf"{{(?:asset_|asset_alias_|import_error_|try_|map_){numbers}}}", "1", route.openapi_path)
    answer = await http.get(re.sub(r"{\w+}", "simple", path), params={"nonsense": "1"})
    found = LISTED.search(answer.text)
    if found is None:  # takes any query, or none, or looks for what the path names first
        assert not [one for one in route.parameters if one.place == "query"]
        return
    known = (found[1] or found[2]).replace("none", "")
    assert sorted(known.split(", ") if known else []) == sorted(
        one.name for one in route.parameters if one.place == "query"
    )


@pytest.mark.parametrize("status", PROBLEM_STATUSES)
def test_every_problem_type_is_documented(status: int) -> None:
    (media_type,) = RESPONSES[f"Problem{status}"]["content"].values()
    for name in media_type["schema"]["allOf"][1]["properties"]["type"]["enum"]:
        problem = problem_from(status, {"type": name})
        assert problem.type == name
        assert problem.status == status
