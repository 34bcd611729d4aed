"""The Python client, without and with a server of its own. The docstrings are the promises."""

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import dagcall
from dagcall import errors

from ..serving import DAGS, SOURCE, Server, eventually


def test_call(shared: Server) -> None:
    """Keywords, or one mapping, are the params; returns the value."""
    client = dagcall.Client(shared.url)
    with client:
        assert client.call("echo", question="What is a Dag?") == {"question": "What is a Dag?", "top_k": 3}
        assert client.call("echo", {"question": "..."})["question"] == "..."
        assert client.call("state_only") is None


def test_a_failure_is_raised(shared: Server) -> None:
    """`RunFailed` with task, error, run_id."""
    with dagcall.Client(shared.url) as client, pytest.raises(dagcall.RunFailed) as caught:
        client.call("chain_of_causes")
    failed = caught.value
    assert (failed.task, failed.map_index, failed.dag_id) == ("each", 1, "chain_of_causes")
    assert str(failed.error) == "ZeroDivisionError: division by zero"
    assert failed.run_id
    assert [str(one) for one in failed.cause] == ["each[1] failed", "between upstream_failed", "last upstream_failed"]


def test_options_never_collide_with_params(shared: Server) -> None:
    """`with_options(wait=5, timeout=60, key=...)`: params may have the same names."""
    with dagcall.Client(shared.url) as client:
        derived = client.with_options(wait=5, timeout=60, key="order-row")
        assert derived.call("echo", {"question": "..."}) == derived.call("echo", {"question": "..."})
        given = {"wait": "1", "timeout": 2, "key": "3", "question": "x"}
        assert client.call("echo", **given) == {"top_k": 3} | given
        with pytest.raises(errors.IdempotencyMismatch):
            derived.call("echo", question="another")


def test_submit(shared: Server, tmp_path: Path) -> None:
    """A handle: run.id, run.result(timeout=..), run.events(), run.cancel()."""
    file = tmp_path / "go"
    with dagcall.Client(shared.url) as client:
        run = client.submit("ends_with_its_file", file=str(file))
        assert run.dag_id == "ends_with_its_file"
        with pytest.raises(dagcall.NotFinished) as waited:
            run.result(timeout=0.1)
        assert waited.value.run_id == run.id
        file.touch()
        assert run.result(timeout=10) == "done"
        assert [one.event for one in run.events()][-2:] == ["result", "end"]
        assert run.cancel() is False
        other = client.submit("ends_with_its_file", file="/nowhere/at/all")
        assert other.cancel() is True
        with pytest.raises(errors.RunCancelled):
            other.result()


def test_map(shared: Server) -> None:
    """Many calls, bounded in flight, as they complete."""
    grid = [{"question": str(n)} for n in range(20)]
    with dagcall.Client(shared.url) as client:
        found = {params["question"]: value["question"] for params, value in client.map("echo", grid)}
    assert found == {str(n): str(n) for n in range(20)}


def test_the_same_methods_asynchronously(shared: Server) -> None:
    """`AsyncClient` has the same methods."""

    async def use() -> list[Any]:
        async with dagcall.AsyncClient(shared.url) as client:
            run = await client.with_options(wait=5).submit("speaks")
            words = [one.value async for one in run.chunks(on_rollback=lambda void: None)]
            several = [value["question"] async for _, value in client.map("echo", [{"question": "a"}])]
            with pytest.raises(dagcall.RunFailed):
                await client.call("fails_in_success")
            return [await client.call("echo", question="why"), words, await run.result(), several]

    assert asyncio.run(use()) == [
        {"question": "why", "top_k": 3},
        ["once", "upon", "once", "upon"],
        "the end",
        ["a"],
    ]


def test_on_disconnect(shared: Server) -> None:
    """A client that goes away takes its run along where it asked for that."""
    with dagcall.Client(shared.url) as client:
        run = client.with_options(on_disconnect="cancel").submit("ends_with_its_file", file="/nowhere/at/all")
        events = run.events()
        next(events)
        events.close()  # type: ignore[attr-defined]
        eventually(lambda: run.state() == "failed", what="the cancel")
        with pytest.raises(errors.RunCancelled):
            run.result()


@pytest.mark.parametrize(
    "dag_id, params, kind",
    [
        ("no_such_dag", {}, errors.DagNotFound),
        ("does_not_import", {}, errors.DagBroken),
        ("is_refused", {}, errors.DagUnsupported),
        ("echo", {"top_k": "many"}, errors.InvalidParams),
        ("rejects", {"status": 409}, errors.Rejected),
        ("out_of_time", {}, dagcall.RunFailed),
    ],
)
def test_errors_are_typed(shared: Server, dag_id: str, params: dict[str, Any], kind: type[errors.DagcallError]) -> None:
    """Each answer that is no value is an error of its own kind."""
    with dagcall.Client(shared.url) as client, pytest.raises(errors.DagcallError) as caught:
        client.with_options(retry=0).call(dag_id, params)
    assert type(caught.value) is kind


def test_engine(tmp_path: Path) -> None:
    """Embedded: no server, same methods."""
    shutil.copy(DAGS / "outcomes.py", tmp_path)
    code = """
import dagcall
with dagcall.Engine(".") as engine:
    print(engine.call("echo", question="What is a Dag?")["question"])
    run = engine.submit("speaks")
    print([one.value for one in run.chunks(on_rollback=lambda void: None)], run.result())
    print(len(list(engine.map("echo", [{}, {}]))))
    try:
        engine.call("chain_of_causes")
    except dagcall.RunFailed as failed:
        print(failed.task)
"""
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    ran = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == ["What is a Dag?", "['once', 'upon', 'once', 'upon'] the end", "2", "each"]


def test_the_client_needs_httpx_only() -> None:
    """`pip install dagcall` is the client: nothing of the server's is imported."""
    code = "import dagcall, sys; dagcall.Client; print(sorted({'airflow', 'starlette', 'msgspec', 'uvicorn'} & set(sys.modules)))"
    environment = os.environ | {"PYTHONPATH": str(SOURCE)}
    ran = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr


def test_nothing_listens_there() -> None:
    """`Unreachable`, and what to look at."""
    with dagcall.Client("http://127.0.0.1:9") as client, pytest.raises(errors.Unreachable, match="DAGCALL_URL"):
        client.with_options(retry=0).call("echo")
