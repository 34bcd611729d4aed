"""The **Call** view in a real Airflow, whose users are those of the dagcall server too (`auth = airflow`)."""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..examples.test_explain_python import BROWSER, CHROMIUM
from ..serving import Server, eventually
from .conftest import Airflow, Beside

PICTURES = Path(__file__).parents[3] / ".cache" / "screenshots"
JSON = {"Content-Type": "application/json"}


@contextmanager
def told_where(airflow: Airflow, url: str) -> Iterator[None]:
    """Airflow is told in its `airflow.cfg`, which it has open already, where the server is."""
    path = Path(airflow.home) / "airflow.cfg"
    before = path.read_text()
    assert before.count("\n[dagcall]\n") == 1, "Airflow has written the provider's section into the file"
    others = "".join(line for line in before.splitlines(keepends=True) if not line.startswith("url = http://127"))
    path.write_text(others.replace("\n[dagcall]\n", f"\n[dagcall]\nurl = {url}\n"))
    try:
        yield
    finally:
        path.write_text(before)


@pytest.fixture(scope="module")
def server(airflow: Airflow, beside_module: Beside) -> Iterator[Server]:
    started = beside_module(environment={"AIRFLOW__DAGCALL__AUTH": "airflow"})
    with told_where(airflow, started.url):
        yield started


def events_of(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines()]


def test_a_user_calls_as_airflow_lets_them(airflow: Airflow, server: Server) -> None:
    assert server.call("greeting", name="Ada").status_code == 401, "the server asks for a token: it is the user's own"
    path = "/dagcall/api/dags/greeting"
    with airflow.http("ursula") as http:
        # The server may still be starting what asks Airflow who somebody is: 503 with Retry-After.
        eventually(lambda: http.get(path).status_code == 200, 60, "the first answer")
        assert http.get(path).json()["params_schema"]["properties"]["name"]["default"] == "world"
        assert "greeting" in [one["dag_id"] for one in http.get("/dagcall/api/dags").json()["dags"]]
        events = events_of(http.post(f"{path}/runs", json={"name": "Ada"}))
        assert [one["event"] for one in events][:1] + [one["event"] for one in events][-2:] == [
            "accepted",
            "result",
            "end",
        ]
        assert events[-2]["data"] == {"value": "Hello, Ada!"}
        run = f"{path}/runs/{events[0]['run_id']}"
        again = http.get(f"{run}/events", headers={"Last-Event-ID": str(events[-3]["id"])})
        assert events_of(again) == events[-2:]
        assert http.delete(run, headers=JSON).status_code == 200, "it had ended already"
        refused = http.post(f"{path}/runs", json={"name": 5})
        assert (refused.status_code, refused.json()["errors"][0]["field"]) == (422, "name")
        assert http.get("/dagcall/api/dags/nobody").status_code in (403, 404)
    with airflow.http("victor") as http:
        assert http.get(path).status_code == 200
        assert http.get(f"{run}/events").status_code == 200
        assert http.post(f"{path}/runs", json={"name": "Ada"}).status_code == 403
        assert http.delete(run, headers=JSON).status_code == 403


def test_nobody_else_gets_anything(airflow: Airflow, server: Server) -> None:
    cookie = {"Cookie": f"_token={airflow.token('ursula')}"}
    dags = "/dagcall/api/dags"
    paths = ("", "/greeting", "/greeting/runs/x/events", "/greeting/runs/x/value", "/greeting/runs/x/value/greet")
    with httpx.Client(base_url=airflow.url, timeout=60) as http:
        for path in paths:
            assert http.get(f"{dags}{path}").status_code == 401, path
        assert http.post(f"{dags}/greeting/runs", json={}).status_code == 401
        assert http.delete(f"{dags}/greeting/runs/x", headers=JSON).status_code == 401
        # What a page of another site can make a browser send with the user's cookie.
        form = {**cookie, "Content-Type": "text/plain"}
        assert http.post(f"{dags}/greeting/runs", content=b"{}", headers=form).status_code == 415
        elsewhere = {**cookie, **JSON, "Sec-Fetch-Site": "cross-site"}
        assert http.post(f"{dags}/greeting/runs", content=b"{}", headers=elsewhere).status_code == 403
        assert http.delete(f"{dags}/greeting/runs/x", headers=elsewhere).status_code == 403
        own = {**cookie, **JSON, "Sec-Fetch-Site": "same-origin"}
        assert http.post(f"{dags}/greeting/runs", content=b"{}", headers=own).status_code == 200


def test_what_a_dag_makes_is_no_page_of_airflow(airflow: Airflow, server: Server) -> None:
    with airflow.http("ursula") as http:
        page = http.get("/dagcall/view/greeting").headers
        assert "script-src 'self'" in page["Content-Security-Policy"]
        events = events_of(http.post("/dagcall/api/dags/greeting/runs", json={}))
        value = http.get(f"/dagcall/api/dags/greeting/runs/{events[0]['run_id']}/value")
    assert value.headers["Content-Disposition"] == "attachment"
    assert value.headers["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in value.headers["Content-Security-Policy"]


def browse(airflow: Airflow, what: str) -> dict[str, Any]:
    PICTURES.mkdir(parents=True, exist_ok=True)
    user = ("ursula", airflow.passwords["ursula"])
    picture = PICTURES / f"call-view-{what}.png"
    command = ["node", str(BROWSER / "call_view.mjs"), str(CHROMIUM), airflow.url, *user, str(picture), what]
    libraries = {"LD_LIBRARY_PATH": str(CHROMIUM.parent / "al2023" / "lib")}
    used = subprocess.run(command, env=os.environ | libraries, capture_output=True, text=True, timeout=110, check=False)
    assert used.returncode == 0, used.stderr
    seen: dict[str, Any] = json.loads(used.stdout)
    return seen


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no browser: `make browser`, which needs node and npm")
def test_a_person_calls_a_dag_on_its_page(airflow: Airflow, server: Server) -> None:
    seen = browse(airflow, "call")
    assert seen["complaints"] == [], "neither errors nor breaches of the content security policy"
    assert seen["status"].startswith("Answered in ")
    assert seen["answer"] == "Hello, <b>Ada</b>!", "as text"
    assert seen["tasks"].startswith("greet")
    assert seen["unlabelled"] == []
    assert seen["failed"].startswith("Run failed after ")
    assert "over a stone" in seen["failure"]
    assert seen["again"] == seen["failure"]
    assert seen["light"][0] == "light" != seen["dark"][0]
    assert seen["light"][1] != seen["dark"][1]
    assert seen["listed"]
    assert "/dags/greeting/runs/" in seen["grid"]


@pytest.mark.skipif(not CHROMIUM.exists(), reason="no browser: `make browser`, which needs node and npm")
def test_without_a_server_that_answers_the_page_says_so(airflow: Airflow, beside: Beside) -> None:
    gone = beside(environment={"AIRFLOW__DAGCALL__AUTH": "token"})
    with told_where(airflow, gone.url), airflow.http("ursula") as http:

        def tells(status: int) -> httpx.Response | None:
            answer = http.get("/dagcall/api/dags")
            return answer if answer.status_code == status and gone.url in answer.text else None

        stranger = eventually(lambda: tells(502), 30, "the api-server's look at its configuration")
        assert "does not take Airflow's tokens" in stranger.text
        assert http.post("/dagcall/api/dags/greeting/runs", json={}).status_code == 502
        gone.stop()
        assert tells(503)
        seen = browse(airflow, "away")
    assert f"No dagcall server answers at {gone.url}" in seen["alarm"]
    assert seen["canTryAgain"]
