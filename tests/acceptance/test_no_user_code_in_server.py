"""The process that answers HTTP runs no user code: it never imports Airflow, nor a DAG module."""

import json
from pathlib import Path

from .conftest import ServerFactory
from .serving import DAGS, eventually

WATCH = """
import os, sys

path = os.environ.pop("WATCHED_IMPORTS", None)  # popped: the processes that the server starts are not watched
if path:
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)

    def write(event, arguments):
        if event == "import":
            os.write(file, f"import {arguments[0]}\\n".encode())
        elif event == "exec" and arguments[0].co_filename:
            os.write(file, f"exec {arguments[0].co_filename}\\n".encode())

    sys.addaudithook(write)
"""


def test_the_server_imports_neither_airflow_nor_dag_files(serve: ServerFactory, tmp_path: Path) -> None:
    """While calls of every kind are made: ones that succeed, fail, crash, are streamed, cancelled, refused."""
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch" / "sitecustomize.py").write_text(WATCH)
    seen = tmp_path / "imports.txt"
    server = serve(python_path=[tmp_path / "watch"], environment={"WATCHED_IMPORTS": str(seen)})

    assert server.value("squares", n=3)["sum"] == 25
    assert server.value("shell") == "shell"
    assert server.value("tenants", tenant="alice")["reads"]["params"]["tenant"] == "alice"
    assert server.call("nothing").status_code == 204
    assert len(set(server.value("isolated"))) == 2
    for dag_id in ("raises", "segfaults", "exits_at_once", "sleeps_too_long"):
        assert server.call(dag_id).status_code == 500
    assert server.value("fails_twice") == 3
    assert server.call("squares", n="x").status_code == 422
    assert server.call("does_not_import").status_code == 503
    assert server.call("is_refused").status_code == 501
    assert server.call("no_such_dag").status_code == 404
    streamed = server.http.post("/call/squares", json={"n": 1}, headers={"Accept": "application/x-ndjson"}).text
    assert json.loads(streamed.splitlines()[-1])["event"] == "end"
    path = server.start("waits", file=str(tmp_path / "never"))
    assert server.http.delete(path).status_code == 202
    eventually(lambda: server.run_state(path) == "failed", what="the end of the cancelled run")
    server.http.get("/call/squares")
    server.http.get("/openapi.json")
    server.http.get("/api/v2/dags")
    server.http.get("/api/v2/dags/~/dagRuns")
    server.http.get("/api/v2/importErrors")

    lines = set(seen.read_text().splitlines())
    imported = {line.removeprefix("import ") for line in lines if line.startswith("import ")}
    assert "uvicorn" in imported  # it is the server that is watched
    assert not {name for name in imported if name.split(".")[0] == "airflow" or "airflow_bridge" in name}
    executed = {line.removeprefix("exec ") for line in lines if line.startswith("exec ")}
    assert not {file for file in executed if "/airflow/" in file or file.startswith(str(DAGS))}
    assert not imported & {path.stem for path in DAGS.rglob("*.py")}
