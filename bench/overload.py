"""What a server does with ten times the calls that it can answer: `python bench/overload.py [--seconds 60]`.

Its capacity is set by its workers: a task that sleeps for 100 ms on N workers gives 10 N runs a second. Measured are
the answers a second at twice that rate for ten seconds (the peak), then at ten times that rate, in an open loop; how
long refusals take; the memory of the server; health all the while; and how soon after the load a call takes as long as
before it.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from pathlib import Path

import psutil
from process import Process, adopt_orphans, end_all, free_port

HERE = Path(__file__).resolve().parent
DAG_ID = "sleep_100ms"


def offer(port: int, rate: float, seconds: float) -> list[list[float]]:
    command = [sys.executable, str(HERE / "open_loop.py"), str(port), DAG_ID, str(rate), str(seconds)]
    answers: list[list[float]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answers


def percentile(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))] if values else 0.0


def get(url: str) -> float:
    """Milliseconds until the answer."""
    begun = time.perf_counter()
    with urllib.request.urlopen(url, timeout=30) as answer:
        answer.read()
    return (time.perf_counter() - begun) * 1000


def call(url: str) -> float:
    begun = time.perf_counter()
    request = urllib.request.Request(f"{url}/call/{DAG_ID}", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - begun) * 1000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--workers", type=int, default=10)
    parser.add_argument("--times", type=float, default=10.0)
    arguments = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="dagcall-bench-", ignore_cleanup_errors=True) as name:
        messages = Path(name) / "messages"
        messages.mkdir()
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        command = [str(Path(sys.executable).parent / "dagcall"), "serve", str(HERE / "overload_dags")]
        command += ["--port", str(port), "--workers", str(arguments.workers)]
        environment = os.environ | {"AIRFLOW_HOME": name, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        server = Process("dagcall", command, environment, messages)
        try:
            server.wait_until(lambda: answers(f"{url}/call"))
            measure(server, port, arguments.workers * 10, arguments.times, arguments.seconds)
        except BaseException:
            sys.stderr.write((messages / "dagcall.txt").read_text()[-3000:])
            raise
        finally:
            server.stop()
            end_all()


def answers(url: str) -> bool:
    try:
        get(url)
    except OSError:
        return False
    return True


def measure(server: Process, port: int, capacity: float, times: float, seconds: float) -> None:
    url = f"http://127.0.0.1:{port}"
    offer(port, capacity * 2, 3)  # until all workers are there
    time.sleep(3)
    before = statistics.median(call(url) for _ in range(20))
    peak = goodput(offer(port, capacity * 2, 10), 10)
    time.sleep(3)
    process = psutil.Process(server.popen.pid)
    health: list[float] = []
    memory: list[float] = []
    over = threading.Event()

    def watch() -> None:
        while not over.wait(0.5):
            health.append(get(f"{url}/api/v2/monitor/health"))
            memory.append(process.memory_info().rss / 2**20)

    watching = threading.Thread(target=watch)
    watching.start()
    cpu = process.cpu_times()
    begun = time.perf_counter()
    loading = subprocess.Popen(
        [sys.executable, str(HERE / "open_loop.py"), str(port), DAG_ID, str(capacity * times), str(seconds)],
        stdout=subprocess.PIPE,
    )
    time.sleep(max(0.0, begun + seconds + 0.5 - time.perf_counter()))
    ended = time.perf_counter()
    while (took := call(url)) > before * 1.5:
        pass
    recovered = time.perf_counter() - ended
    said = loading.communicate()[0]
    over.set()
    watching.join()
    used = process.cpu_times()
    found = json.loads(said)
    refused = [ms for _, ms, status, _ in found if status in (429, 503)]
    waits = [seconds for _, _, status, seconds in found if status in (429, 503)]
    done = [ms for _, ms, status, _ in found if status == 200]
    others = sorted({int(status) for _, _, status, _ in found} - {200, 429, 503})
    good = goodput(found, seconds)
    half = len(memory) // 2
    print(f"offered        {len(found) / seconds:8.0f} calls/s for {seconds:g} s, capacity {capacity:g}/s")
    print(f"peak           {peak:8.1f} answers/s at twice the capacity")
    print(f"goodput        {good:8.1f} answers/s, {good / peak:.0%} of the peak")
    print(f"answered after {percentile(done, 0.5):8.0f} ms p50, {percentile(done, 0.99):.0f} p99")
    print(
        f"refused        {len(refused):8} calls, after {percentile(refused, 0.5):.1f} ms p50, "
        f"{percentile(refused, 0.99):.1f} p99; Retry-After {min(waits, default=0):g} to {max(waits, default=0):g} s"
    )
    print(f"anything else  {others or 'nothing'}")
    print(f"health         {percentile(health, 0.5):8.1f} ms p50, {max(health):.1f} at most")
    print(
        f"memory         {memory[0]:8.1f} MB at first, {max(memory[:half]):.1f} at most in the first half, "
        f"{max(memory[half:]):.1f} in the second"
    )
    print(f"CPU            {(used.user + used.system - cpu.user - cpu.system) / seconds:8.2f} of one core")
    print(f"recovered      {recovered:8.2f} s after the load: a call takes {took:.0f} ms, {before:.0f} before")


def goodput(found: list[list[float]], seconds: float) -> float:
    """Answers a second, among those that came while calls did."""
    return sum(status == 200 and at + ms / 1000 <= seconds for at, ms, status, _ in found) / seconds


if __name__ == "__main__":
    main()
