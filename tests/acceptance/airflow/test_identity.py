"""One user, one token: at Airflow and at dagcall beside it."""

from collections.abc import Callable

import httpx
import pytest

from ..serving import Server, eventually
from .conftest import Airflow


@pytest.fixture(scope="module")
def guarded(beside_module: Callable[..., Server]) -> Server:
    return beside_module(environment={"AIRFLOW__DAGCALL__AUTH": "airflow", "AIRFLOW__DAGCALL__AUTH_CACHE": "0.2"})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_who_logs_in_at_airflow_calls_here(airflow: Airflow, guarded: Server) -> None:
    asked = {"json": {"name": "Ada"}, "params": {"wait": "60"}}
    assert guarded.http.post("/call/greeting", **asked).status_code == 401
    refused = guarded.http.post("/call/greeting", **asked, headers=bearer(airflow.token("victor")))
    assert refused.status_code == 403
    assert "'victor'" in refused.json()["detail"]
    assert "'greeting'" in refused.json()["detail"]
    answer = guarded.http.post("/call/greeting", **asked, headers=bearer(airflow.token("ursula")))
    assert (answer.status_code, answer.json()) == (200, "Hello, Ada!")
    run = f"/api/v2/dags/greeting/dagRuns/{answer.headers['dagcall-run-id']}"
    seen = guarded.http.get(run, headers=bearer(airflow.token("victor")))  # who may read
    assert seen.json()["triggering_user_name"] == "ursula"


def test_who_logs_in_here_is_known_at_airflow_and_who_logs_out_there_is_not_known_here(
    airflow: Airflow, guarded: Server
) -> None:
    login = {"username": "olga", "password": airflow.passwords["olga"]}
    token = guarded.http.post("/auth/token", json=login).json()["access_token"]
    with httpx.Client(base_url=airflow.url, headers=bearer(token), timeout=60) as http:
        assert http.get("/api/v2/dags").status_code == 200
        assert guarded.http.get("/call", headers=bearer(token)).status_code == 200
        assert http.get("/api/v2/auth/logout").status_code == 307
    eventually(lambda: guarded.http.get("/call", headers=bearer(token)).status_code == 401, 30, "the end of the token")
    assert guarded.http.get("/api/v2/dags", headers=bearer(token)).status_code == 403  # as at Airflow
