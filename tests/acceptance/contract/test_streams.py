"""Events of a run as they happen. The docstrings are the promises."""

import json
import socket
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..serving import Server, eventually

NDJSON = {"Accept": "application/x-ndjson"}
SSE = {"Accept": "text/event-stream"}


def lines(answer: httpx.Response) -> list[dict[str, Any]]:
    return [json.loads(line) for line in answer.text.splitlines() if line.strip()]


def blocks(answer: httpx.Response) -> list[dict[str, str]]:
    """Of an event stream, as a browser takes it apart; comments are left out."""
    found = []
    for block in answer.text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(":"))
        if fields:
            found.append(fields)
    return found


def test_on_the_post(shared: Server) -> None:
    """accepted, task, chunk, rollback, result, end; ids 1, 2, 3, ...; `end` is the last event. A line is
    {"id", "event", "run_id", "time", "data"}."""
    answer = shared.http.post("/call/speaks", json={}, headers=NDJSON)
    events = lines(answer)
    assert answer.headers["Content-Type"] == "application/x-ndjson"
    assert [one["id"] for one in events] == list(range(1, len(events) + 1))
    assert all(list(one) == ["id", "event", "run_id", "time", "data"] for one in events)
    assert {one["run_id"] for one in events} == {answer.headers["Dagcall-Run-Id"]}
    kinds = [one["event"] for one in events]
    assert (kinds[0], kinds[-2:]) == ("accepted", ["result", "end"])
    told = [(one["event"], one["data"]) for one in events if one["event"] in ("chunk", "rollback")]
    tries = [{"task_id": "words", "map_index": -1, "try_number": number} for number in (1, 2)]
    assert told == [
        ("chunk", {**tries[0], "value": "once"}),
        ("chunk", {**tries[0], "value": "upon"}),
        ("rollback", tries[0]),
        ("chunk", {**tries[1], "value": "once"}),
        ("chunk", {**tries[1], "value": "upon"}),
    ]
    assert events[-2]["data"] == {"value": "the end"}
    assert events[-1]["data"] == {"state": "success"}


def test_sse_carries_the_same(shared: Server) -> None:
    """As `id:`, `event:`, `data:`; on the POST, the attach and `/events`. Proxies are told not to hold it back."""
    posted = shared.http.post("/call/speaks", json={}, headers=SSE)
    path = posted.headers["Location"]
    events = lines(shared.http.get(f"{path}/events", headers=NDJSON))
    for answer in (posted, shared.http.get(path, headers=SSE), shared.http.get(f"{path}/events", headers=SSE)):
        assert answer.headers["Content-Type"].partition(";")[0] == "text/event-stream"
        assert answer.headers["X-Accel-Buffering"] == "no"
        assert "no-store" in answer.headers["Cache-Control"]
        assert "Content-Length" not in answer.headers
        told = blocks(answer)
        assert [(one["id"], one["event"]) for one in told] == [(str(one["id"]), one["event"]) for one in events]
        assert [json.loads(one["data"]) for one in told] == events


def test_a_failure(shared: Server) -> None:
    """`failure` the moment it is certain, with what the problem document says; one outcome a run."""
    events = lines(shared.http.post("/call/chain_of_causes", json={}, headers=NDJSON))
    (failed,) = [one for one in events if one["event"] in ("result", "failure")]
    assert failed["data"]["type"].endswith("/run-failed")
    assert (failed["data"]["failed_task"], failed["data"]["map_index"]) == ("each", 1)
    assert [link["task_id"] for link in failed["data"]["cause"]] == ["each", "between", "last"]
    assert events[-1]["data"] == {"state": "failed"}


def test_the_result_comes_at_once_and_the_end_with_the_end(shared: Server, tmp_path: Path) -> None:
    """The stream stays open until `end`: the whole run, cleanup included."""
    file = tmp_path / "go"
    with shared.http.stream("POST", "/call/a_teardown_follows", json={"file": str(file)}, headers=NDJSON) as answer:
        kinds = []
        for line in answer.iter_lines():
            if line.strip():
                kinds.append(json.loads(line)["event"])
            if kinds[-1:] == ["result"] and not file.exists():
                assert shared.run_state(answer.headers["Location"]) == "running"
                file.touch()
    assert kinds.index("result") < kinds.index("end") == len(kinds) - 1


def test_until_outcome(shared: Server, tmp_path: Path) -> None:
    """`?until=outcome` closes it after the outcome, the teardown still running; a reconnect then gets 204."""
    file = tmp_path / "go"
    answer = shared.http.post("/call/a_teardown_follows?until=outcome", json={"file": str(file)}, headers=NDJSON)
    path, events = answer.headers["Location"], lines(answer)
    assert events[-1]["event"] == "result"
    assert shared.run_state(path) == "running"
    again = {**NDJSON, "Last-Event-ID": str(events[-1]["id"])}
    assert shared.http.get(f"{path}/events?until=outcome", headers=again).status_code == 204
    file.touch()
    eventually(lambda: shared.run_state(path) == "success")


def test_resume_after_any_event(shared: Server) -> None:
    """After `Last-Event-ID`, each event once; a reconnect after `end` gets 204."""
    path = shared.http.post("/call/speaks", json={}).headers["Location"]
    events = lines(shared.http.get(f"{path}/events"))
    assert events[-1]["event"] == "end"
    for event in events:
        last = {"Last-Event-ID": str(event["id"])}
        for address, headers in ((f"{path}/events", {}), (path, NDJSON)):
            answer = shared.http.get(address, headers=last | headers)
            if event["event"] == "end":
                assert (answer.status_code, answer.content) == (204, b"")
            else:
                assert lines(answer) == events[event["id"] :]


def test_a_post_is_resumed_under_its_key_only(shared: Server) -> None:
    """With a key the POST goes on with the same run; without one it would start another: 400, and what to do."""
    headers = {**NDJSON, "Idempotency-Key": "stream-1"}
    events = lines(shared.http.post("/call/speaks", json={}, headers=headers))
    answer = shared.http.post("/call/speaks", json={}, headers=headers | {"Last-Event-ID": "3"})
    assert lines(answer) == events[3:]
    refused = shared.http.post("/call/speaks", json={}, headers=NDJSON | {"Last-Event-ID": "3"})
    assert (refused.status_code, refused.headers["Content-Type"]) == (400, "application/problem+json")
    assert "Idempotency-Key" in refused.json()["detail"]


@pytest.mark.parametrize("last", ["x", "-1", "1.5"])
def test_an_id_that_is_none(shared: Server, last: str) -> None:
    path = shared.http.post("/call/speaks", json={}).headers["Location"]
    assert shared.http.get(f"{path}/events", headers={"Last-Event-ID": last}).status_code == 400


def test_many_readers_see_the_same_and_stalled_ones_stop_nobody(shared: Server, tmp_path: Path) -> None:
    """Readers that never read slow neither the run nor the others."""
    file = tmp_path / "go"
    path = shared.start("emits", n=2_000, file=str(file))
    stalled = []
    try:
        for _ in range(10):
            one = socket.create_connection(("127.0.0.1", shared.port))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            one.sendall(f"GET {path}/events HTTP/1.1\r\nHost: localhost:{shared.port}\r\n\r\n".encode())
            stalled.append(one)
        file.touch()
        told = [shared.http.get(f"{path}/events").content for _ in range(20)]
        assert len(set(told)) == 1
        chunks = [json.loads(line) for line in told[0].splitlines() if b'"chunk"' in line]
        assert [one["data"]["value"] for one in chunks] == list(range(2_000))
        assert b'"end"' in told[0]
    finally:
        for one in stalled:
            one.close()
