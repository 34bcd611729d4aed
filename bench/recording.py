"""What it costs to have runs recorded in Airflow, and how many can be: `python bench/recording.py [--seconds 30]`.

Two real servers on the same DAG files, one that records into a migrated metadata database on PostgreSQL (with its
defaults, on this machine), one that does not. First calls at a rate that leaves the machine idle most of the time, then one caller who calls again and again,
both in turns, so that both servers see the same moods of the machine. Then calls of `one_task` at a constant rate, whether
those before them were answered or not; what the database has when the last is answered, and how long until it has all.
Exits with 1 when a run is neither recorded nor told to be shed.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

import psycopg2
from process import adopt_orphans, end_all
from sides import HERE, Ours
from stock import AIRFLOW, Installation

ROUNDS = 4
PATIENCE = 120.0


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the constant rate")
    parser.add_argument("--rate", type=float, default=200.0, help="calls a second")
    arguments = parser.parse_args()
    adopt_orphans()
    with tempfile.TemporaryDirectory(prefix="dagcall-bench-", ignore_cleanup_errors=True) as name:
        messages = Path(name) / "messages"
        messages.mkdir()
        installation = Installation(Path(name), messages)
        try:
            installation.migrate()
            with open(messages / "reserialize.txt", "wb") as said:  # what Airflow's dag-processor would do
                subprocess.run(
                    [*AIRFLOW, "dags", "reserialize"],
                    env=installation.environment,
                    stdout=said,
                    stderr=said,
                    check=True,
                )
            servers = {
                mode: Ours(
                    Path(name),
                    messages,
                    name=mode,
                    settings={**installation.environment, "AIRFLOW__DAGCALL__RECORD": mode},
                )
                for mode in ("none", "all")
            }
            for server in servers.values():
                server.wait_ready()
            show_latency(servers)
            complete = show_rate(servers["all"], installation, arguments.rate, arguments.seconds)
            for server in servers.values():
                server.stop()
        finally:
            installation.stop()
            end_all()
    return 0 if complete else 1


def show_latency(servers: dict[str, Ours]) -> None:
    for what, take in (("20 calls a second", paced), ("one caller", in_a_row)):
        took: dict[str, list[float]] = {name: [] for name in servers}
        for turn in range(ROUNDS + 1):
            for name, server in servers.items():
                ms = take(server, 4.0 if turn else 1.0)
                took[name] += ms if turn else []  # the first turn warms up
        for word, measure in (("p50", statistics.median), ("mean", statistics.fmean)):
            of = {name: measure(ms) for name, ms in took.items()}
            shown = ", ".join(f"record={name} {word} {ms:.2f} ms" for name, ms in of.items())
            print(f"one_task, {what}: {shown}, ratio {of['all'] / of['none']:.3f}", flush=True)


def in_a_row(server: Ours, seconds: float) -> list[float]:
    return server.run("one_task", 1, seconds).ms


def paced(server: Ours, seconds: float) -> list[float]:
    return [ms for _, ms, _, _ in offer(server, 20.0, seconds)]


def offer(server: Ours, rate: float, seconds: float) -> list[list[float]]:
    command = [sys.executable, str(HERE / "open_loop.py"), str(server.port), "one_task", str(rate), str(seconds)]
    answers: list[list[float]] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return answers


def show_rate(server: Ours, installation: Installation, rate: float, seconds: float) -> bool:
    while counter(server, "waiting"):  # of those before
        time.sleep(0.1)
    before, cpu = recorded(installation), server.cpu()
    begun = time.monotonic()
    answers = offer(server, rate, seconds)
    took = time.monotonic() - begun
    answered = sum(status == 200 for _, _, status, _ in answers)
    at_once = recorded(installation) - before
    end = time.monotonic()
    while (found := recorded(installation) - before) + counter(server, "shed_total") < answered:
        if time.monotonic() > end + PATIENCE:
            break
        time.sleep(0.1)
    later = time.monotonic() - end
    shed = counter(server, "shed_total")
    used = {part: after - cpu[part] for part, after in server.cpu().items()}
    p50 = statistics.median(ms for _, ms, status, _ in answers if status == 200)
    print(
        f"one_task at {rate:g} calls a second: {answered} of {len(answers)} answered in {took:.1f} s, p50 {p50:.2f} ms"
    )
    print(f"recorded: {at_once} when the last was answered, {found} {later:.1f} s later; shed: {shed:g}")
    print(
        f"CPU a run: server {used['server'] / answered * 1000:.2f} ms, its other processes {used['workers'] / answered * 1000:.2f} ms"
    )
    return found + shed >= answered


def counter(server: Ours, name: str) -> float:
    """Of `dagcall_recording_...` in /metrics."""
    with urllib.request.urlopen(f"http://127.0.0.1:{server.port}/metrics", timeout=60) as answer:
        lines = answer.read().decode().splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"dagcall_recording_{name} "))


def recorded(installation: Installation) -> int:
    address = installation.environment["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"].replace("+psycopg2", "")
    connection = psycopg2.connect(address)
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM dag_run WHERE dag_id = 'one_task'")
            (count,) = cursor.fetchone() or (0,)
    finally:
        connection.close()
    return int(count)


if __name__ == "__main__":
    sys.exit(main())
