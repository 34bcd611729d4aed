"""Samples to figures, and the figures of two sides to ratios.

A figure is `<name>_p50_ms`, `<name>_p95_ms` (with `_<callers>` behind it where there was more than one caller) or
`<name>_runs_per_s_<callers>`.
"""

import statistics
from collections.abc import Mapping
from typing import Any

from plan import CRITICAL_PATH_MS, LEVELS, MANY_CALLERS
from samples import Phase, Sample

SIDES = {
    "turns": "ours",
    "sdk_runner": "sdk_runner",
    "crowds": "ours",
    **{f"durability_{level}": "ours" for level in LEVELS},
    "stock": "stock",
    "after_stock": "ours",
    "tuned": "tuned",
    "after_tuned": "ours",
}
"""Phase to what was measured in it, in the order of a run."""
PROMISED = (
    "one_task_p50_ms",
    "ask_astro_p50_ms",
    "fanout_200_p50_ms",
    "one_task_runs_per_s_32",
    "ask_astro_runs_per_s_32",
)

Figures = dict[str, float]


def results(phases: Mapping[str, Phase], cold_ms: list[float]) -> dict[str, Any]:
    """`ours`, `ratios` and `details` of `results/latest.json`."""
    of = {phase: figures(samples) for phase, samples in phases.items()}
    first = {**of["crowds"], **of["turns"]}
    ratios = compare(first, any_number_of_callers(of["sdk_runner"]), "sdk_runner")
    if "stock" in of:
        ratios |= compare(mean(first, of["after_stock"]), of["stock"], "stock")
        ratios |= compare(mean(of["after_stock"], of["after_tuned"]), of["tuned"], "tuned")
    many = phases["crowds"]["realistic", MANY_CALLERS]
    wide, narrow = (statistics.median(phases["crowds"][name, 1].ms) for name in ("fanout_2000", "fanout_200"))
    return {
        "ours": {figure: rounded(first[figure]) for figure in PROMISED},
        "ratios": {figure: rounded(ratio) for figure, ratio in ratios.items()},
        "details": {
            "loads": [row for phase, samples in phases.items() for row in rows(phase, samples)],
            "realistic": {
                "critical_path_ms": CRITICAL_PATH_MS,
                "callers": MANY_CALLERS,
                "p50_ms": rounded(p50(many.ms)),
                "p95_ms": rounded(p95(many.ms)),
                "p95_ms_above_critical_path": rounded(p95(many.ms) - CRITICAL_PATH_MS),
            },
            "fanout": {
                "fanout_200_p50_ms": rounded(narrow),
                "fanout_2000_p50_ms": rounded(wide),
                "cost_ratio": rounded(wide / narrow),
            },
            "durability": durability({level: of[f"durability_{level}"] for level in LEVELS}),
            "cold_file": {"files": len(cold_ms), "p50_ms": rounded(p50(cold_ms)), "max_ms": rounded(max(cold_ms))},
            "drift": {
                figure: [rounded(at[figure]) for at in (first, of["after_stock"], of["after_tuned"])]
                for figure in of.get("after_tuned", {})
                if figure.endswith(("_p50_ms", "_per_s_32"))
            },
        },
    }


def durability(levels: Mapping[str, Figures]) -> dict[str, Any]:
    """Medians by level, and what the others cost over `none`, as a part of it."""
    medians = {
        level: {figure: value for figure, value in of.items() if figure.endswith("_p50_ms")}
        for level, of in levels.items()
    }
    over_none = {
        level: {figure: rounded(value / medians["none"][figure] - 1) for figure, value in of.items()}
        for level, of in medians.items()
        if level != "none"
    }
    shown = {level: {figure: rounded(value) for figure, value in of.items()} for level, of in medians.items()}
    return {**shown, "over_none": over_none}


def figures(phase: Phase) -> Figures:
    found: Figures = {}
    for (name, callers), sample in phase.items():
        several = f"_{callers}" if callers > 1 else ""
        found[f"{name}_p50_ms{several}"] = p50(sample.ms)
        found[f"{name}_p95_ms{several}"] = p95(sample.ms)
        found[f"{name}_runs_per_s_{callers}"] = p50(sample.rates)
    return found


def any_number_of_callers(bare: Figures) -> Figures:
    """The bare runner does one run after the other: its runs a second are those of one caller, whoever waits."""
    rates = {figure.removesuffix("_1"): rate for figure, rate in bare.items() if figure.endswith("_runs_per_s_1")}
    return bare | {f"{figure}_{callers}": rate for figure, rate in rates.items() for callers in (8, 32)}


def mean(before: Figures, after: Figures) -> Figures:
    """Ours around the time of another side; from one of the two, where the other has not got the figure."""
    return before | after | {figure: (before[figure] + after[figure]) / 2 for figure in before.keys() & after.keys()}


def compare(ours: Figures, theirs: Figures, side: str) -> Figures:
    """Ratio by `<figure>_vs_<side>`, for every figure that both have; above 1, ours is the better one."""
    return {
        f"{figure}_vs_{side}": ours[figure] / theirs[figure] if "_per_s_" in figure else theirs[figure] / ours[figure]
        for figure in theirs
        if figure in ours
    }


def rows(phase: str, samples: Phase) -> list[dict[str, Any]]:
    return [
        {
            "phase": phase,
            "side": SIDES[phase],
            "name": name,
            "callers": callers,
            "runs": len(sample.ms),
            "failed": sample.failed,
            "p50_ms": rounded(p50(sample.ms)),
            "p95_ms": rounded(p95(sample.ms)),
            "runs_per_s": rounded(p50(sample.rates)),
            "cpu_ms_per_run": cpu(sample),
        }
        for (name, callers), sample in samples.items()
    ]


def cpu(sample: Sample) -> dict[str, float]:
    return {part: rounded(p50([used[part] for used in sample.cpu])) for part in sample.cpu[0]}


def p50(values: list[float]) -> float:
    return statistics.median(values)


def p95(values: list[float]) -> float:
    """The value that 95 % do not exceed: the greatest, of fewer than 20."""
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.95))]


def rounded(value: float) -> float:
    """Three digits that count; more would be noise."""
    return float(f"{value:.3g}") if abs(value) < 100 else round(value)
