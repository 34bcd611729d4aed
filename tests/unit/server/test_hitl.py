"""What tasks ask of people, over Airflow's API."""

import json
from collections.abc import Collection
from typing import Any

import httpx
import pytest
from starlette.requests import Request

from dagcall.model.ids import RunKey
from dagcall.server.app import create_app
from dagcall.server.policy import AllowAll, Caller, Permission
from dagcall.server.settings import ServerSettings

from .scripted import Hold, ScriptedCoordinator

pytestmark = pytest.mark.anyio

RUN = "/api/v2/dags/simple/dagRuns/r"
DETAIL = f"{RUN}/taskInstances/make/-1/hitlDetails"


async def ask(coordinator: ScriptedCoordinator, run_id: str = "r", **more: Any) -> None:
    asked = {"ti_id": f"ti-{run_id}", "options": ["yes", "no"], "subject": "Ship it?", "body": "Now", **more}
    await coordinator.inputs.ask(RunKey("simple", run_id), "make", -1, 1, json.dumps(asked).encode())


@pytest.fixture(autouse=True)
async def run(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    def hold(params: object, index: int) -> None:
        raise Hold

    coordinator.work["make"] = hold
    for run_id in ("r", "r2"):
        body = {"logical_date": None, "dag_run_id": run_id}
        assert (await http.post("/api/v2/dags/simple/dagRuns", json=body)).status_code == 200


async def test_get_and_answer(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    await ask(coordinator, params={"n": 1}, defaults=["no"])
    detail = (await http.get(DETAIL)).json()
    assert (detail["subject"], detail["options"], detail["defaults"]) == ("Ship it?", ["yes", "no"], ["no"])
    assert detail["params"] == {"n": {"value": 1, "description": None, "schema": {}}}
    assert (detail["response_received"], detail["task_instance"]["task_id"]) == (False, "make")

    answer = await http.patch(DETAIL, json={"chosen_options": ["yes"], "params_input": {"n": 2}})
    assert answer.status_code == 200
    user = {"id": "anonymous", "name": "anonymous"}
    assert (answer.json()["chosen_options"], answer.json()["responded_by"]) == (["yes"], user)
    detail = (await http.get(DETAIL)).json()
    assert (detail["response_received"], detail["responded_by_user"], detail["params_input"]) == (True, user, {"n": 2})

    again = await http.patch(DETAIL, json={"chosen_options": ["no"]})
    assert again.status_code == 409
    assert again.json()["detail"].startswith(
        "Human-in-the-loop detail has already been updated for Task Instance with id ti-r"
    )


@pytest.mark.parametrize(
    ("body", "status", "sentence"),
    [
        ({"chosen_options": ["maybe"]}, 400, "Invalid options ['maybe']; allowed options are ['no', 'yes']."),
        ({"chosen_options": ["yes", "no"]}, 400, "accepts only a single option"),
        ({"chosen_options": []}, 422, "at least 1 item"),
        ({"chosen_options": [1]}, 422, "valid string"),
        ({"chosen_options": "yes"}, 422, "valid list"),
        ({}, 422, "Field required"),
        ({"chosen_options": ["yes"], "params_input": [1]}, 422, "valid mapping"),
    ],
)
async def test_answers_that_do_not_fit(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator, body: dict[str, Any], status: int, sentence: str
) -> None:
    await ask(coordinator)
    answer = await http.patch(DETAIL, json=body)
    assert (answer.status_code, sentence in answer.text) == (status, True), answer.text


async def test_what_is_not_there(http: httpx.AsyncClient) -> None:
    for path, sentence in (
        (DETAIL, "Human-in-the-loop detail does not exist for Task Instance with id "),
        (f"{RUN}/taskInstances/nobody/-1/hitlDetails", "task_id: `nobody` and map_index: `-1` was not found"),
        (DETAIL.replace("/r/", "/x/"), "run_id: `x` was not found"),
    ):
        for answer in (await http.get(path), await http.patch(path, json={"chosen_options": ["yes"]})):
            assert (answer.status_code, sentence in answer.json()["detail"]) == (404, True), answer.text
    assert (await http.get(DETAIL.replace("-1", "x"))).status_code == 422
    assert (await http.get(f"{DETAIL}/tries/1")).status_code == 404


async def test_lists(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    await ask(coordinator)
    await ask(coordinator, "r2", subject="Really?", body=None)
    await http.patch(DETAIL.replace("/r/", "/r2/"), json={"chosen_options": ["no"]})

    async def subjects(query: str = "", path: str = "/api/v2/dags/~/dagRuns/~/hitlDetails") -> list[str]:
        answer = (await http.get(f"{path}?{query}")).json()
        assert answer["total_entries"] >= len(answer["hitl_details"])
        return [one["subject"] for one in answer["hitl_details"]]

    assert await subjects("order_by=created_at") == ["Ship it?", "Really?"]
    assert await subjects("order_by=-subject&limit=1") == ["Ship it?"]
    assert await subjects(path=f"{RUN}/hitlDetails") == ["Ship it?"]
    assert await subjects(path="/api/v2/dags/other/dagRuns/~/hitlDetails") == []
    assert await subjects("response_received=false") == ["Ship it?"]
    assert await subjects("responded_by_user_id=anonymous") == ["Really?"]
    assert await subjects("subject_search=ship") == ["Ship it?"]
    assert await subjects("body_search=now") == ["Ship it?"]
    assert await subjects("task_id=after") == []
    assert await subjects("state=success") == []
    assert await subjects("state=running&dag_id_pattern=simp&order_by=run_id") == ["Ship it?", "Really?"]


class Named(AllowAll):
    is_open = False

    """Everybody is who the header says."""

    async def check(self, permission: Permission, request: Request) -> Caller:
        name = request.headers.get("x-name", "")
        return Caller(name, name)

    async def may_answer(self, caller: Caller, assigned: Collection[str]) -> bool:
        return not caller.id or caller.id in assigned


async def test_only_assigned_users_answer(coordinator: ScriptedCoordinator, settings: ServerSettings) -> None:
    await ask(coordinator, assigned_users=[{"id": "ann", "name": "Ann"}])
    transport = httpx.ASGITransport(create_app(coordinator, settings, Named()))
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8274") as http:
        body = {"chosen_options": ["yes"]}
        refused = await http.patch(DETAIL, json=body, headers={"x-name": "bea"})
        assert (refused.status_code, refused.json()["detail"]) == (
            403,
            "User=bea (id=bea) is not a respondent for the task.",
        )
        answer = await http.patch(DETAIL, json=body, headers={"x-name": "ann"})
        assert (answer.status_code, answer.json()["responded_by"]["id"]) == (200, "ann")
