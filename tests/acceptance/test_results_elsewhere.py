"""Results in a store that is not the local disk: a provider's, opened with an Airflow connection."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import dagcall

from .conftest import ServerFactory
from .serving import eventually
from .test_results_by_reference import downstream, read, reference_in

PROVIDER = Path(__file__).parent / "shelf"


def test_results_in_a_providers_store(serve: ServerFactory, tmp_path: Path) -> None:
    shelf = tmp_path / "shelf"
    shelf.mkdir()
    server = serve(
        python_path=[PROVIDER],
        environment={"AIRFLOW__DAGCALL__RESULT_STORAGE": "shelf://my_shelf@bucket/results"},
    )
    refused = server.call("returns", kind="bytes", size=3).json()
    assert "cannot be stored in shelf://my_shelf@bucket/results" in refused["error"]["message"]
    connection = {"connection_id": "my_shelf", "conn_type": "generic", "extra": json.dumps({"folder": str(shelf)})}
    assert server.http.post("/api/v2/connections", json=connection).status_code == 201

    answer = server.call("returns", kind="bytes", size=1 << 20)
    reference = reference_in(answer.json())
    assert reference["uri"].startswith("shelf://my_shelf@bucket/results/returns-")
    assert downstream(server, answer)[0] == "ObjectStoragePath"
    whole = read(server, reference)
    part = server.http.get(reference["href"], headers={"Range": "bytes=1000-1999"})
    assert (part.status_code, part.content) == (206, whole[1000:2000])
    assert server.http.head(reference["href"]).headers["Content-Length"] == str(1 << 20)
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(lambda _: server.http.get(reference["href"]).content, range(24))) == {whole}
    eventually(lambda: len(server.processes("worker")) <= 2, what="the end of the processes that read")

    text = server.call("returns", kind="text", size=2 << 20)  # its XCom too
    assert json.loads(read(server, reference_in(text.json()))) == "é" * (2 << 20)
    assert downstream(server, text) == ["str", 2 << 20]
    with dagcall.Client(server.url) as client:
        assert client.run("returns", answer.headers["Dagcall-Run-Id"]).result().read() == whole

    stored = [path for path in shelf.rglob("*") if path.is_file()]
    assert len(stored) == 3
    next(path for path in stored if path.suffix == ".bin").write_bytes(b"changed")
    gone = server.http.get(reference["href"])
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/value-gone")


def test_they_are_deleted_there_with_their_run(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(
        python_path=[PROVIDER],
        environment={
            "AIRFLOW__DAGCALL__RESULT_STORAGE": "shelf://my_shelf@bucket/results",
            "AIRFLOW__DAGCALL__KEEP_RUNS": "1",
            "AIRFLOW_CONN_MY_SHELF": json.dumps({"conn_type": "generic", "extra": {"folder": str(tmp_path / "shelf")}}),
        },
    )
    answer = server.call("returns", kind="bytes", size=3)
    reference_in(answer.json())
    eventually(lambda: server.http.get(answer.headers["Location"]).status_code == 404, what="its end")
    assert not [path for path in tmp_path.rglob("shelf/**/*") if path.is_file()]
