"""What is measured: dagcall and the bare runner here, stock Airflow in `stock.py`. All run the same DAG files."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from process import Process, answers, environment, free_port

HERE = Path(__file__).resolve().parent
DAGS = HERE / "dags"


@dataclass(frozen=True)
class Answer:
    """Of some callers at once: milliseconds of each call, runs a second, the last value, the callers' CPU seconds, and
    how many calls the server failed to answer."""

    ms: list[float]
    rate: float
    value: Any
    callers_cpu: float
    failed: int = 0


class Side(Protocol):
    def wait_ready(self) -> None: ...

    def run(self, dag_id: str, callers: int, seconds: float) -> Answer:
        """Each caller makes at least one call, and starts no other when the seconds are over."""

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far, by part."""

    def stop(self) -> None: ...


class Bare:
    """The yardstick's process, `bare.py`."""

    def __init__(self, folder: Path, messages: Path) -> None:
        self._process = Process(
            "bare",
            [sys.executable, str(HERE / "bare.py"), str(DAGS), str(folder / "logs-bare")],
            environment(folder / "airflow-bare"),
            messages,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def wait_ready(self) -> None:
        self._read()

    def run(self, dag_id: str, callers: int, seconds: float) -> Answer:
        """It does one run after the other, however many wait for it."""
        stdin = self._process.popen.stdin
        assert stdin is not None
        print(json.dumps({"dag": dag_id, "seconds": seconds}), file=stdin, flush=True)
        answer = self._read()
        ms = answer["ms"]
        return Answer(ms, len(ms) / sum(ms) * 1000, answer["value"], 0.0)

    def cpu(self) -> dict[str, float]:
        return {"runner": sum(self._process.cpu())}

    def _read(self) -> dict[str, Any]:
        stdout = self._process.popen.stdout
        assert stdout is not None
        line = stdout.readline()
        if not line:
            raise SystemExit("the bare runner ended")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        """By the end of its input: a task leaves a handler of SIGTERM behind that does not end the process."""
        assert self._process.popen.stdin is not None
        self._process.popen.stdin.close()
        self._process.popen.wait(30)


class Ours:
    """A real `dagcall serve`, with its defaults."""

    def __init__(
        self,
        folder: Path,
        messages: Path,
        dags: Path = DAGS,
        journal: str | None = None,
        name: str = "dagcall",
        settings: Mapping[str, str] | None = None,
    ) -> None:
        """`settings`: more of its environment."""
        self.port = free_port()
        home = folder / f"airflow-{name}"
        home.mkdir(exist_ok=True)
        self._process = Process(
            name,
            [
                *(sys.executable, "-m", "dagcall.cli", "serve", str(dags)),
                *("--port", str(self.port)),
                *("--journal", journal or f"sqlite:///{home / 'journal.db'}"),
            ],
            environment(home) | dict(settings or {}),
            messages,
        )

    @property
    def pid(self) -> int:
        return self._process.popen.pid

    def wait_ready(self) -> None:
        self._process.wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/call"))

    def run(self, dag_id: str, callers: int, seconds: float, query: str = "") -> Answer:
        return load("load.py", [str(self.port), dag_id, str(callers), str(seconds), query], seconds)

    def cpu(self) -> dict[str, float]:
        server, workers = self._process.cpu()
        return {"server": server, "workers": workers}

    def stop(self) -> None:
        self._process.stop()


@dataclass(frozen=True)
class AtLevel:
    """The same server, with a level of durability as the calls' own word."""

    ours: Ours
    level: str

    def wait_ready(self) -> None: ...

    def run(self, dag_id: str, callers: int, seconds: float) -> Answer:
        return self.ours.run(dag_id, callers, seconds, f"?durability={self.level}")

    def cpu(self) -> dict[str, float]:
        return self.ours.cpu()

    def stop(self) -> None: ...


def load(script: str, arguments: list[str], seconds: float, token: str = "") -> Answer:
    """Callers in a process of their own; `script` prints the fields of an Answer as JSON."""
    done = subprocess.run(
        [sys.executable, str(HERE / script), *arguments],
        input=token,
        capture_output=True,
        text=True,
        timeout=seconds + 180,
    )
    if done.returncode:
        raise SystemExit(f"{script} {' '.join(arguments)} failed:\n{done.stderr}")
    return Answer(**json.loads(done.stdout))
