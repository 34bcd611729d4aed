"""Variables and Connections over /api/v2: Airflow's words, and nothing secret shown."""

import json
from typing import Any

import httpx
import pytest

from .scripted import ScriptedCoordinator

pytestmark = pytest.mark.anyio

VARIABLES = "/api/v2/variables"
CONNECTIONS = "/api/v2/connections"


def variable(key: str, value: str | None, description: str | None = None) -> dict[str, Any]:
    return {"key": key, "value": value, "description": description, "is_encrypted": False, "team_name": None}


async def test_life_of_a_variable(http: httpx.AsyncClient) -> None:
    made = await http.post(VARIABLES, json={"key": "a/b", "value": "text", "description": "d"})
    assert (made.status_code, made.json()) == (201, variable("a/b", "text", "d"))
    again = await http.post(VARIABLES, json={"key": "a/b", "value": "text"})
    assert (again.status_code, again.json()) == (409, {"detail": "The Variable with key: `a/b` already exists"})
    changed = await http.patch(f"{VARIABLES}/a/b", json={"key": "a/b", "value": {"n": [1, None]}})
    assert (changed.status_code, changed.json()) == (200, variable("a/b", '{"n": [1, null]}', "d"))
    body = {"key": "a/b", "value": "new", "description": "new"}
    masked = await http.patch(f"{VARIABLES}/a/b?update_mask=description", json=body)
    assert masked.json() == variable("a/b", '{"n": [1, null]}', "new")
    assert (await http.get(f"{VARIABLES}/a/b")).json() == masked.json()
    other = await http.patch(f"{VARIABLES}/a/b", json={"key": "c", "value": 1})
    assert (other.status_code, other.json()["detail"]) == (
        400,
        "Invalid body, key from request body doesn't match uri parameter",
    )
    assert (await http.delete(f"{VARIABLES}/a/b")).status_code == 204
    for method in ("GET", "DELETE"):
        gone = await http.request(method, f"{VARIABLES}/a/b")
        assert (gone.status_code, gone.json()) == (404, {"detail": "The Variable with key: `a/b` was not found"})
    gone = await http.patch(f"{VARIABLES}/a/b", json={"key": "a/b", "value": 1})
    assert gone.status_code == 404


async def test_variables_are_listed_and_their_secrets_hidden(http: httpx.AsyncClient) -> None:
    values = {
        "b_password": "hunter2",
        "a": json.dumps({"user": "me", "password": ["hunter2", 5], "deep": {"Client_Secret": {"x": "hunter2"}}}),
        "c_secret": "5",
        "d": '"quoted"',
    }
    for key, value in values.items():
        assert (await http.post(VARIABLES, json={"key": key, "value": value})).status_code == 201
    listed = await http.get(VARIABLES)
    assert "hunter2" not in listed.text
    assert {one["key"]: one["value"] for one in listed.json()["variables"]} == {
        "b_password": "***",
        "a": '{"user": "me", "password": ["***", 5], "deep": {"Client_Secret": {"x": "***"}}}',
        "c_secret": "5",
        "d": '"quoted"',
    }
    page = await http.get(VARIABLES, params={"order_by": "-key", "limit": 1, "variable_key_pattern": "_"})
    assert [one["key"] for one in page.json()["variables"]] == ["d"]
    assert page.json()["total_entries"] == 4


@pytest.mark.parametrize(
    ("body", "place", "kind"),
    [
        ({"value": 1}, "key", "missing"),
        ({"key": "k"}, "value", "missing"),
        ({"key": 5, "value": 1}, "key", "string_type"),
        ({"key": "k" * 251, "value": 1}, "key", "string_too_long"),
        ({"key": "k", "value": 1, "team_name": "t"}, "team_name", "value_error"),
        ({"key": "k", "value": 1, "other": 1}, "other", "extra_forbidden"),
    ],
)
async def test_a_wrong_variable_is_refused(
    http: httpx.AsyncClient, body: dict[str, Any], place: str, kind: str
) -> None:
    answer = await http.post(VARIABLES, json=body)
    assert answer.status_code == 422
    assert (answer.json()["detail"][0]["loc"], answer.json()["detail"][0]["type"]) == (["body", place], kind)


async def test_life_of_a_connection(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    body = {
        "connection_id": "db",
        "conn_type": "postgres",
        "host": "h",
        "port": 5432,
        "password": "hunter2",
        "extra": '{"sslmode": "require", "client_secret": "hunter3"}',
    }
    made = await http.post(CONNECTIONS, json=body)
    shown = {
        **body,
        "description": None,
        "login": None,
        "schema": None,
        "password": "***",
        "extra": '{"sslmode": "require", "client_secret": "***"}',
        "team_name": None,
    }
    assert (made.status_code, made.json()) == (201, shown)
    again = await http.post(CONNECTIONS, json=body)
    assert (again.status_code, again.json()["detail"]["reason"]) == (409, "Unique constraint violation")
    # What was shown is sent back: what was hidden stays.
    sent = {**shown, "host": "other"}
    changed = await http.patch(f"{CONNECTIONS}/db", json=sent)
    assert (changed.status_code, changed.json()) == (200, sent)
    kept = await coordinator.kept.connections.get("db")
    assert kept is not None
    assert (kept.host, kept.password, json.loads(kept.extra or "")["client_secret"]) == ("other", "hunter2", "hunter3")
    masked = await http.patch(f"{CONNECTIONS}/db?update_mask=port", json={**body, "port": 1, "host": "third"})
    assert (masked.json()["port"], masked.json()["host"]) == (1, "other")
    listed = (await http.get(CONNECTIONS, params={"connection_id_pattern": "D"})).json()
    assert [one["connection_id"] for one in listed["connections"]] == ["db"]
    assert listed["total_entries"] == 1
    assert (await http.get(f"{CONNECTIONS}/db")).json() == masked.json()
    wrong = await http.patch(f"{CONNECTIONS}/db", json={**body, "connection_id": "x"})
    assert wrong.status_code == 400
    assert (await http.delete(f"{CONNECTIONS}/db")).status_code == 204
    for method in ("GET", "DELETE"):
        gone = await http.request(method, f"{CONNECTIONS}/db")
        assert (gone.status_code, gone.json()["detail"]) == (
            404,
            "The Connection with connection_id: `db` was not found",
        )


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"conn_type": "x"}, "connection_id"),
        ({"connection_id": "a b", "conn_type": "x"}, "connection_id"),
        ({"connection_id": "a"}, "conn_type"),
        ({"connection_id": "a", "conn_type": "x", "port": "one"}, "port"),
        ({"connection_id": "a", "conn_type": "x", "extra": "hunter2"}, "extra"),
        ({"connection_id": "a", "conn_type": "x", "extra": "[1]"}, "extra"),
    ],
)
async def test_a_wrong_connection_is_refused(http: httpx.AsyncClient, body: dict[str, Any], place: str) -> None:
    answer = await http.post(CONNECTIONS, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", place]
    assert "hunter2" not in answer.text
