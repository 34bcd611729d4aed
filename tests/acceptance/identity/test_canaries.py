"""Secrets that are planted wherever a deployment has them are in nothing that anybody reads."""

import re
import signal
from pathlib import Path

import pytest

from ..serving import Server, eventually
from .airflow_users import CANARIES, IN_ENVIRONMENT, KEPT, bearer
from .routes import TABLE, ask


@pytest.fixture(scope="module")
def told(guarded: Server) -> dict[str, str]:
    """All that the server tells an administrator, by where it does."""
    http, ada = guarded.http, bearer("ada")
    vault, secret = KEPT
    connection = {"connection_id": vault, "conn_type": "http", "host": "vault.example", "password": KEPT[vault]}
    variable = {"key": secret, "value": KEPT[secret]}
    found = {}
    for path, body in (("/api/v2/connections", connection), ("/api/v2/variables", variable)):
        answer = http.post(path, json=body, headers=ada)
        assert answer.status_code == 201, answer.text
        found[f"POST {path}"] = answer.text
    for fails in (False, True):
        run_id = f"leaks-{fails}"
        asked = {"run_id": run_id, "wait": "60"}
        answer = http.post("/call/leaks", params=asked, json={"fail": fails}, headers=ada)
        assert answer.status_code == (500 if fails else 200), answer.text
        found[f"call {run_id}"] = answer.text
        names = {"dag_id": "leaks", "run_id": run_id, "dag_run_id": run_id}
        eventually(
            lambda run_id=run_id: (
                http.get(f"/api/v2/dags/leaks/dagRuns/{run_id}", headers=ada).json()["state"] != "running"
            )
        )
        for task_id in ("tell", "fail"):
            for route in TABLE:
                if route.method == "GET":
                    of = names | {"task_id": task_id, "variable_key": secret, "connection_id": vault}
                    found[f"{run_id} {task_id} {route.path}"] = ask(http, route, ada, of).text
    found["forged"] = http.get("/call", headers={"Authorization": "Bearer x.y.z"}).text
    found["no body"] = http.post("/call/leaks", content=b"{", headers=ada | {"Content-Type": "application/json"}).text
    guarded.process.send_signal(signal.SIGUSR1)  # tell what the server is doing
    eventually(lambda: "leaks" in guarded.messages.read_text(), what="the state dump")
    found["messages"] = guarded.messages.read_text()
    logs = list(Path(guarded.home, "logs").rglob("*.log"))
    assert logs
    found |= {str(log): log.read_text(errors="replace") for log in logs}
    return found


@pytest.mark.parametrize("canary", CANARIES)
def test_no_canary_is_anywhere(told: dict[str, str], canary: str) -> None:
    assert [where for where, text in told.items() if canary in text] == []


def test_no_token_is_told_to_the_log(told: dict[str, str]) -> None:
    assert re.findall(r"eyJ[\w-]{10,}\.[\w-]{10,}", told["messages"]) == []


def test_it_was_looked_at_where_they_would_be(told: dict[str, str]) -> None:
    """Else nothing would be found whatever is told."""
    logs = "".join(text for where, text in told.items() if where.endswith(".log"))
    assert "connection ***" in logs
    assert "variable ***" in logs
    assert any("was refused" in text for text in told.values())
    assert IN_ENVIRONMENT.keys()
    assert any(where.endswith("/metrics") and "dagcall_" in text for where, text in told.items())
    assert '"audit"' in told["messages"]
