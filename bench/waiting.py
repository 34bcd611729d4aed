"""What waiting callers cost: `python bench/waiting.py [--callers 10000] [--seconds 60] [CASE...]`, `make bench-waiting`.

A real server, real sockets, the callers in a process of their own. For each case: the growth of the server's own memory
(PSS) a caller, run included, from before the first of them to when all wait; then the CPU time of the server (user and
system, `/proc/PID/stat`), and of its family, over some seconds in which nothing happens; then all are answered. Memory
of the kernel, for sockets, is not the process's and not counted.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import psutil
from process import Process, adopt_orphans, answers, end_all, environment, free_port

HERE = Path(__file__).resolve().parent
DAGS = HERE / "waiting_dags"


@dataclass(frozen=True)
class Case:
    dag_id: str
    what: str
    workers: int | None = None
    one_run: bool = False
    method: str = "POST"


CASES = {
    "trigger": Case("waits_for_a_trigger", "each waits for a run of its own, deferred"),
    "worker": Case("waits_for_a_worker", "each waits for a run of its own, in line for one worker", 1, method="QUEUE"),
    "turn": Case("waits_its_turn", "each waits for a run of its own, in line for its turn", method="QUEUE"),
    "one": Case("waits_for_a_trigger", "all wait for one run", one_run=True),
}


class Server:
    def __init__(self, folder: Path, messages: Path, workers: int | None) -> None:
        self.port = free_port()
        home = folder / "airflow"
        home.mkdir()
        command = [sys.executable, "-m", "dagcall.cli", "serve", str(DAGS), "--port", str(self.port)]
        command += ["--journal", f"sqlite:///{home / 'journal.db'}"]
        command += [] if workers is None else ["--workers", str(workers)]
        self.process = Process("dagcall", command, environment(home), messages)
        self.process.wait_until(lambda: answers(f"http://127.0.0.1:{self.port}/call"))
        self.server = psutil.Process(self.process.popen.pid)

    def call(self, dag_id: str, until: float, wait: bool) -> str:
        """The run's path."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}/call/{dag_id}",
            json.dumps({"until": until}).encode(),
            {"Content-Type": "application/json", "Prefer": "wait=60" if wait else "respond-async"},
        )
        with urllib.request.urlopen(request) as answer:
            return answer.headers["Location"]

    def memory(self) -> int:
        return self.server.memory_full_info().pss

    def cpu(self) -> float:
        times = self.server.cpu_times()
        return times.user + times.system

    def others(self) -> dict[int, tuple[str, float, int]]:
        found = {}
        for one in self.server.children(recursive=True):
            times = one.cpu_times()
            found[one.pid] = (" ".join(one.cmdline()).strip(), times.user + times.system, one.memory_full_info().pss)
        return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--callers", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("cases", nargs="*", default=list(CASES), metavar="CASE", help=", ".join(CASES))
    arguments = parser.parse_args()
    adopt_orphans()
    for name in arguments.cases:
        with tempfile.TemporaryDirectory(prefix="dagcall-bench-", ignore_cleanup_errors=True) as folder:
            try:
                measure(Path(folder), CASES[name], arguments.callers, arguments.seconds)
            finally:
                end_all()


def measure(folder: Path, case: Case, callers: int, seconds: float) -> None:
    messages = folder / "messages"
    messages.mkdir()
    server = Server(folder, messages, case.workers)
    for _ in range(3):
        server.call(case.dag_id, 0.0, wait=True)
    until = time.time() + 100 + callers / 150 + seconds
    path, method, body = f"/call/{case.dag_id}", case.method, json.dumps({"until": until})
    if case.one_run:
        path, method, body = server.call(case.dag_id, until, wait=False), "GET", ""
    before, others_before = server.memory(), server.others()
    begun = time.monotonic()
    script = [sys.executable, str(HERE / "waiting_callers.py"), str(server.port), str(callers), method, path, body]
    with subprocess.Popen(script, stdout=subprocess.PIPE, text=True) as waiting:
        assert waiting.stdout is not None
        assert waiting.stdout.readline() == "waiting\n"
        until_quiet(server)
        took = time.monotonic() - begun
        after, others_after = server.memory(), server.others()
        cpu, at = server.cpu(), time.monotonic()
        time.sleep(seconds)
        used, lasted = server.cpu() - cpu, time.monotonic() - at
        others_used = server.others()
        print(f"{case.what}: {callers} callers, all there after {took:.0f} s")
        print(f"  server: {(after - before) / callers / 1024:.1f} kB a caller ({after / 2**20:.0f} MB)")
        print(f"  server: {used:.2f} s of CPU in {lasted:.0f} s")
        for pid, (name, cpu_now, memory) in sorted(others_used.items()):
            if pid in others_after and cpu_now - others_after[pid][1] > 0.0:
                print(f"  {name}: {cpu_now - others_after[pid][1]:.2f} s of CPU")
            if pid in others_before and memory - others_before[pid][2] > callers * 100:
                print(f"  {name}: {(memory - others_before[pid][2]) / callers / 1024:.1f} kB a caller")
        if case.dag_id == "waits_for_a_trigger":
            answered = json.loads(waiting.stdout.readline())
            print(f"  answered: {answered}, {time.time() - until:.1f} s after the event")
        waiting.terminate()
    server.process.popen.send_signal(2)
    server.process.stop()


def until_quiet(server: Server) -> None:
    """All calls have been taken in, and their runs have come to where they wait."""
    quiet = 0
    while quiet < 2:
        before = server.cpu() + server.process.cpu()[1]
        time.sleep(1.0)
        quiet = quiet + 1 if server.cpu() + server.process.cpu()[1] - before <= 0.05 else 0


if __name__ == "__main__":
    main()
