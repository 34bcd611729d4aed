"""`results/latency.svg`: how long one call takes, by side, on a logarithmic axis.

Colours are of a medium brightness, so that they can be read on a light and on a dark page: an image does not know
which of the two a reader of GitHub has chosen.
"""

import math
from collections.abc import Iterator
from html import escape
from typing import Any

SHAPES = {
    "one_task": "one task",
    "ask_astro": "nine tasks: 1 → 3 mapped → 1 → 3 mapped → 1",
    "fanout_200": "fan-out: 1 → 200 mapped → 1",
}
SIDES = {
    "ours": ("dagcall, over HTTP", "#2f81f7"),
    "sdk_runner": ("bare task runner", "#8b949e"),
    "tuned": ("stock Airflow, tuned", "#d29922"),
    "stock": ("stock Airflow, defaults", "#db6d28"),
}
"""Side to its label and colour."""
TEXT = "#768390"
WIDTH, LEFT, RIGHT = 820, 190, 90
BAR, GAP, HEADING = 16, 5, 30


def picture(latencies: dict[str, dict[str, float]]) -> str:
    """SVG of `latencies`: name of the figures to side to milliseconds."""
    values = [ms for of in latencies.values() for ms in of.values()]
    low, high = math.floor(math.log10(min(values))), math.floor(math.log10(max(values))) + 1

    def x(ms: float) -> float:
        return LEFT + (math.log10(ms) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    bars: list[str] = []
    y = 8
    for name, label in SHAPES.items():
        y += HEADING
        bars.append(f'<text x="0" y="{y - 8}" font-weight="600">{escape(label)}</text>')
        for side, (title, colour) in SIDES.items():
            if side in latencies[name]:
                ms = latencies[name][side]
                bars.append(f'<text x="{LEFT - 8}" y="{y + 12}" text-anchor="end">{escape(title)}</text>')
                bars.append(
                    f'<rect x="{LEFT}" y="{y}" width="{x(ms) - LEFT:.1f}" height="{BAR}" rx="2" fill="{colour}"/>'
                )
                bars.append(f'<text x="{x(ms) + 6:.1f}" y="{y + 12}">{duration(ms)}</text>')
                y += BAR + GAP
    grid = [
        f'<path d="M{x(10.0**power):.1f} 12V{y + 4}" stroke="{TEXT}" stroke-opacity=".35"/>'
        f'<text x="{x(10.0**power):.1f}" y="{y + 20}" text-anchor="middle">{duration(10.0**power)}</text>'
        for power in range(low, high + 1)
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 28}" role="img" '
            f'aria-labelledby="title desc" font-family="system-ui, sans-serif" font-size="13" fill="{TEXT}">',
            '<title id="title">How long one call of a DAG takes, median, logarithmic axis</title>',
            f'<desc id="desc">{escape(" ".join(described(latencies)))}</desc>',
            *grid,
            f'<text x="0" y="{y + 20}">median, logarithmic</text>',
            *bars,
            "</svg>\n",
        ]
    )


def described(latencies: dict[str, dict[str, float]]) -> Iterator[str]:
    """The figures in words, for who cannot see the bars."""
    for name, label in SHAPES.items():
        of = latencies[name]
        yield f"{label}: " + ", ".join(f"{SIDES[side][0]} {duration(of[side])}" for side in SIDES if side in of) + "."


def medians(found: dict[str, Any]) -> dict[str, dict[str, float]]:
    """What `picture` takes, from the benchmark's results."""
    return {
        name: {
            row["side"]: row["p50_ms"]
            for row in reversed(found["details"]["loads"])
            if row["name"] == name and row["callers"] == 1 and not row["phase"].startswith("after_")
        }
        for name in SHAPES
    }


def duration(ms: float) -> str:
    if ms >= 1000:
        return f"{ms / 1000:.3g} s"
    return f"{ms:.3g} ms" if ms < 100 else f"{ms:.0f} ms"
