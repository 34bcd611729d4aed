"""Files whose processes must not be forked: their workers each parse the file, which is told where a user looks."""

import json
import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from dagcall.check import check_folder

from ..serving import Serving, eventually

DAG = """
import os
from airflow.sdk import DAG, result, task

PARSED_BY = os.getpid()

{body}

with DAG({dag_id!r}, schedule=None, params={{"n": 1}}):

    @result
    @task
    def where(params=None):
        {work}
        return {{"parsed": PARSED_BY, "runs": os.getpid()}}

    where()
"""

UNFORKABLE = {
    "a_thread": (
        """
        import threading, queue
        work = queue.Queue()
        threading.Thread(target=lambda: [item.set() for item in iter(work.get, None)], name="pump", daemon=True).start()
        """,
        # In a fork the thread is gone, and nobody would ever set the event.
        "done = threading.Event(); work.put(done); assert done.wait(10)",
        "thread 'pump' was started at {file}:",
    ),
    "an_executor": (
        """
        from concurrent.futures import ThreadPoolExecutor
        pool = ThreadPoolExecutor(2)
        pool.submit(int).result()
        """,
        "assert pool.submit(int, '7').result(10) == 7",
        "thread 'ThreadPoolExecutor-0_0' was started at {file}:",
    ),
    "an_import": (
        "import starts_native_threads",
        "assert starts_native_threads.ask() == 'answer'",
        "`import starts_native_threads` started threads",
    ),
    "a_connection": (
        """
        import socket
        near, far = socket.socketpair()
        """,
        "near.send(b'x'); assert far.recv(1) == b'x'",
        "it opened a connection (a socket)",
    ),
    "a_grpc_channel": (
        """
        import grpc
        channel = grpc.insecure_channel("127.0.0.1:9")
        """,
        "assert channel is not None",
        "a gRPC channel is open",
    ),
}

NATIVE = """
# A C library with a thread of its own, which `threading` knows nothing of.
import ctypes, time
libc = ctypes.CDLL(None)
entry = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p)(("pause", libc))
thread = ctypes.c_ulong()
assert libc.pthread_create(ctypes.byref(thread), None, entry, None) == 0

def ask():
    assert len(__import__("os").listdir("/proc/self/task")) > 1
    return "answer"
"""

FORKABLE = {
    "a_thread_that_ended": ("import threading; t = threading.Thread(target=int); t.start(); t.join()", "pass"),
    "numpy_with_its_pool": (
        "import numpy\nA = numpy.ones((400, 400)); B = A @ A",
        "assert (A @ A)[0, 0] == 400",
    ),
    "an_open_file": (f"held = open({__file__!r})", "assert held.readable()"),
}


@pytest.fixture(scope="module")
def serving(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    folder = tmp_path_factory.mktemp("forking") / "dags"
    folder.mkdir()
    (folder / "starts_native_threads.py").write_text(NATIVE)
    for dag_id, (body, work, *_) in {**UNFORKABLE, **FORKABLE}.items():
        (folder / f"{dag_id}.py").write_text(DAG.format(dag_id=dag_id, body=dedent(body), work=work))
    with Serving(folder, workers=4) as serving:
        yield serving


@pytest.mark.parametrize("dag_id", UNFORKABLE)
def test_its_workers_parse_it_themselves(serving: Serving, dag_id: str) -> None:
    first = serving.call(dag_id)
    assert first["parsed"] == first["runs"]
    assert serving.call(dag_id) == first  # warm, like any worker


@pytest.mark.parametrize("dag_id", UNFORKABLE)
def test_warning_names_the_cause(serving: Serving, dag_id: str) -> None:
    plan = serving.coordinator.catalog.find(dag_id)
    expected = UNFORKABLE[dag_id][2].format(file=serving.folder / f"{dag_id}.py")
    assert plan.warnings
    assert expected in plan.warnings[0]
    assert "each parses it anew" in plan.warnings[0]


@pytest.mark.parametrize("dag_id", FORKABLE)
def test_what_survives_a_fork_is_forked(serving: Serving, dag_id: str) -> None:
    assert serving.coordinator.catalog.find(dag_id).warnings == ()
    found = serving.call(dag_id)
    assert found["parsed"] != found["runs"]


def test_more_are_started_when_more_are_wanted(serving: Serving) -> None:
    serving.write("slow.py", DAG.format(dag_id="slow", body=_PUMP, work="time.sleep(0.5)"))
    serving.wait_for_dag("slow")
    runs = [serving.start("slow") for _ in range(3)]
    found = [serving.value_of(run) for run in runs]
    assert all(one["parsed"] == one["runs"] for one in found)
    assert len({one["runs"] for one in found}) > 1


def test_a_worker_that_dies_is_replaced(serving: Serving) -> None:
    first = serving.call("a_thread")
    os.kill(first["runs"], signal.SIGKILL)
    eventually(lambda: not Path(f"/proc/{first['runs']}").exists(), "the worker is gone")
    again = serving.call("a_thread")
    assert again["runs"] == again["parsed"] != first["runs"]


def test_a_changed_file_serves_its_new_version(serving: Serving) -> None:
    serving.write("changes.py", DAG.format(dag_id="changes", body=_PUMP, work="pass"))
    serving.wait_for_dag("changes")
    before, version = serving.call("changes"), serving.version("changes")
    serving.write("changes.py", DAG.format(dag_id="changes", body=_PUMP + "\n# again\n", work="pass"))
    eventually(lambda: serving.version("changes") != version, "the new version is served")
    after = serving.call("changes")
    assert after["parsed"] == after["runs"] != before["runs"]


def test_log_and_check_say_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "pump.py").write_text(DAG.format(dag_id="pump", body=_PUMP, work="pass"))
    with caplog.at_level(logging.WARNING, "dagcall.catalog"), Serving(folder):
        assert "pump.py: workers of this file are not forked" in caplog.text
    rows = check_folder(str(folder))
    said = [(row.kind, row.dag_id) for row in rows if row.kind != "hint"]
    assert said == [("ok", "pump"), ("warning", "pump")]
    assert json.dumps(rows[1].reason)


_PUMP = "import threading, time; threading.Thread(target=time.sleep, args=(3600,), name='pump', daemon=True).start()"
