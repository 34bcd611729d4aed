"""Paths that lead elsewhere: of every route, every part that a caller chooses."""

import httpx
import pytest

from ..serving import Server
from .airflow_users import bearer
from .routes import NAMES, TABLE, name_of

CORPUS = (
    "..",
    ".",
    "%2e%2e",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "....%2f%2fetc%2fpasswd",
    "..;%2fetc%2fpasswd",
    "%252e%252e%252fetc%252fpasswd",
    "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "%ff",
    "%00",
    "..%00",
    "~root",
    "file:%2f%2f%2fetc%2fpasswd",
    "%0d%0aX-Injected:%20yes",
    "%7b%7b7*7%7d%7d",
    "'%20OR%201=1--",
    "a" * 3000,
)


@pytest.mark.parametrize("route", [one for one in TABLE if one.path_parameters], ids=name_of)
def test_no_path_leads_elsewhere(guarded: Server, route) -> None:
    headers = bearer("ada")
    for chosen in route.path_parameters:
        for wrong in CORPUS:
            values = {"dag_id": "common"} | NAMES | {"pool_name": "none-such"} | {chosen: wrong}
            if route.method == "DELETE" and chosen not in ("run_id", "dag_run_id"):
                values |= {"run_id": "none-such", "dag_run_id": "none-such"}
            path = route.openapi_path.format_map(values)
            url = httpx.URL(guarded.url).copy_with(raw_path=path.encode() + b"?interval=1" * path.endswith("/wait"))
            body = {"json": {}} if route.method in ("POST", "PATCH") else {}
            answer = guarded.http.request(route.method, url, headers=headers, **body)
            assert answer.status_code < 500 or answer.status_code == 501, f"{path}: {answer.text}"
            assert "root:" not in answer.text, path
            assert "x-injected" not in answer.headers, path
            assert answer.text.strip('"') != "49", path


@pytest.mark.parametrize("wrong", ["../../escaped", "..", "/etc/cron.d/x", "a/../../b", "x\ny", "x\0y", "\u202e"])
def test_no_run_is_called_so_that_its_log_lies_elsewhere(guarded: Server, wrong: str) -> None:
    for request in (
        lambda: guarded.http.post("/call/common", params={"run_id": wrong}, json={}, headers=bearer("ada")),
        lambda: guarded.http.post("/api/v2/dags/common/dagRuns", json={"dag_run_id": wrong}, headers=bearer("ada")),
    ):
        answer = request()
        assert answer.status_code in (400, 422), answer.text
    assert not list(guarded.home.rglob("escaped*"))
