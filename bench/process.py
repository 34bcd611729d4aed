"""A process that the benchmark starts, and all that this one starts: its messages, its CPU time, its end."""

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil

START_LIMIT = 120.0
"""Seconds in which a side must be ready; importing Airflow takes 5 to 10 on two cores that do nothing else."""
_SUBREAPER = 36


class Process:
    """One that is ended with `stop`, together with all that it has left.

    `messages` is the folder in which what it says is written, to a file of its name; `how` goes to Popen.
    """

    def __init__(self, name: str, command: list[str], environment: dict[str, str], messages: Path, **how: Any) -> None:
        self.name = name
        with open(messages / f"{name}.txt", "ab") as said:
            self.popen = subprocess.Popen(
                command, env=environment, stderr=said, start_new_session=True, **{"stdout": said, **how}
            )

    def wait_until(self, is_ready: Callable[[], bool]) -> None:
        """Raises SystemExit when the process ends first, or is not ready within START_LIMIT."""
        end = time.monotonic() + START_LIMIT
        while not is_ready():
            if self.popen.poll() is not None:
                raise SystemExit(f"{self.name} ended with code {self.popen.returncode}")
            if time.monotonic() > end:
                raise SystemExit(f"{self.name} was not ready within {START_LIMIT:g} s")
            time.sleep(0.1)

    def cpu(self) -> tuple[float, float]:
        """CPU seconds so far: its own, and those of all that it has started, ended ones included."""
        process = psutil.Process(self.popen.pid)
        times = process.cpu_times()
        others = times.children_user + times.children_system
        for child in process.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                used = child.cpu_times()
                others += used.user + used.system + used.children_user + used.children_system
        return times.user + times.system, others

    def stop(self, how: signal.Signals = signal.SIGTERM, seconds: float = 60.0) -> None:
        """Raises SystemExit when it had to be killed. Ended it has, in any case."""
        if self.popen.poll() is None:
            started = psutil.Process(self.popen.pid).children(recursive=True)
        else:
            started = []
        self.popen.send_signal(how)
        try:
            self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.popen.kill()
            self.popen.wait()
            raise SystemExit(f"{self.name} did not stop within {seconds:g} s of {how.name}") from None
        finally:
            end(started, patience=5.0)


def adopt_orphans() -> None:
    """What our processes leave behind becomes our child, so that `end_all` finds it."""
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def end_all() -> None:
    """Whatever of ours still runs; nothing, unless something went wrong."""
    end(psutil.Process().children(recursive=True), patience=0.0)


def end(processes: list[psutil.Process], patience: float) -> None:
    """Kill those that do not end by themselves within `patience` seconds."""
    _, alive = psutil.wait_procs(processes, timeout=patience)
    for process in alive:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(alive, timeout=10)


def environment(home: Path) -> dict[str, str]:
    """Airflow's defaults on all sides: none of this shell's settings, no example DAGs and their listeners,
    and maps as wide as the widest here.

    The connection is the one that `dags/realistic.py` reads.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW_", "DAGCALL_"))}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__MAX_MAP_LENGTH": "2048",  # `fanout_2000`; the default allows 1,024
        "AIRFLOW_CONN_BENCH_INDEX": "http://reader:not-for-logs@index.test:9200",
    }


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a GET of it is answered with a 2xx."""
    with (
        contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
        urllib.request.urlopen(url, timeout=5),
    ):
        return True
    return False
