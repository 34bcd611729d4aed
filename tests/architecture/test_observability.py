"""docs/observability.md has every metric in the words of the code, and the dashboard asks for no other."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest

from dagcall.coordinator.metrics import FAMILIES

TARGETS = ("instance", "le")
"""Labels that Prometheus adds."""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    path = Path(__file__).parents[2] / "contrib" / "grafana" / "dagcall.json"
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def test_the_page_has_every_metric(root: Path) -> None:
    rows = [
        line for line in (root / "docs/observability.md").read_text().splitlines() if line.startswith("| `dagcall_")
    ]
    assert rows == [
        f"| `{name}` | {told.kind} | {', '.join(f'`{one}`' for one in told.labels)} | {told.help} | "
        f"{f'`{told.airflow}`' if told.airflow else ''} |"
        for name, told in FAMILIES.items()
    ]


def queries(dashboard: dict[str, Any]) -> list[str]:
    asked = [target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())]
    return asked + [one["definition"] for one in dashboard["templating"]["list"] if one["type"] == "query"]


def base_of(name: str) -> str:
    """The family that a sample belongs to."""
    for suffix in ("_bucket", "_count", "_sum"):
        if name.endswith(suffix) and FAMILIES.get(name.removesuffix(suffix), ("",))[0] == "histogram":
            return name.removesuffix(suffix)
    return name


def test_the_dashboard_asks_for_metrics_that_there_are(dashboard: dict[str, Any]) -> None:
    asked: set[str] = set()
    for query in queries(dashboard):
        names = re.findall(r"\bdagcall_\w+", query)
        assert names, query
        assert query.count("(") == query.count(")"), query
        for name, selector in re.findall(r"\b(dagcall_\w+)\{([^}]*)\}", query):
            labels = re.findall(r"(\w+)(?:=~|!~|!=|=)", selector)
            assert set(labels) <= {*FAMILIES[base_of(name)].labels, *TARGETS}, query
        bases = {base_of(name) for name in names}
        grouped = {one.strip() for by in re.findall(r"by \(([^)]*)\)", query) for one in by.split(",")}
        for base in bases:
            assert grouped <= {*FAMILIES[base].labels, *TARGETS}, query
            counts = FAMILIES[base].kind != "gauge"
            assert counts == ("rate(" in query) or query.startswith("label_values"), query
        asked |= bases
    assert asked <= set(FAMILIES)
    assert len(asked) > 35


def test_the_dashboard_is_one_that_grafana_takes(dashboard: dict[str, Any]) -> None:
    assert {"uid", "title", "schemaVersion", "templating", "panels", "time"} <= dashboard.keys()
    panels = dashboard["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    variables = {one["name"] for one in dashboard["templating"]["list"]}
    for panel in panels:
        assert {"type", "title", "gridPos"} <= panel.keys()
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references) > 0
    used = set(re.findall(r"\$(\w+)", " ".join(queries(dashboard)))) - {"__rate_interval"}
    assert used <= variables
    for one, other in combinations((panel["gridPos"] for panel in panels), 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        below = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or below, (one, other)
    assert all(panel["gridPos"]["x"] + panel["gridPos"]["w"] <= 24 for panel in panels)
