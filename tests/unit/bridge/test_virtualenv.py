import pytest

pytest.importorskip("airflow.sdk")

from dagcall.airflow_bridge.virtualenv import reason

PIP = """\
Collecting nothing
ERROR: Could not find a version that satisfies the requirement x==9 (from versions: 1, 2)
ERROR: No matching distribution found for x==9

[notice] A new release of pip is available: 23.0 -> 25.0
"""
UV = """\
  x No solution found when resolving dependencies:
  ╰─▶ Because there is no version of x==9 and you require x==9, we can
      conclude that your requirements are unsatisfiable.
"""


@pytest.mark.parametrize(
    ("output", "sentence"),
    [
        (PIP, "No matching distribution found for x==9"),
        (
            UV,
            "Because there is no version of x==9 and you require x==9, we can conclude that your requirements are "
            "unsatisfiable.",
        ),
        ("error: Failed to fetch: offline\n", "Failed to fetch: offline"),
        ("one\nthe last word\n\n", "the last word"),
        ("", "the command ended with exit code 3 and said nothing"),
    ],
)
def test_reason(output: str, sentence: str) -> None:
    assert reason(output.splitlines(), 3) == sentence


def test_reason_is_short() -> None:
    assert len(reason(["ERROR: " + "x" * 5000], 1)) < 400
