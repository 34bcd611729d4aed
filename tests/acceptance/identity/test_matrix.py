"""Every route of both surfaces, by every user: who may, may; who may not, learns nothing."""

import json

import pytest

from ..serving import Server
from .airflow_users import ROLES, bearer
from .routes import TABLE, ask, name_of

OPEN = {
    "GET /",
    "GET /docs",
    "GET /openapi.json",
    "GET /health/live",
    "GET /health/ready",
    "GET /api/v2/version",
    "GET /api/v2/monitor/health",
}
_RUN = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"
_INSTANCE = _RUN + "/taskInstances/{task_id}"
USERS = {
    "POST /call/{dag_id}",
    "DELETE /call/{dag_id}/{run_id}",
    "PATCH /api/v2/dags/{dag_id}",
    "POST /api/v2/dags/{dag_id}/dagRuns",
    f"PATCH {_RUN}",
    f"DELETE {_RUN}",
    f"PATCH {_INSTANCE}",
    f"PATCH {_INSTANCE}/{{map_index}}",
    f"PATCH {_INSTANCE}/{{map_index}}/hitlDetails",
}
"""Who calls DAGs. Everything that is not here or below is for viewers."""
OPERATORS = {
    "POST /api/v2/pools",
    "PATCH /api/v2/pools/{pool_name}",
    "DELETE /api/v2/pools/{pool_name}",
    "GET /api/v2/variables",
    "POST /api/v2/variables",
    "GET /api/v2/variables/{variable_key}",
    "PATCH /api/v2/variables/{variable_key}",
    "DELETE /api/v2/variables/{variable_key}",
    "GET /api/v2/connections",
    "POST /api/v2/connections",
    "GET /api/v2/connections/{connection_id}",
    "PATCH /api/v2/connections/{connection_id}",
    "DELETE /api/v2/connections/{connection_id}",
    "POST /api/v2/assets/events",
    "POST /api/v2/assets/{asset_id}/materialize",
    "DELETE /api/v2/assets/{asset_id}/queuedEvents",
    "DELETE /api/v2/dags/{dag_id}/assets/queuedEvents",
    "DELETE /api/v2/dags/{dag_id}/assets/{asset_id}/queuedEvents",
}
_ORDER = ("viewer", "user", "op", "admin")


def least(name: str) -> str:
    return "user" if name in USERS else "op" if name in OPERATORS else "viewer"


def test_the_tables_have_no_route_that_is_not_there() -> None:
    assert {name_of(route) for route in TABLE} >= OPEN | USERS | OPERATORS
    changing = {name_of(route) for route in TABLE if route.method not in ("GET", "HEAD")}
    assert changing <= USERS | OPERATORS, "who may change something is said here, route by route"


@pytest.mark.parametrize("route", TABLE, ids=name_of)
def test_each_route_by_each_user(guarded: Server, route) -> None:
    http, name = guarded.http, name_of(route)
    nobody = ask(http, route, {}, {"dag_id": "common"})
    if name in OPEN:
        assert nobody.status_code in (200, 307)
        return
    assert nobody.status_code == 401, nobody.text
    assert nobody.headers["www-authenticate"] == "Bearer"
    for user, role in ROLES.items():
        answer = ask(http, route, bearer(user), {"dag_id": "common"})
        if _ORDER.index(role) >= _ORDER.index(least(name)) or (user == "una" and name in HERS):
            assert answer.status_code not in (401, 403), f"{user}: {answer.text}"
            assert answer.status_code < 500 or answer.status_code == 501, f"{user}: {answer.text}"
        else:
            assert answer.status_code == 403, f"{user}: {answer.status_code} {answer.text}"
            if route.method != "HEAD":
                told = json.dumps(answer.json())
                assert route.permission.value in told
                assert "dag_id" not in route.path_parameters or "common" in told
    if "dag_id" in route.path_parameters:
        for there in ("vaults", "no_such_dag"):
            stranger = ask(http, route, bearer("una"), {"dag_id": there})
            assert stranger.status_code == 403, stranger.text  # whether there is such a DAG or not
            assert "says" not in stranger.text


HERS = {name for name in OPERATORS if "/variables" in name or "/connections" in name} - {
    f"{method} /api/v2/{kind}/{{{key}}}"
    for method in ("GET", "PATCH", "DELETE")
    for kind, key in (("variables", "variable_key"), ("connections", "connection_id"))
}
"""Where una's auth manager gives her more than a user has, see `managers/per_dag.py`."""


OF_ALL = ("/metrics",)
"""What tells of the server as a whole; who may see it is told the ids of all DAGs."""


@pytest.mark.parametrize("route", [one for one in TABLE if one.method == "GET" and one.path not in OF_ALL], ids=name_of)
def test_what_una_may_not_see_is_in_no_list(guarded: Server, route) -> None:
    names = dict.fromkeys(("dag_id", "run_id", "dag_run_id", "task_id"), "~")
    answer = ask(guarded.http, route, bearer("una"), names)
    assert "vaults" not in answer.text
    everything = ask(guarded.http, route, bearer("ada"), names)
    if "vaults" in everything.text:
        assert answer.status_code == everything.status_code == 200
        if "json" in answer.headers.get("content-type", "") and "total_entries" in answer.json():
            shown = answer.json()
            [entries] = [one for one in shown.values() if isinstance(one, list)]
            assert len(entries) == shown["total_entries"]
            if route.path != "/api/v2/assets":  # assets are nobody's; the DAGs in them are not shown
                assert len(entries) < everything.json()["total_entries"]


def test_pages_of_a_filtered_list_are_whole(guarded: Server) -> None:
    found = []
    for offset in range(0, 100, 2):
        query = {"limit": 2, "offset": offset, "order_by": "dag_id"}
        page = guarded.http.get("/api/v2/dags/~/dagRuns", params=query, headers=bearer("una")).json()
        found += [(run["dag_id"], run["dag_run_id"]) for run in page["dag_runs"]]
        if offset + 2 >= page["total_entries"]:
            break
    assert len(found) == len(set(found)) == page["total_entries"]
    assert {dag_id for dag_id, _ in found} == {"common", "una_own"}


def test_equal_keys_of_two_users_are_two_runs(guarded: Server) -> None:
    def run(user: str) -> str:
        headers = bearer(user) | {"Idempotency-Key": "order-17"}
        answer = guarded.http.post("/call/common", json={}, headers=headers, params={"wait": "60"})
        assert answer.status_code == 200, answer.text
        return answer.headers["dagcall-run-id"]

    assert run("uli") == run("uli") != run("ada")


def test_the_audit_log_tells_who_did_what(guarded: Server) -> None:
    guarded.http.post("/call/vaults", json={"say": "a param"}, headers=bearer("una"))
    asked = {"wait": "60", "run_id": "audited"}
    guarded.http.post("/call/common", json={"say": "a param"}, headers=bearer("uli"), params=asked)
    text = guarded.messages.read_text()
    lines = [json.loads(line.partition(": ")[2]) for line in text.splitlines() if "dagcall.audit: " in line]
    called = [one for one in lines if one.get("run_id") == "audited" and one["method"] == "POST"]
    assert [(one["audit"], one["user"], one["action"], one["dag_id"], one["status"]) for one in called] == [
        ("allowed", "uli", "dag:call", "common", 200)
    ]
    refused = [one for one in lines if one["audit"] == "refused" and one.get("dag_id") == "vaults"]
    assert refused
    assert any("una" in one["reason"] and one["action"] == "dag:call" for one in refused)
    assert "a param" not in "".join(map(json.dumps, lines))
