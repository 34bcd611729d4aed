"""Requests that mean harm, over real HTTP: each is answered with what is wrong, and costs the server nothing lasting."""

import http.client
import json
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from ..serving import Server

JSON = {"Content-Type": "application/json"}
TRAVERSALS = (
    "..",
    "%2e%2e",
    "..%2f..%2f..%2f..%2f..%2f..%2fetc%2fpasswd",
    "%2fetc%2fpasswd",
    "..%5c..%5cetc%5cpasswd",
    "....//....//etc/passwd",
    "%252e%252e%252fetc%252fpasswd",
    "known%00.log",
    "known%0a",
    "known%2f..%2f..%2f..%2fjournal.db",
    "%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "%ff%fe",
    "\\..\\..",
    "~root",
    "dag_id=order",
    "x" * 5000,
)
PLACES = (
    "/call/{}",
    "/call/{}/openapi.json",
    "/call/order/{}",
    "/call/order/{}/events",
    "/call/order/{}/value",
    "/call/order/known/value/{}",
    "/api/v2/dags/{}",
    "/api/v2/dags/order/dagRuns/{}",
    "/api/v2/dags/order/dagRuns/known/taskInstances/{}",
    "/api/v2/dags/order/dagRuns/known/taskInstances/{}/logs/1",
    "/api/v2/dags/order/dagRuns/{}/taskInstances/confirm/logs/1",
    "/api/v2/dags/order/dagRuns/known/taskInstances/confirm/logs/{}",
    "/api/v2/dags/order/dagRuns/known/taskInstances/confirm/xcomEntries/{}",
    "/api/v2/variables/{}",
    "/api/v2/connections/{}",
    "/api/v2/pools/{}",
    "/api/v2/importErrors/{}",
    "/docs/{}",
    "/{}",
)


@pytest.fixture(scope="module")
def server(described: Server) -> Iterator[Server]:
    """Whatever it was asked, it has no error of its own in its messages afterwards, and answers."""
    described.http.post("/call/order", params={"run_id": "known"}, json={"customer": "x"})
    yield described
    assert not [line for line in described.messages.read_text().splitlines() if line.startswith("ERROR")]
    assert described.value("shell") == "shell"


def ask(server: Server, method: str, target: str, body: bytes | None = None, **headers: str) -> tuple[int, str, bytes]:
    """Status, media type and body; the target is sent as it is."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        connection.putrequest(method, target, skip_accept_encoding=True)
        for name, value in ({"Content-Type": "application/json"} | headers if body is not None else headers).items():
            connection.putheader(name.replace("_", "-"), value)
        if body is not None:
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Content-Type", ""), answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("place", PLACES)
def test_no_name_leads_out_of_its_place(server: Server, place: str) -> None:
    for name in TRAVERSALS:
        status, _, body = ask(server, "GET", place.format(name))
        assert status in (400, 404, 422, 501), (name, status, body[:200])
        assert b"root:" not in body
        assert b"SQLite" not in body


@pytest.mark.parametrize("name", ["..", "../x", "a/b", "/etc", "x\x00", "x\n", "", "x" * 300, "\u00e4", "openapi.json"])
def test_no_run_has_a_name_that_leads_elsewhere(server: Server, name: str) -> None:
    before = set(files(server.home))
    for answer in (
        server.http.post("/call/order", params={"run_id": name}, json={"customer": "x"}),
        server.http.post("/api/v2/dags/order/dagRuns", json={"dag_run_id": name, "logical_date": None}),
    ):
        assert answer.status_code in (400, 409, 422), answer.text
    assert set(files(server.home)) == before


def files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix != ".db" and "journal.db" not in path.name)


MALFORMED: dict[str, tuple[bytes, int]] = {
    "nothing after a brace": (b"{", 400),
    "two values": (b"{}{}", 400),
    "a comma too many": (b'{"customer":"x",}', 400),
    "NaN": (b'{"customer":"x","n":NaN}', 400),
    "Infinity": (b'{"customer":"x","n":-Infinity}', 400),
    "a float out of range": (b'{"customer":"x","n":1e999}', 400),
    "an endless integer": (b'{"customer":"x","n":%s}' % (b"9" * 10_000), 400),
    "a lone surrogate": (b'{"customer":"\\ud800"}', 400),
    "not UTF-8": (b'{"customer":"\xff\xfe"}', 400),
    "UTF-16": ('{"customer":"x"}'.encode("utf-16"), 400),
    "a byte order mark": (b'\xef\xbb\xbf{"customer":"x"}', 400),
    "a control character": (b'{"customer":"\x00"}', 400),
    "single quotes": (b"{'customer':'x'}", 400),
    "arrays without end": (b'{"customer":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    "objects without end": (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
    "deep": (b'{"customer":"x","n":' + b"[" * 500 + b"]" * 500 + b"}", 400),
    "MessagePack": (b"\x81\xa8customer\xa1x", 400),
    "an array": (b"[]", 422),
    "a number": (b"1", 422),
    "null": (b"null", 422),
    "wrong types": (b'{"customer":[],"count":"1","articles":{}}', 422),
    "a fraction": (b'{"customer":"x","count":1.5}', 422),
    "true for 1": (b'{"customer":"x","count":true}', 422),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_bodies(server: Server, name: str) -> None:
    body, status = MALFORMED[name]
    answer = ask(server, "POST", "/call/order", body)
    assert (answer[0], answer[1]) == (status, "application/problem+json"), answer
    assert json.loads(answer[2])["status"] == status
    trigger = ask(server, "POST", "/api/v2/dags/order/dagRuns", b'{"logical_date":null,"conf":%s}' % body)
    assert trigger[0] in (400, 422), trigger
    assert "detail" in json.loads(trigger[2])


TAKEN: dict[str, tuple[bytes, Any]] = {
    "the last of equal keys": (b'{"what":1,"what":2}', 2),
    "NUL": (b'{"what":"a\\u0000b","\\u0000":1}', "a\0b"),
    "a pair of surrogates": (b'{"what":"\\ud83d\\ude00"}', "\U0001f600"),
    "the largest integer": (b'{"what":18446744073709551615}', 18446744073709551615),
    "minus zero": (b'{"what":-0.0}', -0.0),
    "a tiny number": (b'{"what":1e-400}', 0.0),
    "odd keys": (
        b'{"what":{"__proto__":1,"":2,"a.b":3,"{{ 7*7 }}":4}}',
        {"__proto__": 1, "": 2, "a.b": 3, "{{ 7*7 }}": 4},
    ),
    "a template": (b'{"what":"{{ 7 * 7 }}"}', "{{ 7 * 7 }}"),
    "a value of serde": (b'{"what":{"__classname__":"x","__data__":1}}', None),
}


@pytest.mark.parametrize("name", TAKEN)
def test_odd_bodies_are_taken_as_they_are(server: Server, name: str) -> None:
    body, value = TAKEN[name]
    status, _, answer = ask(server, "POST", "/call/echo", body)
    if value is None:
        assert status in (200, 500), answer
        return
    assert (status, json.loads(answer)) == (200, value)


def test_a_text_that_no_journal_stores_is_refused(server: Server) -> None:
    post = server.http.post
    for text in ("a\0b", "\U0010ffff"):
        refused = (
            post("/api/v2/pools", json={"name": text, "slots": 1}),
            post("/api/v2/variables", json={"key": text, "value": "x"}),
            post("/api/v2/dags/order/dagRuns", json={"logical_date": None, "conf": {"customer": "x"}, "note": text}),
        )
        assert [answer.status_code for answer in refused] == [422, 422, 422]
    assert server.http.get("/api/v2/dags", params={"dag_id_pattern": "a\0"}).status_code == 400
    assert server.http.get("/call/order/known%00").status_code == 400


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Prefer": "wait=abc"}, 200),
        ({"Prefer": "wait=-1, wait=1e9"}, 200),
        ({"Prefer": "\xff, respond-async"}, 202),
        ({"Prefer": "," * 10_000}, 200),
        ({"Idempotency_Key": ""}, 400),
        ({"Idempotency_Key": "k" * 256}, 400),
        ({"Idempotency_Key": "\xff\x80 key"}, 200),
        ({"Accept": "text/html"}, 406),
        ({"Accept": "*/*;q=abc, ;;;,"}, 406),
        ({"Last_Event_ID": "-1"}, 400),
        ({"Last_Event_ID": "9" * 400}, 400),
        ({"traceparent": "00-zz-zz-zz"}, 200),
        ({"traceparent": "x" * 20_000}, 200),
        ({"Content_Encoding": "gzip"}, 415),
        ({"Content_Encoding": "br, identity"}, 415),
        ({"Content_Type": "application/json; charset=utf-16"}, 200),
        ({"Content_Type": "text/plain"}, 415),
        ({"Expect": "100-continue"}, 200),
        ({"Expect": "the unexpected"}, 200),
        ({"Authorization": "Bearer " + "x" * 5_000}, 200),
        ({"X_HTTP_Method_Override": "DELETE"}, 200),
        ({"Origin": "http://127.0.0.1:1"}, 403),
    ],
    ids=lambda value: (
        " ".join(f"{name}={text[:20]!r}" for name, text in value.items()) if isinstance(value, dict) else ""
    ),
)
def test_odd_headers(server: Server, headers: dict[str, str], status: int) -> None:
    found, _, body = ask(server, "POST", "/call/shell", b"{}", **headers)
    assert found == status, body


def test_a_bomb_is_not_unpacked(server: Server) -> None:
    bomb = zlib.compress(b" " * 50_000_000)
    before = psutil.Process(server.process.pid).memory_info().rss
    for encoding in ("gzip", "deflate", "br", "zstd", "identity, deflate"):
        assert ask(server, "POST", "/call/order", bomb, Content_Encoding=encoding)[0] == 415
    assert psutil.Process(server.process.pid).memory_info().rss < before + 20_000_000


def test_a_giant_body_is_refused_and_kept_nowhere(server: Server) -> None:
    before = psutil.Process(server.process.pid).memory_info().rss
    for _ in range(3):
        answer = server.http.post("/call/order", content=(b" " * 1_000_000 for _ in range(100)), headers=JSON)
        assert (answer.status_code, answer.json()["type"]) == (413, "/problems/too-large")
    assert psutil.Process(server.process.pid).memory_info().rss < before + 100_000_000


def test_a_million_keys(server: Server) -> None:
    keys = b",".join(b'"%06x":1' % n for n in range(1_000_000))
    for target, body in (("/call/echo", b'{"what":1,%s}'), ("/call/echo", b'{"what":{%s}}')):
        status, _, answer = ask(server, "POST", target, body % keys)
        assert (status, json.loads(answer)["type"]) == (413, "/problems/too-large")
    text = "," * 1_000_000
    assert server.value("echo", what=text[:300_000]) == text[:300_000]
    assert server.value("echo", what=[1] * 200_000) == [1] * 200_000
