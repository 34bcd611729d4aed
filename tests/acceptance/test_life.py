"""The life of a server as those see it who run it: load balancers, systemd, a second server on the same port."""

import signal
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from .conftest import ServerFactory
from .serving import Server, eventually

ACTIVATE = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ |= {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
os.execv(sys.argv[2], sys.argv[2:])
"""
"""As systemd hands a socket over: the program becomes what the rest of its arguments says."""


class Systemd:
    """Listens to what a service tells of itself."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while said := self._socket.recv(4096).decode():
            self.heard += said.splitlines()

    def has_heard(self, line: str) -> bool:
        return eventually(lambda: line in self.heard, 30, line)

    def end(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
            own.sendto(b"", self.path)
        self._thread.join()
        self._socket.close()


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Systemd]:
    listening = Systemd(tmp_path / "notify")
    yield listening
    listening.end()


def reasons(server: Server) -> list[str] | None:
    """Why the server is not ready; None while nobody answers."""
    try:
        answer = httpx.get(f"{server.url}/health/ready", timeout=10)
    except httpx.TransportError:
        return None
    found: list[str] = answer.json()["reasons"]
    assert answer.status_code == (503 if found else 200)
    return found


def test_ready_when_loaded_and_not_while_it_stops(tmp_path: Path) -> None:
    server = Server(tmp_path)
    try:
        assert eventually(lambda: reasons(server), 30, "an answer") == ["the DAG files are being loaded"]
        server.wait_until_loaded()
        assert reasons(server) == []
        go = tmp_path / "go"
        with ThreadPoolExecutor(1) as caller:
            waiting = caller.submit(server.call, "waits", file=str(go))
            eventually(lambda: server.all_runs(), what="the run")
            server.process.send_signal(signal.SIGTERM)
            eventually(lambda: reasons(server) == ["the server is stopping"], what="the end of its readiness")
            assert httpx.get(f"{server.url}/health/live").json() == {"live": True}
            go.touch()
            assert waiting.result().json() == "done"
        assert server.process.wait(20) == 0
    finally:
        server.end()


def test_the_drain_has_a_limit_and_the_next_server_goes_on(tmp_path: Path) -> None:
    server = Server(tmp_path, environment={"AIRFLOW__DAGCALL__DRAIN_LIMIT": "0.2"})
    go = tmp_path / "go"
    try:
        server.wait_until_loaded()
        path = server.start("waits", file=str(go))
        eventually(lambda: server.run_state(path) == "running", what="the run")
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    finally:
        server.end()
    go.touch()
    after = Server(tmp_path)
    try:
        after.wait_until_loaded()
        answer = after.http.get(path, params={"wait": 30})
        assert answer.json()["error"]["type"] == "WorkerLost", "the try was used, and it has no other"
    finally:
        after.end()


def test_systemd_is_told(serve: ServerFactory, systemd: Systemd) -> None:
    server = serve(environment={"NOTIFY_SOCKET": systemd.path, "WATCHDOG_USEC": "200000"})
    assert systemd.has_heard("READY=1")
    assert systemd.has_heard("WATCHDOG=1")
    shown = server.value("tell")["state"]["environ"]
    assert not {"NOTIFY_SOCKET", "WATCHDOG_USEC"} & set(shown)
    server.process.send_signal(signal.SIGTERM)
    assert systemd.has_heard("STOPPING=1")
    assert server.process.wait(20) == 0


GREEDY = """
from airflow.sdk import dag, result, task

@dag(schedule=None)
def greedy():
    @result
    @task
    def take():
        kept = []
        while True:
            kept.append(bytearray(b"x") * 10_000_000)
    take()

greedy()

@dag(schedule=None)
def modest():
    @result
    @task
    def answer():
        return 42
    answer()

modest()
"""


def test_a_worker_is_ended_before_memory_runs_out(serve: ServerFactory, tmp_path: Path) -> None:
    dags = tmp_path / "dags"
    dags.mkdir()
    (dags / "greedy.py").write_text(GREEDY)
    server = serve(dags=dags, arguments=("--memory", "600"))
    with ThreadPoolExecutor(1) as caller:
        failing = caller.submit(server.call, "greedy")
        assert server.value("modest") == 42
        failure = failing.result()
    assert failure.status_code == 500
    assert failure.json()["error"]["type"] == "OutOfMemory"
    assert "of the 600 MB" in failure.json()["error"]["message"]
    assert server.value("modest") == 42


def test_a_socket_that_is_handed_over(serve: ServerFactory, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    server = serve(port=port, launcher=(sys.executable, "-c", ACTIVATE, str(port)), arguments=("--port", "1"))
    assert server.value("tell")["state"]["environ"]["AIRFLOW_HOME"] == str(server.home)
    assert "LISTEN_FDS" not in server.value("tell")["state"]["environ"]


def test_a_port_is_shared_and_a_server_is_replaced_without_a_gap(serve: ServerFactory) -> None:
    first = serve(arguments=("--share-port",))
    second = serve(port=first.port, arguments=("--share-port",))
    eventually(lambda: "serving" in second.messages.read_text(), 60, "the second server")
    answers: list[int] = []

    def call() -> None:
        """On a connection of its own, again where the kernel had given it to a server that is about to end."""
        with httpx.Client(transport=httpx.HTTPTransport(retries=3), timeout=60) as client:
            answers.append(client.post(f"{first.url}/call/shell", json={}).status_code)

    for _ in range(10):
        call()
    first.process.send_signal(signal.SIGTERM)
    while first.process.poll() is None:
        call()
    for _ in range(10):
        call()
    assert set(answers) <= {200, 503}
    assert answers[-10:] == [200] * 10
    assert second.process.poll() is None
