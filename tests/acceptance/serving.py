"""A real `dagcall serve` in processes of its own, and the facts that tests wait for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import httpx
import psutil

from dagcall.testing.ports import free_port

Fact = TypeVar("Fact")
Role = Literal["side", "zygote", "worker", "triggerer", "airflow", "recorder"]

DAGS = Path(__file__).parent / "dags"
SOURCE = Path(__file__).parents[2] / "src"
START_LIMIT = 90.0


def eventually(fact: Callable[[], Fact], within: float = 10.0, what: str = "it") -> Fact:
    """The first truthy value of `fact`, asked again and again for at most `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = fact()
        if found:
            return found
        assert time.monotonic() < deadline, f"{what} was not so within {within:g} s; last: {found!r}"
        time.sleep(0.01)


def is_alive(process: psutil.Process) -> bool:
    """Runs, and is the process that it was: neither dead, nor dead and not reaped yet."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


class Server:
    """One server with an AIRFLOW_HOME, a journal and a port of its own."""

    def __init__(
        self,
        home: Path,
        dags: Path | None = DAGS,
        *,
        workers: int | None = None,
        journal: str | None = None,
        environment: Mapping[str, str] | None = None,
        python_path: Sequence[Path] = (),
        port: int | None = None,
        arguments: Sequence[str] = (),
        launcher: Sequence[str] = (),
        flags: bool = True,
    ) -> None:
        """`dags`: None: Airflow's bundles. `launcher`: a program that becomes the server, which is the rest of its arguments. `flags`: False leaves all that
        the server is told to `airflow.cfg`."""
        self.home = home
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        command = [*launcher, sys.executable, "-m", "dagcall.cli", "serve"]
        told = {"port": self.port, "journal": journal or f"sqlite:///{home / 'journal.db'}"}
        if workers is not None:
            told["workers"] = workers
        if flags:
            command += [
                *([str(dags)] if dags else []),
                *arguments,
                *(word for name in told for word in (f"--{name}", str(told[name]))),
            ]
        else:
            options = "".join(f"{name} = {value}\n" for name, value in told.items())
            (home / "airflow.cfg").write_text(f"[core]\ndags_folder = {dags}\n[dagcall]\n{options}")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "DAGCALL"))}
        own = {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": os.pathsep.join(map(str, (*python_path, SOURCE))),
            "AIRFLOW__DAGCALL__URL": self.url,
        }
        self.messages = home / "stderr.txt"
        with self.messages.open("wb") as messages:
            self.process = subprocess.Popen(
                command,
                env=inherited | own | dict(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=messages,
                stderr=messages,
            )
        _servers.add(self.process.pid)
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=256)
        self.http = httpx.Client(base_url=self.url, timeout=60, limits=limits)

    def wait_until_loaded(self, sign: str = "/call") -> None:
        """`sign`: answered with 200 then. `/health/ready` needs no credentials."""
        eventually(lambda: self._is_loaded(sign), START_LIMIT, f"the server (its messages: {self.messages})")

    def _is_loaded(self, sign: str) -> bool:
        assert self.process.poll() is None, self.messages.read_text()
        try:
            return self.http.get(sign).status_code == 200
        except httpx.TransportError:
            return False

    def call(self, dag_id: str, **params: Any) -> httpx.Response:
        return self.http.post(f"/call/{dag_id}", json=params)

    def start(self, dag_id: str, **params: Any) -> str:
        """Call and do not wait. Returns the run's path."""
        answer = self.http.post(f"/call/{dag_id}", json=params, headers={"Prefer": "respond-async"})
        assert answer.status_code == 202, answer.text
        return answer.headers["Location"]

    def value(self, dag_id: str, **params: Any) -> Any:
        answer = self.call(dag_id, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def run_state(self, path: str) -> str:
        return self.http.get(path).headers["Dagcall-Run-State"]

    def airflow_run(self, path: str) -> dict[str, Any]:
        _, _, dag_id, run_id = path.split("/")
        run: dict[str, Any] = self.http.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}").json()
        return run

    def task_states(self, path: str) -> dict[str, str]:
        """Of unmapped tasks."""
        _, _, dag_id, run_id = path.split("/")
        found = self.http.get(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances").json()
        return {one["task_id"]: one["state"] for one in found["task_instances"]}

    def all_runs(self) -> list[dict[str, Any]]:
        """Every run of every DAG."""
        runs: list[dict[str, Any]] = []
        while True:
            page = self.http.get("/api/v2/dags/~/dagRuns", params={"limit": 100, "offset": len(runs)}).json()
            runs += page["dag_runs"]
            if not page["dag_runs"] or len(runs) >= page["total_entries"]:
                return runs

    def wait_until_idle(self, within: float = 20.0) -> None:
        """Every run has reached its end."""

        def none_is_active() -> bool:
            return all(run["state"] in ("success", "failed") for run in self.all_runs())

        eventually(none_is_active, within, "the end of every run")

    def family(self) -> list[psutil.Process]:
        """The server and everything below it."""
        try:
            server = psutil.Process(self.process.pid)
            return [server, *server.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def processes(self, role: Role) -> list[psutil.Process]:
        return [process for process in self.family() if is_alive(process) and _title(process) == f"dagcall: {role}"]

    def root_zygotes(self) -> list[psutil.Process]:
        sides = {process.pid for process in self.processes("side")}
        zygotes = [process for process in self.processes("zygote") if process.ppid() in sides]
        return [process for process in zygotes if _is_session_leader(process)]

    def file_zygotes(self) -> list[psutil.Process]:
        roots = {process.pid for process in self.root_zygotes()}
        return [process for process in self.processes("zygote") if process.pid not in roots]

    def strangers(self) -> list[psutil.Process]:
        """Below the server, but none of its own: what tasks have started."""
        return [one for one in self.family() if is_alive(one) and not _title(one).startswith("dagcall: ")]

    def memory(self) -> int:
        """Bytes of the whole family, shared pages counted once (the sum of proportional set sizes)."""
        total = 0
        for process in self.family():
            try:
                total += process.memory_full_info().pss
            except psutil.NoSuchProcess:
                continue
        return total

    def stop(self, within: float = 40.0) -> None:
        """SIGTERM: ends with exit code 0 and leaves no process."""
        family = self.family()
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(within)
        self.http.close()
        assert code == 0, f"exit code {code}\n{self.messages.read_text()[-4000:]}"
        self.assert_gone(family)

    def assert_gone(self, family: list[psutil.Process], within: float = 10.0) -> None:
        eventually(lambda: not any(is_alive(one) for one in family), within, "the end of every process")
        assert not escaped(), [one.cmdline() for one in escaped()]

    def end(self) -> None:
        """Whatever state it is in: for tests that fail or that kill it themselves."""
        for process in self.family():
            if is_alive(process):
                process.kill()
        self.process.wait(10)

        def none_is_left() -> bool:
            for process in escaped():
                process.kill()
            return not escaped()

        eventually(none_is_left, what="the end of what has escaped")
        self.http.close()


def escaped() -> list[psutil.Process]:
    """Processes that have left the tree of their server.

    The test process is a subreaper (see conftest): what outlives its server becomes a child of this process.
    """
    return [one for one in psutil.Process().children() if one.pid not in _servers and is_alive(one)]


_servers: set[int] = set()


def know_children() -> None:
    """What runs now is no server's, and not theirs to end who look for what has escaped from one."""
    _servers.update(one.pid for one in psutil.Process().children())


def _is_session_leader(process: psutil.Process) -> bool:
    try:
        return os.getsid(process.pid) == process.pid
    except ProcessLookupError:
        return False


def _title(process: psutil.Process) -> str:
    try:
        return " ".join(process.cmdline()).strip()
    except psutil.NoSuchProcess:
        return ""


def failure(answer: httpx.Response) -> dict[str, Any]:
    """The problem document of a failed run, after checking what every one of them owes its reader."""
    assert answer.status_code == 500, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Dagcall-Outcome"] == "failed"
    problem: dict[str, Any] = answer.json()
    assert problem["type"].endswith("/run-failed")
    assert problem["run_id"] == answer.headers["Dagcall-Run-Id"]
    assert problem["error"]["type"]
    assert isinstance(problem["error"]["message"], str)
    assert problem["failed_task"]
    assert problem["map_index"] == -1
    assert problem["try_number"] >= 1
    assert problem["cause"], problem
    assert problem["cleanup"] in ("running", "done")
    assert problem["state"] in ("running", "failed", "success")
    assert "Traceback" not in answer.text
    return problem
