"""`make bench`: dagcall over HTTP, the bare Task SDK runner and stock Airflow, on the same DAG files in one run.

Prints a table and writes `results/latest.json` and `results/latency.svg`. What is compared, and what is not, is in
`README.md`. `QUICK=1` leaves stock Airflow out, and the picture as it is.
"""

import json
import os
import signal
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

from figures import results
from machine import commit, machine
from measure import Measuring, progress
from picture import medians, picture
from plan import FULL, QUICK
from process import adopt_orphans, end_all
from report import table

RESULTS = Path(__file__).resolve().parent / "results"


def main() -> None:
    quick = os.environ.get("QUICK", "") not in ("", "0")
    signal.signal(signal.SIGTERM, stop)
    adopt_orphans()
    started, on = time.time(), machine()
    with tempfile.TemporaryDirectory(prefix="dagcall-bench-", ignore_cleanup_errors=True) as name, ExitStack() as stack:
        messages = Path(name) / "messages"
        messages.mkdir()
        stack.push(lambda kind, *_: show(messages) if kind is not None else None)
        stack.callback(end_all)
        measuring = Measuring(QUICK if quick else FULL, Path(name), messages)
        measuring.run()
    found = results(measuring.phases, measuring.cold_ms)
    found["details"] |= {"quick": quick, "minutes": round((time.time() - started) / 60, 1)}
    found |= {"machine": on, "commit": commit(), "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started))}
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(found, indent=1) + "\n")
    if not quick:
        (RESULTS / "latency.svg").write_text(picture(medians(found)))
    progress("")
    print("\n".join(table(found)))


def stop(number: int, frame: FrameType | None) -> None:
    """Ends as by an error, so that nothing is left running."""
    raise SystemExit(f"the benchmark was ended by {signal.Signals(number).name}")


def show(messages: Path) -> None:
    """The last that each process said, when the benchmark ends by an error."""
    for path in sorted(messages.iterdir()):
        if path.stat().st_size:
            sys.stderr.write(f"\n--- {path.name}\n{path.read_text(errors='replace')[-3000:]}")


if __name__ == "__main__":
    main()
