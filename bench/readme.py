"""The README's measured table, from `results/latest.json`: `python bench/readme.py` writes it into the README.

A test holds the README to it, so that the figures on the first screen are those of the last full run.
"""

import json
import re
from pathlib import Path
from typing import Any

from report import number

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
LATEST = ROOT / "bench" / "results" / "latest.json"
BLOCK = re.compile(r"(?<=<!-- measured -->\n).*?(?=<!-- /measured -->)", re.DOTALL)

ROWS = {
    "one_task": "one task",
    "ask_astro": "nine tasks, 1 → 3 mapped → 1 → 3 mapped → 1",
    "fanout_200": "1 → 200 mapped → 1",
    "realistic": "nine tasks with log lines, 20 kB between them, 200 ms of waiting",
}
SIDES = {"sdk_runner": "Airflow's bare task runner", "tuned": "Airflow, tuned", "stock": "Airflow, defaults"}


def table(found: dict[str, Any]) -> str:
    """Markdown. Raises StopIteration when the run was not a full one."""
    lines = [
        f"| median of a call, one caller, {found['machine']['cpus']} cores | dagcall | {' | '.join(SIDES.values())} |",
        "|---|---|---|---|---|",
    ]
    for name, heading in ROWS.items():
        cells = [milliseconds(median(found, "ours", name))]
        for side in SIDES:
            ratio = found["ratios"][f"{name}_p50_ms_vs_{side}"]
            cells.append(f"{milliseconds(median(found, side, name))} ({number(ratio)} x)")
        lines.append(f"| {heading} | **{cells[0]}** | {' | '.join(cells[1:])} |")
    rates = [f"{number(found['ours'][f'{name}_runs_per_s_32'])}" for name in ("one_task", "ask_astro")]
    lines.append(f"| runs a second, 32 callers: one task; nine tasks | **{'; '.join(rates)}** | | | |")
    return "\n".join(lines) + "\n"


def median(found: dict[str, Any], side: str, name: str) -> float:
    rows = found["details"]["loads"]
    ms: float = next(row["p50_ms"] for row in rows if (row["side"], row["name"], row["callers"]) == (side, name, 1))
    return ms


def milliseconds(ms: float) -> str:
    return f"{number(ms)} ms" if ms < 1000 else f"{number(ms / 1000)} s"


def main() -> None:
    text = README.read_text()
    README.write_text(BLOCK.sub(lambda _: table(json.loads(LATEST.read_text())), text))


if __name__ == "__main__":
    main()
