"""What became of a DAG here and under stock Airflow: the verdict, the figures, the table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

Result = dict[str, Any]


class Verdict(Enum):
    """Of one run of one DAG."""

    SAME = "same"
    DIFFERS = "**differs**"
    REFUSED = "refused"
    NO_ORACLE = "not compared"
    """Under stock Airflow it does not end by itself within the limit, or cannot be triggered at all."""


@dataclass(frozen=True)
class Row:
    """One DAG, triggered once without and once with a logical date."""

    dag_id: str
    file: str
    stock: tuple[Result, Result]
    here: tuple[Result, Result]
    verdicts: tuple[Verdict, Verdict] = field(init=False)

    def __post_init__(self) -> None:
        verdicts = tuple(verdict(*pair) for pair in zip(self.stock, self.here, strict=True))
        object.__setattr__(self, "verdicts", verdicts)


def verdict(stock: Result, here: Result) -> Verdict:
    if "refused" in here:
        return Verdict.NO_ORACLE if "state" not in stock else Verdict.REFUSED
    if "state" not in stock:
        return Verdict.NO_ORACLE
    is_same = stock["state"] == here.get("state") and stock["instances"] == here.get("instances")
    return Verdict.SAME if is_same else Verdict.DIFFERS


def figures(rows: Iterable[Row]) -> str:
    counts = Counter(verdict for row in rows for verdict in row.verdicts)
    ending = counts[Verdict.SAME] + counts[Verdict.DIFFERS] + counts[Verdict.REFUSED]
    share = 100 * counts[Verdict.SAME] / ending if ending else 0.0
    return (
        f"{ending} runs end by themselves under stock Airflow: {counts[Verdict.SAME]} ({share:.1f} %) end the same here, "
        f"{counts[Verdict.DIFFERS]} differently, {counts[Verdict.REFUSED]} are refused. "
        f"{counts[Verdict.NO_ORACLE]} runs do not end there within the limit, or cannot be triggered by hand."
    )


def table(rows: Iterable[Row]) -> str:
    lines = [
        "| DAG | stock: without, with a logical date | here: without, with | verdict |",
        "|---|---|---|---|",
    ]
    for row in rows:
        stock, here = (_both(_short(result) for result in results) for results in (row.stock, row.here))
        lines.append(f"| `{row.dag_id}` | {stock} | {here} | {_both(one.value for one in row.verdicts)} |")
    return "\n".join(lines)


def remarks(rows: Iterable[Row]) -> str:
    """Why something was refused, and how ends differ: each reason once."""
    found: dict[str, dict[str, None]] = {}
    for row in rows:
        for stock, here, result in zip(row.stock, row.here, row.verdicts, strict=True):
            for text in _reasons(stock, here, result):
                found.setdefault(text, {})[f"`{row.dag_id}`"] = None
    return "\n".join(f"- {', '.join(dags)}: {text}" for text, dags in found.items())


def differences(stock: Result, here: Result) -> list[str]:
    """What is not the same, for whoever looks for the reason."""
    expected = {(task_id, index): state for task_id, index, state in stock.get("instances", ())}
    found = {(task_id, index): state for task_id, index, state in here.get("instances", ())}
    lines = [f"run: {_short(stock)} there, {_short(here)} here"] if _short(stock) != _short(here) else []
    for key in sorted(expected.keys() | found.keys()):
        there, ours = expected.get(key, "absent"), found.get(key, "absent")
        if there != ours:
            lines.append(f"{key[0]}[{key[1]}]: {there} there, {ours} here")
    return lines


def _reasons(stock: Result, here: Result, result: Verdict) -> list[str]:
    if "refused" in here:
        return [f"refused: {reason}" for reason in here["refused"]]
    if result is Verdict.DIFFERS:
        return ["differs: " + "; ".join([*differences(stock, here), here.get("error", "")]).strip("; ")]
    if "error" in stock:
        return [f"under stock Airflow: {stock['error'].splitlines()[0][:200]}"]
    return []


def _short(result: Result) -> str:
    if "state" in result:
        return str(result["state"])
    for name in ("refused", "timeout", "error"):
        if name in result:
            return {"timeout": "no end", "error": "not started"}.get(name, name)
    return "nothing"


def _both(values: Iterable[str]) -> str:
    first, second = values
    return first if first == second else f"{first}, {second}"
