"""Results that are answered by where they are: what the answer promises, and what its link then streams."""

import asyncio
import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

import dagcall

from .conftest import ServerFactory
from .serving import Server, eventually

MEMBERS = {"uri", "href", "media_type", "size", "sha256"}


def reference_in(body: Any) -> dict[str, Any]:
    assert set(body) == {"reference"}, body
    reference: dict[str, Any] = body["reference"]
    assert set(reference) == MEMBERS
    return reference


def read(server: Server, reference: dict[str, Any]) -> bytes:
    """All of it, after checking what was promised."""
    answer = server.http.get(reference["href"])
    assert answer.status_code == 200, answer.text
    assert (len(answer.content), hashlib.sha256(answer.content).hexdigest()) == (reference["size"], reference["sha256"])
    assert answer.headers["Content-Type"] == reference["media_type"]
    assert answer.headers["Content-Disposition"].startswith("attachment;")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    return answer.content


def downstream(server: Server, answer: httpx.Response, task_id: str = "read") -> Any:
    """The XCom of another task, once the run has ended."""
    path = answer.headers["Location"]
    eventually(lambda: server.run_state(path) == "success", 15, "the end of the run")
    _, _, dag_id, run_id = path.split("/")
    xcom = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances/{task_id}/xcomEntries/return_value"
    return server.http.get(xcom).json()["value"]


@pytest.mark.parametrize(
    ("kind", "size", "media_type", "seen"),
    [
        ("bytes", 10, "application/octet-stream", ["ObjectStoragePath", "file://"]),
        ("object", 10, "text/csv", ["ObjectStoragePath", "file://"]),
        ("path", 0, "application/gzip", ["ObjectStoragePath", "file://"]),
        ("open file", 10, "image/png", ["ObjectStoragePath", "file://"]),
        ("text", 2 << 20, "application/json", ["str", 2 << 20]),
        ("model", 2 << 20, "application/json", None),
    ],
)
def test_a_result_by_reference(shared: Server, kind: str, size: int, media_type: str, seen: Any) -> None:
    answer = shared.call("returns", kind=kind, size=size)
    assert answer.status_code == 200, answer.text
    reference = reference_in(answer.json())
    assert reference["media_type"] == media_type
    content = read(shared, reference)
    assert shared.http.get(answer.headers["Location"]).json() == answer.json()
    assert shared.http.get(f"{answer.headers['Location']}/value").content == content
    if kind == "text":
        assert json.loads(content) == "é" * size
    elif kind == "model":
        document = json.loads(content)
        assert (document["title"], document["price"]) == ("x" * size, "1.10")
        assert read(shared, reference_in(document["picture"])) == b"PNG"
    else:
        assert len(content) == size
    if seen is not None:
        kind_seen, value = downstream(shared, answer)
        assert kind_seen == seen[0]
        assert value == seen[1] or value.startswith("file://")


def test_what_is_small_stays_in_the_answer(shared: Server) -> None:
    assert shared.value("returns", kind="text", size=3) == "ééé"
    assert shared.value("returns", kind="asset", size=3) == {
        "asset": {"name": "report", "uri": "s3://bucket/report", "extra": {"rows": 3}}
    }
    within = shared.value("returns", kind="within", size=5)
    assert (within["n"], within["none"]) == (1, None)
    assert len(read(shared, reference_in(within["all"][0]))) == 5


def test_an_object_that_is_not_there_has_no_bytes(shared: Server) -> None:
    answer = shared.call("returns", kind="no object", size=0)
    assert reference_in(answer.json()) == {
        "uri": "file:///nowhere/x.txt",
        "href": None,
        "media_type": "text/plain",
        "size": None,
        "sha256": None,
    }
    gone = shared.http.get(f"{answer.headers['Location']}/value")
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/value-gone")


def test_a_value_that_looks_like_a_reference_is_none(shared: Server) -> None:
    answer = shared.call("returns", kind="echo", size=1)
    assert answer.json()["reference"]["uri"] == "file:///etc/passwd"
    assert shared.http.get(f"{answer.headers['Location']}/value").json() == answer.json()
    assert shared.http.get(f"{answer.headers['Location']}/value/make?part=1").status_code == 404


def test_a_file_that_was_changed_is_gone(shared: Server) -> None:
    answer = shared.call("returns", kind="object", size=4)
    reference = reference_in(answer.json())
    Path(reference["uri"].removeprefix("file://")).write_bytes(b"xxxx")
    gone = shared.http.get(reference["href"])
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/value-gone")


def test_mapped_results_are_a_list_of_references(shared: Server) -> None:
    answer = shared.call("returns_many")
    assert [read(shared, reference_in(one)) for one in answer.json()] == [b"1", b"2"]
    path = answer.headers["Location"]
    assert shared.http.get(f"{path}/value").json() == answer.json()
    assert shared.http.get(f"{path}/value/each?map_index=0").json() is None
    assert shared.http.get(f"{path}/value/each?map_index=7").status_code == 404


def test_one_of_two_results_by_reference_and_in_a_failure(shared: Server) -> None:
    answer = shared.call("returns_two")
    assert answer.json()["small"] == 1
    assert len(json.loads(read(shared, reference_in(answer.json()["large"])))) == 300_000
    path = answer.headers["Location"]
    assert shared.http.get(f"{path}/value").status_code == 404
    assert shared.http.get(f"{path}/value/small").json() == 1
    assert shared.http.get(f"{path}/value/fails").status_code == 404
    assert shared.http.get(f"{path}/value/unknown").json()["type"] == "/problems/task-not-found"
    failed = shared.http.post("/call/returns_two?result=large&result=fails", json={})
    assert failed.status_code == 500
    assert failed.json()["error"] == {"type": "ValueError", "message": "300000"}
    read(shared, reference_in(failed.json()["results"]["large"]))


def test_streams_and_airflows_api_have_it_too(shared: Server) -> None:
    ndjson = {"Accept": "application/x-ndjson"}
    with shared.http.stream("POST", "/call/returns", json={"kind": "text", "size": 1 << 20}, headers=ndjson) as lines:
        events = [json.loads(line) for line in lines.iter_lines() if line]
    (data,) = [event["data"] for event in events if event["event"] == "result"]
    read(shared, reference_in(data["value"]))
    run = f"/api/v2/dags/returns/dagRuns/{events[0]['run_id']}"
    waited = json.loads(shared.http.get(f"{run}/wait", params={"interval": 1, "result": "make"}).text.splitlines()[-1])
    entry = shared.http.get(f"{run}/taskInstances/make/xcomEntries/return_value").json()["value"]
    assert waited["results"]["make"] == entry
    assert entry.startswith("file://")


def test_as_in_airflow_only_results_may_be_bytes(shared: Server) -> None:
    problem = shared.call("returns_bytes_inside").json()
    assert (problem["failed_task"], problem["error"]["type"]) == ("inner", "TypeError")
    asked_for = shared.http.post("/call/returns_bytes_inside?result=inner", json={})
    assert read(shared, reference_in(asked_for.json())) == b"bytes"


def test_with_an_outlet_and_a_value_the_value_wins(shared: Server) -> None:
    answer = shared.call("returns_asset_and_value")
    assert read(shared, reference_in(answer.json())) == b"the value wins"
    assert answer.headers["Link"] == '<s3://bucket/orders>; rel="asset"'


@pytest.fixture(scope="module")
def kept(shared: Server) -> Iterator[dict[str, Any]]:
    return reference_in(shared.call("returns", kind="bytes", size=1000).json())


PARTS: list[tuple[str, int, str | None, slice]] = [
    ("bytes=0-9", 206, "bytes 0-9/1000", slice(0, 10)),
    ("bytes=990-", 206, "bytes 990-999/1000", slice(990, 1000)),
    ("bytes=-10", 206, "bytes 990-999/1000", slice(990, 1000)),
    ("bytes=990-5000", 206, "bytes 990-999/1000", slice(990, 1000)),
    ("bytes=-5000", 206, "bytes 0-999/1000", slice(0, 1000)),
    ("bytes=1000-", 416, "bytes */1000", slice(0)),
    ("bytes=-0", 416, "bytes */1000", slice(0)),
    ("bytes=9-0", 200, None, slice(0, 1000)),
    ("lines=0-9", 200, None, slice(0, 1000)),
]


@pytest.mark.parametrize(("asked", "status", "content_range", "part"), PARTS)
def test_a_range_of_it(
    shared: Server, kept: dict[str, Any], asked: str, status: int, content_range: str | None, part: slice
) -> None:
    whole = read(shared, kept)
    answer = shared.http.get(kept["href"], headers={"Range": asked})
    assert (answer.status_code, answer.headers.get("Content-Range")) == (status, content_range)
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{kept["sha256"]}"'
    if status == 416:
        assert answer.json()["type"] == "/problems/range-not-satisfiable"
    else:
        assert answer.content == whole[part]


def test_head_conditions_and_several_ranges(shared: Server, kept: dict[str, Any]) -> None:
    whole, etag = read(shared, kept), f'"{kept["sha256"]}"'
    head = shared.http.head(kept["href"])
    assert (head.status_code, head.headers["Content-Length"], head.content) == (200, "1000", b"")

    def status(**headers: str) -> int:
        named = {name.replace("_", "-"): text for name, text in headers.items()}
        return shared.http.get(kept["href"], headers=named).status_code

    assert status(Range="bytes=0-1", If_Range=etag) == 206
    assert status(Range="bytes=0-1", If_Range='"another"') == 200
    assert status(If_None_Match=etag) == 304
    assert status(If_None_Match='"another"') == 200
    both = shared.http.get(kept["href"], headers={"Range": "bytes=0-1, -3"})
    assert both.status_code == 206
    boundary = both.headers["Content-Type"].partition("boundary=")[2]
    first, second = both.content.split(f"\r\n--{boundary}".encode())[1:3]
    assert first.endswith(b"bytes 0-1/1000\r\n\r\n" + whole[:2])
    assert second.endswith(b"bytes 997-999/1000\r\n\r\n" + whole[997:])


def test_stored_values_are_forgotten_with_their_run(serve: ServerFactory) -> None:
    server = serve(environment={"AIRFLOW__DAGCALL__KEEP_RUNS": "1"})
    answer = server.call("returns", kind="bytes", size=3)
    stored = Path(reference_in(answer.json())["uri"].removeprefix("file://"))
    assert stored.is_relative_to(server.home / "dagcall" / "results")
    own = server.call("returns", kind="object", size=3)
    for one in (answer, own):
        eventually(lambda path=one.headers["Location"]: server.http.get(path).status_code == 404, what="its end")
    assert not stored.exists()
    assert list((server.home / "dagcall" / "results").iterdir()) == []
    assert Path(reference_in(own.json())["uri"].removeprefix("file://")).exists()  # the author's


def test_a_small_limit_and_another_place(serve: ServerFactory, tmp_path: Path) -> None:
    place = tmp_path / "an other place"
    server = serve(
        environment={"AIRFLOW__DAGCALL__INLINE_LIMIT": "10", "AIRFLOW__DAGCALL__RESULT_STORAGE": f"file://{place}"}
    )
    assert server.value("returns", kind="text", size=4) == "éééé"
    reference = reference_in(server.value("returns", kind="text", size=5))
    assert reference["uri"].startswith(f"file://{place}/")
    assert json.loads(read(server, reference)) == "é" * 5
    each = json.loads(read(server, reference_in(server.value("returns_many"))))  # the list of them is over it, too
    assert [read(server, reference_in(one)) for one in each] == [b"1", b"2"]


def test_many_read_at_once(shared: Server, kept: dict[str, Any]) -> None:
    with ThreadPoolExecutor(16) as pool:
        assert {len(read) for read in pool.map(lambda _: shared.http.get(kept["href"]).content, range(64))} == {1000}


def test_the_python_clients_and_the_command_line(shared: Server, tmp_path: Path) -> None:
    with dagcall.Client(shared.url) as client:
        value = client.call("returns", kind="bytes", size=1 << 20)
        assert isinstance(value, dagcall.Reference)
        copy = value.download(tmp_path / "copy")
        assert (copy.stat().st_size, value.media_type) == (1 << 20, "application/octet-stream")
        assert [one.read() for one in client.submit("returns_many").result()] == [b"1", b"2"]
        assert json.loads(client.with_options(result="large").call("returns_two").read()) == [0.5] * 300_000

    async def awaited() -> list[bytes]:
        async with dagcall.AsyncClient(shared.url) as client:
            return [await one.read() for one in await client.call("returns_many")]

    assert asyncio.run(awaited()) == [b"1", b"2"]
    command = [sys.executable, "-m", "dagcall.cli", "call", "returns", "-p", "kind=bytes", "-p", "size=4"]
    printed = subprocess.run([*command, "--url", shared.url], check=True, capture_output=True, text=True).stdout
    assert len(read(shared, reference_in(json.loads(printed)))) == 4


def test_a_backend_of_the_users_keeps_the_xcoms(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(
        environment={
            "AIRFLOW__CORE__XCOM_BACKEND": "airflow.providers.common.io.xcom.backend.XComObjectStorageBackend",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_PATH": f"file://{tmp_path}/xcoms",
            "AIRFLOW__COMMON_IO__XCOM_OBJECTSTORAGE_THRESHOLD": "1000",
            "AIRFLOW__DAGCALL__DURABILITY": "power",
        }
    )
    answer = server.call("returns", kind="text", size=2 << 20)
    assert json.loads(read(server, reference_in(answer.json()))) == "é" * (2 << 20)
    assert downstream(server, answer, "make").startswith(f"file://{tmp_path}/xcoms/returns/")
    assert downstream(server, answer) == ["str", 2 << 20]
    assert server.value("returns", kind="text", size=3) == "ééé"
    kept = server.call("returns", kind="bytes", size=3)
    assert read(server, reference_in(kept.json())) == bytes(range(3))
    assert downstream(server, kept)[0] == "ObjectStoragePath"
