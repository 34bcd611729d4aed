"""`kill -9` of any process, under load: everyone is answered, every run ends, nothing is left, later calls work."""

import os
import random
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest

from .conftest import ServerFactory, serving
from .serving import Server, eventually, is_alive

CALLERS = 8


@pytest.fixture(scope="module")
def victim(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(Server(tmp_path_factory.mktemp("victim"), workers=6))


class Load:
    """Callers who call again and again until they are told to stop."""

    def __init__(self, server: Server) -> None:
        self.answers: list[httpx.Response] = []
        self._server = server
        self._stop = threading.Event()
        self._callers = ThreadPoolExecutor(CALLERS)
        self._loops = [self._callers.submit(self._call) for _ in range(CALLERS)]

    def _call(self) -> None:
        while not self._stop.is_set():
            self.answers.append(self._server.call("three_steps", seconds=0.02))

    def wait_for(self, more: int) -> None:
        """Until so many more calls have been answered."""
        wanted = len(self.answers) + more
        eventually(lambda: len(self.answers) >= wanted, 30, f"{more} more answers")

    def end(self) -> list[httpx.Response]:
        self._stop.set()
        for loop in self._loops:
            loop.result(timeout=60)
        self._callers.shutdown()
        return self.answers


def _kill_under_load(server: Server, role: str, times: int) -> None:
    """P3, P8, P10."""
    find = {
        "worker": lambda: server.processes("worker"),
        "file zygote": server.file_zygotes,
        "root zygote": server.root_zygotes,
        "side": lambda: server.processes("side"),
    }[role]
    chance = random.Random(role)
    load = Load(server)
    load.wait_for(CALLERS)
    for _ in range(times):
        process = chance.choice(eventually(find, 30, f"a {role}"))
        process.kill()
        eventually(lambda process=process: not is_alive(process), what="its end")  # type: ignore[misc]
        load.wait_for(CALLERS)
    answers = load.end()

    for answer in answers:
        assert answer.status_code in (200, 500), answer.text
        if answer.status_code == 500:
            assert answer.json()["type"] == "/problems/run-failed", answer.text
            assert answer.json()["error"]["type"] in ("WorkerLost", "CodeLost"), answer.text
    server.wait_until_idle()
    for answer in answers:
        assert server.run_state(answer.headers["Location"]) in ("success", "failed")
    assert server.value("three_steps", seconds=0) == 2
    eventually(lambda: not server.strangers(), what="the end of all that tasks had started")


def test_killed_workers(victim: Server) -> None:
    _kill_under_load(victim, "worker", 6)


def test_killed_file_zygotes(victim: Server) -> None:
    _kill_under_load(victim, "file zygote", 3)


def test_a_killed_root_zygote(victim: Server) -> None:
    _kill_under_load(victim, "root zygote", 2)
    assert victim.value("pid") > 0  # another file: its zygote comes from the new root


def test_a_killed_side_process(victim: Server) -> None:
    _kill_under_load(victim, "side", 1)
    assert victim.value("pid") > 0


def test_a_killed_file_zygote_leaves_running_tasks_alone(victim: Server, tmp_path: Path) -> None:
    path = victim.start("waits", file=str(tmp_path / "go"))
    eventually(lambda: victim.run_state(path) == "running")
    for process in eventually(victim.file_zygotes):
        process.kill()
        eventually(lambda process=process: not is_alive(process), what="its end")  # type: ignore[misc]
    (tmp_path / "go").touch()
    assert victim.http.get(path, params={"wait": 10}).json() == "done"


@pytest.mark.parametrize("role", ["side", "root zygote"])
def test_no_process_outlives_a_server_that_lost_one_just_before_it_stopped(
    serve: ServerFactory, tmp_path: Path, role: str
) -> None:
    """P8: whichever single process is killed."""
    server = serve(workers=2)
    path = server.start("leaves_a_daemon_and_waits", file=str(tmp_path / "pid"))
    daemon = psutil.Process(int(eventually(lambda: _text(tmp_path / "pid"), what=path)))
    family = server.family()
    assert daemon in family
    killed = server.processes("side") if role == "side" else server.root_zygotes()
    killed[0].kill()
    server.process.send_signal(signal.SIGTERM)
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(30) == 0
    server.assert_gone(family)


def test_a_killed_server_takes_all_its_processes_along(serve: ServerFactory, tmp_path: Path) -> None:
    """P8: a task's own children in other sessions included; and the server's folders among temporary files."""
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    server = serve(workers=3, journal="memory:", environment={"TMPDIR": str(temporary)})
    server.value("shell")
    assert len(list(temporary.glob("dagcall-*"))) == 2, "its gate, and large results"
    path = server.start("leaves_a_daemon_and_waits", file=str(tmp_path / "pid"))
    daemon = psutil.Process(int(eventually(lambda: _text(tmp_path / "pid"), what=path)))
    eventually(lambda: os.getsid(daemon.pid) == daemon.pid, what="a session of its own")
    family = server.family()
    assert daemon in family
    server.process.kill()
    server.process.wait(10)
    server.assert_gone(family)
    assert not list(temporary.glob("dagcall-*"))


def _text(path: Path) -> str:
    return path.read_text() if path.exists() else ""
