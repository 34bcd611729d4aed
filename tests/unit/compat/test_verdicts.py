"""The verdicts of `make compat`, and what it counts."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[3] / "compat"))

from verdicts import Result, Row, Verdict, differences, figures, remarks, table, verdict

ENDED: Result = {"state": "success", "instances": [["a", -1, "success"], ["b", 0, "skipped"]]}
FAILED: Result = {"state": "failed", "instances": [["a", -1, "failed"]]}
REFUSED: Result = {"refused": ["task `a`: executor: tasks run on dagcall's own workers"]}
ENDLESS: Result = {"timeout": True}
IMPOSSIBLE: Result = {"error": "ParamValidationError: no value\nand more"}


@pytest.mark.parametrize(
    ("stock", "here", "expected"),
    [
        (ENDED, ENDED, Verdict.SAME),
        (FAILED, FAILED, Verdict.SAME),
        (ENDED, FAILED, Verdict.DIFFERS),
        (ENDED, ENDED | {"instances": ENDED["instances"][:1]}, Verdict.DIFFERS),
        (ENDED, ENDLESS, Verdict.DIFFERS),
        (ENDED, IMPOSSIBLE, Verdict.DIFFERS),
        (ENDED, REFUSED, Verdict.REFUSED),
        (ENDLESS, ENDED, Verdict.NO_ORACLE),
        (ENDLESS, REFUSED, Verdict.NO_ORACLE),
        (IMPOSSIBLE, IMPOSSIBLE, Verdict.NO_ORACLE),
    ],
)
def test_verdict(stock: Result, here: Result, expected: Verdict) -> None:
    assert verdict(stock, here) is expected


def test_differences_name_each_instance() -> None:
    assert differences(ENDED, FAILED) == [
        "run: success there, failed here",
        "a[-1]: success there, failed here",
        "b[0]: skipped there, absent here",
    ]
    assert differences(ENDED, ENDED) == []


def test_figures_and_table() -> None:
    rows = [
        Row("one", "one.py", (ENDED, FAILED), (ENDED, FAILED)),
        Row("two", "two.py", (ENDED, ENDLESS), (REFUSED, REFUSED)),
        Row("three", "three.py", (IMPOSSIBLE, IMPOSSIBLE), (IMPOSSIBLE, IMPOSSIBLE)),
    ]
    assert figures(rows).startswith(
        "3 runs end by themselves under stock Airflow: 2 (66.7 %) end the same here, 0 differently, 1 are refused."
    )
    assert table(rows).splitlines()[2:] == [
        "| `one` | success, failed | success, failed | same |",
        "| `two` | success, no end | refused | refused, not compared |",
        "| `three` | not started | not started | not compared |",
    ]
    assert remarks(rows).splitlines() == [
        "- `two`: refused: task `a`: executor: tasks run on dagcall's own workers",
        "- `three`: under stock Airflow: ParamValidationError: no value",
    ]
