"""The table that `make bench` prints, from what it writes to `results/latest.json`."""

from collections.abc import Iterable, Iterator
from typing import Any

COLUMNS = {"ours": "dagcall", "sdk_runner": "bare runner", "tuned": "stock, tuned", "stock": "stock"}
"""Side to its heading, from the quickest to the slowest."""

Rows = list[dict[str, Any]]


def table(found: dict[str, Any]) -> Iterator[str]:
    details = found["details"]
    rows = [row for row in details["loads"] if not row["phase"].startswith(("after_", "durability_"))]
    sides = [side for side in COLUMNS if any(row["side"] == side for row in rows)]
    yield from latency(rows, sides, found["ratios"])
    yield from throughput(rows, sides, found["ratios"])
    yield from cpu_time(rows)
    yield from ours_alone(details)
    yield from drift(details["drift"])
    yield ""
    yield "A ratio above 1 means that dagcall is faster. Logs, restoration and journal are on; see bench/README.md."


def latency(rows: Rows, sides: list[str], ratios: dict[str, float]) -> Iterator[str]:
    yield ""
    yield line("one caller, p50 / p95 ms", (COLUMNS[side] for side in sides))
    for name, of in by_name(rows, 1).items():
        if len(of) > 1:
            values = (
                f"{number(of[side]['p50_ms'])} / {number(of[side]['p95_ms'])}" if side in of else "" for side in sides
            )
            yield line(name, with_ratios(values, f"{name}_p50_ms", sides, ratios))


def throughput(rows: Rows, sides: list[str], ratios: dict[str, float]) -> Iterator[str]:
    yield ""
    yield line("callers at once, runs/s", (COLUMNS[side] for side in sides))
    for callers in sorted({row["callers"] for row in rows}):
        for name, of in by_name(rows, callers).items():
            if callers > 1 or len(of) > 1:
                values = (number(of[side]["runs_per_s"]) if side in of else "" for side in sides)
                yield line(f"{name:18}{callers:4}", with_ratios(values, f"{name}_runs_per_s_{callers}", sides, ratios))


def with_ratios(values: Iterable[str], figure: str, sides: list[str], ratios: dict[str, float]) -> Iterator[str]:
    for side, value in zip(sides, values, strict=True):
        ratio = ratios.get(f"{figure}_vs_{side}")
        yield value if ratio is None else f"{value} ({number(ratio)} x)"


def cpu_time(rows: Rows) -> Iterator[str]:
    yield ""
    yield "CPU ms a run, by part"
    for row in rows:
        if row["callers"] >= 32 or (row["callers"] == 1 and row["phase"] != "crowds"):
            parts = ", ".join(f"{part} {number(ms)}" for part, ms in row["cpu_ms_per_run"].items())
            yield f"{row['name']:18}{row['callers']:5}   {COLUMNS[row['side']]:14}{parts}"


def ours_alone(details: dict[str, Any]) -> Iterator[str]:
    real, fan, cold = details["realistic"], details["fanout"], details["cold_file"]
    yield ""
    yield (
        f"realistic, {real['callers']} callers: p50 {number(real['p50_ms'])} ms, p95 {number(real['p95_ms'])} ms, "
        f"which is {number(real['p95_ms_above_critical_path'])} ms above its critical path of "
        f"{number(real['critical_path_ms'])} ms"
    )
    yield (
        f"fan-out of 2,000: {number(fan['fanout_2000_p50_ms'])} ms, of 200: {number(fan['fanout_200_p50_ms'])} ms; "
        f"ten times as wide costs {number(fan['cost_ratio'])} times as much"
    )
    levels = details["durability"]
    for figure, none in levels["none"].items():
        costs = (
            f"{level} {number(levels[level][figure])} ms ({over[figure]:+.0%})"
            for level, over in levels["over_none"].items()
        )
        yield f"{figure.removesuffix('_p50_ms')} by durability: none {number(none)} ms, {', '.join(costs)}"
    yield (
        f"first call of a file, {cold['files']} files: p50 {number(cold['p50_ms'])} ms, "
        f"the slowest {number(cold['max_ms'])} ms"
    )


def drift(figures: dict[str, list[float]]) -> Iterator[str]:
    if figures:
        yield ""
        yield line("dagcall, as time went by", ("at first", "after stock", "after tuned"))
        for figure, values in figures.items():
            yield line(figure, map(number, values))


def by_name(rows: Rows, callers: int) -> dict[str, dict[str, dict[str, Any]]]:
    """Name to side to row; the first one where a side has several."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for row in rows:
        if row["callers"] == callers:
            found.setdefault(row["name"], {}).setdefault(row["side"], row)
    return found


def line(heading: str, cells: Iterable[str]) -> str:
    return f"{heading:24}" + "".join(f"{cell:>25}" for cell in cells)


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
