"""How soon an answer comes: `python bench/answers.py [--samples 30] [--readers 1000]`, `make bench-answers`.

From the time stamp that the deciding task writes as its last act (`answer_dags/`) to the caller's receipt of the whole
answer, over a real socket; side branch, teardown and callbacks take five seconds each and go on meanwhile. First without
anybody else, then with so many readers of the run's events, in a process of their own.
"""

import argparse
import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from process import adopt_orphans, end_all
from sides import HERE, Ours

DAGS = HERE / "answer_dags"
DAG_IDS = ("value", "chain", "failure")
PAUSE = 0.5
"""Seconds between two calls: what a run leaves to be done has begun, and sleeps."""


class Calls:
    """One keep-alive connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def ask(self, method: str, path: str, body: dict[str, str] | None = None, prefer: str = "wait=30") -> float | str:
        """The time stamp that the answer holds, in milliseconds before now; of 202 the run's path."""
        headers = {"Content-Type": "application/json", "Prefer": prefer}
        self._connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = self._connection.getresponse()
        data = answer.read()
        now = time.time()
        if answer.status == 202:
            return answer.headers["Location"]
        found = json.loads(data)
        if answer.status not in (200, 500):
            raise SystemExit(f"a call was answered with {answer.status}: {found}")
        return (now - float(found if answer.status == 200 else found["error"]["message"])) * 1000


def alone(port: int, samples: int) -> dict[str, list[float]]:
    calls, found = Calls(port), {dag_id: [] for dag_id in DAG_IDS}
    for _ in range(samples):
        for dag_id, ms in found.items():
            ms.append(calls.ask("POST", f"/call/{dag_id}", {}))
            time.sleep(PAUSE)
    return found


def with_readers(port: int, samples: int, readers: int, folder: Path) -> dict[str, list[float]]:
    calls, found = Calls(port), {dag_id: [] for dag_id in DAG_IDS}
    script = [sys.executable, str(HERE / "answer_readers.py"), str(port), str(readers)]
    with subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reading:
        assert reading.stdin is not None
        assert reading.stdout is not None
        for number in range(samples):
            for dag_id, ms in found.items():
                gate = folder / f"{dag_id}-{number}"
                os.mkfifo(gate)
                path = calls.ask("POST", f"/call/{dag_id}", {"gate": str(gate)}, "respond-async")
                print(path, file=reading.stdin, flush=True)
                assert reading.stdout.readline() == "reading\n"
                opener = subprocess.Popen(["/bin/sh", "-c", f"sleep 0.3; : > {gate}"])
                ms.append(calls.ask("GET", str(path)))
                assert reading.stdout.readline() == "done\n"
                opener.wait()
                time.sleep(PAUSE)
        reading.stdin.close()
    return found


def show(title: str, found: dict[str, list[float]]) -> None:
    for dag_id, ms in found.items():
        p95 = statistics.quantiles(ms, n=20)[-1]
        print(f"{title:24} {dag_id:8} p50 {statistics.median(ms):6.1f} ms   p95 {p95:6.1f} ms   {len(ms)} calls")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=30)
    parser.add_argument("--readers", type=int, default=1000)
    arguments = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="dagcall-bench-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / "messages").mkdir()
        ours = Ours(folder, folder / "messages", DAGS)
        try:
            ours.wait_ready()
            alone(ours.port, 3)
            print("load average", *(f"{load:.2f}" for load in os.getloadavg()))
            show("nobody else", alone(ours.port, arguments.samples))
            title = f"{arguments.readers} readers"
            show(title, with_readers(ours.port, arguments.samples, arguments.readers, folder))
        finally:
            end_all()


if __name__ == "__main__":
    main()
