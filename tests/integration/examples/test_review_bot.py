"""`review_bot` under stock Airflow: the branch that is not taken is skipped, and the summary is made all the same."""

from __future__ import annotations

from typing import Any

import pytest

from .conftest import UnderStock


@pytest.fixture(scope="module")
def runs(under_stock: UnderStock) -> list[dict[str, Any]]:
    return under_stock(
        "review_bot",
        "summarise",
        {"topic": "python"},
        {"topic": "serialisaton"},
        {"topic": "pydantic JSON schema", "package": "pydantic", "since": "2024-01-01", "max_points": 1},
    )


def test_every_package_is_digested_and_the_summary_has_them_all(runs: list[dict[str, Any]]) -> None:
    run = runs[0]
    packages = run["result"]["packages"]
    assert len(packages) > 1
    assert run["state"] == "success"
    assert run["tasks"] == [
        ["anything_found", -1, "success"],
        *[["digest_package", index, "success"] for index in range(len(packages))],
        ["find", -1, "success"],
        ["suggest", -1, "skipped"],
        ["summarise", -1, "success"],
    ]
    result = run["result"]
    assert list(result) == ["topic", "summary", "found", "packages", "kinds", "dates", "points", "suggestions"]
    assert result["found"] == sum(packages.values()) == sum(result["kinds"].values())
    assert len(result["points"]) == 3
    assert result["summary"].startswith(f"python: {result['found']} release notes (")
    assert result["suggestions"] == []


def test_nothing_found_skips_the_digests_and_says_so_politely(runs: list[dict[str, Any]]) -> None:
    run = runs[1]
    assert run["state"] == "success"
    assert [task for task in run["tasks"] if task[0] != "digest_package"] == [
        ["anything_found", -1, "success"],
        ["find", -1, "success"],
        ["suggest", -1, "success"],
        ["summarise", -1, "success"],
    ]
    assert {task[2] for task in run["tasks"] if task[0] == "digest_package"} == {"skipped"}
    result = run["result"]
    assert result["summary"].startswith("Sorry, the release notes of ")
    assert '"serialization"' in result["summary"]
    assert result["suggestions"] == ["serialization"]
    assert (result["found"], result["points"]) == (0, [])


def test_params_narrow_it(runs: list[dict[str, Any]]) -> None:
    result = runs[2]["result"]
    assert result["packages"] == {"pydantic": result["found"]}
    assert result["dates"][0] >= "2024-01-01"
    assert len(result["points"]) == 1
