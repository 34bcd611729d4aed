"""`make bench`: dagcall over HTTP against the unmodified Task SDK runner, side by side in one run.

Prints a table and writes `bench/results/latest.json`. What is compared, and what is not, is in `bench/README.md`.
`QUICK=1` takes a third of the time for a rougher answer.
"""

import contextlib
import importlib.metadata
import json
import os
import platform
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import psutil

HERE = Path(__file__).resolve().parent
DAGS = HERE / "dags"
RESULTS = HERE / "results" / "latest.json"
FIGURES = {"one_task": "one_task", "nine": "ask_astro", "fanout_200": "fanout_200"}
"""DAG id to the name of its figures."""
THROUGHPUT = ("one_task", "nine")
CALLERS = (1, 8, 32)
START_LIMIT = 90.0
"""Seconds in which either side must be ready; importing Airflow takes 5 to 10 on two cores."""


@dataclass(frozen=True)
class Plan:
    """Seconds that each side gets in each round, and for each number of callers."""

    rounds: int
    latency: dict[str, float]
    throughput_rounds: int
    throughput: float


FULL = Plan(rounds=8, latency={"one_task": 0.8, "nine": 1.2, "fanout_200": 2.0}, throughput_rounds=3, throughput=1.5)
QUICK = Plan(rounds=3, latency={"one_task": 0.3, "nine": 0.5, "fanout_200": 0.8}, throughput_rounds=1, throughput=1.2)


@dataclass
class Figures:
    """Latencies in milliseconds by DAG; runs a second, and CPU milliseconds a run by process, by (DAG, callers)."""

    ours: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    bare: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    rates: dict[tuple[str, int], list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[tuple[str, int], list[dict[str, float]]] = field(default_factory=lambda: defaultdict(list))


class Bare:
    """The yardstick's process."""

    def __init__(self, folder: Path, messages: IO[str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(HERE / "bare.py"), str(DAGS), str(folder / "logs-bare")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=messages,
            env=environment(folder / "airflow-bare"),
            text=True,
        )

    def wait_ready(self) -> None:
        self._read()

    def run(self, dag_id: str, **how: float) -> tuple[list[float], Any]:
        assert self._process.stdin is not None
        print(json.dumps({"dag": dag_id, **how}), file=self._process.stdin, flush=True)
        answer = self._read()
        return answer["ms"], answer["value"]

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise SystemExit("the bare runner ended; its messages are above")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def stop(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(30)


class Ours:
    """A real `dagcall serve`, with its defaults."""

    def __init__(self, folder: Path, messages: IO[str]) -> None:
        self._port = free_port()
        home = folder / "airflow-ours"
        self._process = subprocess.Popen(
            [
                *(sys.executable, "-m", "dagcall.cli", "serve", str(DAGS)),
                *("--port", str(self._port)),
                *("--journal", f"sqlite:///{folder / 'journal.db'}"),
            ],
            stdout=messages,
            stderr=messages,
            env=environment(home),
        )

    def wait_ready(self) -> None:
        end = time.monotonic() + START_LIMIT
        while time.monotonic() < end:
            if self._process.poll() is not None:
                raise SystemExit(f"the server ended with code {self._process.returncode}; its messages are above")
            with (
                contextlib.suppress(urllib.error.URLError, ConnectionError, TimeoutError),
                urllib.request.urlopen(f"http://127.0.0.1:{self._port}/call", timeout=5),
            ):
                return
            time.sleep(0.1)
        raise SystemExit(f"the server was not ready within {START_LIMIT:g} s")

    def run(self, dag_id: str, callers: int, seconds: float) -> dict[str, Any]:
        done = subprocess.run(
            [sys.executable, str(HERE / "load.py"), str(self._port), dag_id, str(callers), str(seconds)],
            capture_output=True,
            text=True,
            timeout=seconds + 60,
        )
        if done.returncode:
            raise SystemExit(f"the load generator failed:\n{done.stderr}")
        answer: dict[str, Any] = json.loads(done.stdout)
        return answer

    def cpu(self) -> dict[str, float]:
        """CPU seconds so far: of the server's process, and of all that it has started, ended ones included."""
        server = psutil.Process(self._process.pid)
        used = {"server": _own_cpu(server), "workers": 0.0}
        for process in server.children(recursive=True):
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                used["workers"] += _own_cpu(process) + times.children_user + times.children_system
        return used

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(30)
        except subprocess.TimeoutExpired:
            self._process.kill()
            raise SystemExit("the server did not stop within 30 s of SIGTERM") from None


def _own_cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def environment(home: Path) -> dict[str, str]:
    """Airflow's defaults on both sides: none of this shell's settings, no example DAGs and their listeners."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW__", "DAGCALL_"))}
    return {**kept, "AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def measure(ours: Ours, bare: Bare, plan: Plan) -> Figures:
    figures = Figures()
    for dag_id in FIGURES:  # warm both, and see that they do the same
        warm = ours.run(dag_id, 1, 1.0)["value"]
        _, value = bare.run(dag_id, seconds=1.0)
        if warm != value:
            raise SystemExit(f"{dag_id}: dagcall answered {warm!r}, the bare runner {value!r}")
    for number in range(plan.rounds):
        progress(f"latency, round {number + 1} of {plan.rounds}")
        for dag_id, seconds in plan.latency.items():
            figures.ours[dag_id] += ours.run(dag_id, 1, seconds)["ms"]
            figures.bare[dag_id] += bare.run(dag_id, seconds=seconds)[0]
    for number in range(plan.throughput_rounds):
        progress(f"throughput, round {number + 1} of {plan.throughput_rounds}")
        for dag_id in THROUGHPUT:
            for callers in CALLERS:
                before = ours.cpu()
                answer = ours.run(dag_id, callers, plan.throughput)
                after = ours.cpu()
                runs = len(answer["ms"])
                figures.rates[dag_id, callers].append(runs / answer["seconds"])
                used = {name: (after[name] - before[name]) / runs * 1000 for name in after}
                figures.cpu[dag_id, callers].append({**used, "callers": answer["cpu"] / runs * 1000})
    return figures


def result(figures: Figures, quick: bool) -> dict[str, Any]:
    ours = {f"{name}_p50_ms": median(figures.ours[dag_id]) for dag_id, name in FIGURES.items()}
    bare = {f"{name}_p50_ms": median(figures.bare[dag_id]) for dag_id, name in FIGURES.items()}
    ratios = {f"{figure}_vs_sdk_runner": round(bare[figure] / ours[figure], 2) for figure in ours}
    for dag_id in THROUGHPUT:
        ours[f"{FIGURES[dag_id]}_runs_per_s_32"] = median(figures.rates[dag_id, 32])
    latency = {
        name: {"ours": spread(figures.ours[dag_id]), "sdk_runner": spread(figures.bare[dag_id])}
        for dag_id, name in FIGURES.items()
    }
    throughput = [
        {
            "name": FIGURES[dag_id],
            "callers": callers,
            "runs_per_s": median(rates),
            "cpu_ms_per_run": {
                part: median([used[part] for used in figures.cpu[dag_id, callers]])
                for part in ("server", "workers", "callers")
            },
        }
        for (dag_id, callers), rates in figures.rates.items()
    ]
    return {
        "ours": ours,
        "ratios": ratios,
        "details": {"latency_ms": latency, "throughput": throughput, "quick": quick},
        "machine": machine(),
        "commit": commit(),
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


def median(values: list[float]) -> float:
    return round(statistics.median(values), 3)


def spread(values: list[float]) -> dict[str, float]:
    ordered = sorted(values)
    return {
        "p50": median(ordered),
        "p95": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))], 3),
        "runs": len(ordered),
    }


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "cpu": platform.processor() or platform.machine(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "airflow": importlib.metadata.version("apache-airflow-core"),
        "task_sdk": importlib.metadata.version("apache-airflow-task-sdk"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def commit() -> str | None:
    """The commit that was measured, `-dirty` when files differ from it; None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "describe", "--always", "--dirty", "--abbrev=40"], cwd=HERE, capture_output=True, text=True
    )
    return done.stdout.strip() or None


def table(found: dict[str, Any]) -> Iterator[str]:
    yield ""
    yield f"{'one caller, milliseconds':26} {'dagcall, HTTP':>16} {'bare SDK runner':>18} {'ratio':>7}"
    yield f"{'':26} {'p50':>8}{'p95':>8} {'p50':>10}{'p95':>8}    (p50)"
    for name, sides in found["details"]["latency_ms"].items():
        ours, bare = sides["ours"], sides["sdk_runner"]
        ratio = found["ratios"][f"{name}_p50_ms_vs_sdk_runner"]
        yield f"{name:26} {ours['p50']:8.2f}{ours['p95']:8.2f} {bare['p50']:10.2f}{bare['p95']:8.2f} {ratio:8.2f}"
    yield ""
    yield f"{'callers at once':20} {'runs/s':>8}   CPU ms a run: {'server':>8} {'workers':>8} {'callers':>8}"
    for row in found["details"]["throughput"]:
        cpu = row["cpu_ms_per_run"]
        yield (
            f"{row['name']:12} {row['callers']:7} {row['runs_per_s']:8.0f}"
            f"{'':17} {cpu['server']:8.2f} {cpu['workers']:8.2f} {cpu['callers']:8.2f}"
        )
    yield ""
    yield "A ratio above 1 means that dagcall is faster. Logs are on and restoration and journal too; see bench/README.md."


def progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{text}", end="", file=sys.stderr, flush=True)


def main() -> None:
    quick = os.environ.get("QUICK", "") not in ("", "0")
    with tempfile.TemporaryDirectory(prefix="dagcall-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with open(folder / "messages.txt", "w+") as messages, contextlib.ExitStack() as stack:
            stack.push(lambda kind, *_: show(messages) if kind is not None else None)
            progress("starting both sides")
            ours, bare = Ours(folder, messages), Bare(folder, messages)
            stack.callback(bare.stop)
            stack.callback(ours.stop)
            bare.wait_ready()
            ours.wait_ready()
            found = result(measure(ours, bare, QUICK if quick else FULL), quick)
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    progress("")
    print("\n".join(table(found)))


def show(messages: IO[str]) -> None:
    """What both sides said, when the benchmark ends by an error."""
    messages.flush()
    messages.seek(0)
    sys.stderr.write(messages.read()[-10_000:])


if __name__ == "__main__":
    main()
