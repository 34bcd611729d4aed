"""`dagcall.Engine`: the same calls without a server."""

from pathlib import Path

import pytest

import dagcall
from dagcall.errors import DagNotFound, InvalidParams

DAG = """
from airflow.sdk import Param, dag, task

@dag(schedule=None, params={"n": Param(1, type="integer")})
def embedded():
    @task
    def double(params):
        if params["n"] < 0:
            raise ValueError("negative")
        return params["n"] * 2 if params["n"] < 100 else b"bytes"
    return double()

embedded()
"""


def test_an_engine(tmp_path: Path) -> None:
    (tmp_path / "embedded.py").write_text(DAG)
    with dagcall.Engine(str(tmp_path), workers=2) as engine:
        assert engine.call("embedded", n=21) == 42
        assert engine.call("embedded", {"n": 2}) == 4
        reference = engine.call("embedded", n=100)
        assert reference.read() == b"bytes"
        run = engine.submit("embedded", n=5)
        assert run.result(timeout=20) == 10
        assert sorted(value for _, value in engine.map("embedded", [{"n": n} for n in range(5)])) == [0, 2, 4, 6, 8]
        with pytest.raises(dagcall.RunFailed, match="negative") as failed:
            engine.call("embedded", n=-1)
        assert failed.value.task == "double"
        with pytest.raises(InvalidParams):
            engine.call("embedded", n="x")
        with pytest.raises(DagNotFound):
            engine.call("nobody")
    assert not Path(reference.uri.removeprefix("file://")).exists()  # it has ended with its run
