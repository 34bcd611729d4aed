"""`make demo`: start a server on the example DAGs, ask one a question, show the answer and what it cost, stop."""

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import dagcall
from dagcall.testing.ports import free_port

CHECKOUT = Path(__file__).resolve().parent.parent
QUESTION = "What is the maximum number of task instances that can run at once?"
START_LIMIT = 120.0
REPEATS = 20


def main() -> int:
    port = free_port()
    print("Starting `dagcall serve examples/dags` (SQLite journal, local warm workers) ...", flush=True)
    begun = time.monotonic()
    server = subprocess.Popen(
        [str(Path(sys.executable).with_name("dagcall")), "serve", "examples/dags", "--port", str(port)],
        cwd=CHECKOUT,
        env={**os.environ, "AIRFLOW_HOME": os.environ.get("AIRFLOW_HOME", str(CHECKOUT / ".cache" / "demo"))},
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        with dagcall.Client(f"http://127.0.0.1:{port}") as client:
            _wait_until_loaded(client, server)
            print(f"Ready after {time.monotonic() - begun:.1f} s.\n")
            _ask(client)
        _show_next_steps()
        return 0
    except dagcall.DagcallError as error:
        print(f"The demo failed: {error}", file=sys.stderr)
        return 1
    finally:
        server.send_signal(signal.SIGTERM)
        _, messages = server.communicate(timeout=60)
        if server.returncode:
            print(messages, file=sys.stderr)


def _ask(client: dagcall.Client) -> None:
    answer, first = _timed_call(client)
    warm = sorted(_timed_call(client)[1] for _ in range(REPEATS))
    print(f'client.call("ask_astro", question="{QUESTION}")\n')
    print(textwrap.fill(answer["answer"], 100, initial_indent="  ", subsequent_indent="  "))
    print("\n  Sources:")
    for source in answer["sources"]:
        print(f"    - {source['title']}  ({source['location']})")
    print(f"\n  {first * 1000:.0f} ms for the first call, {warm[len(warm) // 2] * 1000:.1f} ms at p50 from then on:")
    print("  five steps, nine task instances, each one recorded, logged, and run by Airflow's own task runner.\n")


def _timed_call(client: dagcall.Client) -> tuple[Any, float]:
    begun = time.perf_counter()
    answer = client.call("ask_astro", question=QUESTION)
    return answer, time.perf_counter() - begun


def _show_next_steps() -> None:
    print("Next:")
    print("  make serve                                       the server, on http://127.0.0.1:8274")
    print('  .venv/bin/dagcall call ask_astro -p question="How do I wait for a file?"')
    print("  curl -d '{\"question\": \"Where are logs stored?\"}' -H 'Content-Type: application/json' \\")
    print("       http://127.0.0.1:8274/call/ask_astro")
    print("  .venv/bin/dagcall dags check YOUR_DAGS_FOLDER    which of your DAGs can be called, and why not")


def _wait_until_loaded(client: dagcall.Client, server: "subprocess.Popen[str]") -> None:
    """GET /call answers 200 once every file is loaded."""
    deadline = time.monotonic() + START_LIMIT
    while True:
        try:
            client.dags()
            return
        except dagcall.errors.Unavailable:
            if server.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


if __name__ == "__main__":
    sys.exit(main())
