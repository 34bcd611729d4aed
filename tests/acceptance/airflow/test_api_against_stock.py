"""The same requests to stock Airflow's REST API and to dagcall's: the same statuses, the same words, the same fields.

What differs by nature (ids, times, hosts, what a scheduler or a numbered version is needed for) is left out by name; all
else must be equal.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from ..serving import Server, eventually
from .conftest import DAGS, Airflow

RUN = "/dags/shopping/dagRuns/{run}"
INSTANCE = RUN + "/taskInstances"

REFUSED: tuple[tuple[str, str, Any], ...] = (
    ("GET", "/dags/no_such_dag", None),
    ("GET", "/dags/no_such_dag/details", None),
    ("GET", "/dags/no_such_dag/tasks", None),
    ("GET", "/dags/no_such_dag/dagRuns", None),
    ("GET", "/dags/shopping/tasks/none", None),
    ("GET", "/dags/shopping/tasks?order_by=none", None),
    ("GET", "/dags?limit=-1", None),
    ("GET", "/dags?limit=x", None),
    ("GET", "/dags?order_by=none", None),
    ("GET", "/dags?paused=x", None),
    ("GET", "/dags/shopping/dagRuns/none", None),
    ("GET", "/dags/no_such_dag/dagRuns/none", None),
    ("GET", "/dags/shopping/dagRuns?order_by=none", None),
    ("GET", "/dags/shopping/dagRuns?offset=-1", None),
    ("GET", "/dags/shopping/dagRuns?state=none_of_these", None),
    ("GET", "/dags/shopping/dagRuns?run_type=none_of_these", None),
    ("GET", "/dags/shopping/dagRuns?run_after_gte=yesterday", None),
    ("GET", "/dags/shopping/dagRuns?duration_gte=long", None),
    ("GET", RUN + "/wait", None),
    ("GET", RUN + "/wait?interval=0", None),
    ("GET", RUN + "/wait?interval=x", None),
    ("GET", "/dags/shopping/dagRuns/none/wait?interval=1", None),
    ("POST", "/dags/no_such_dag/dagRuns", {"logical_date": None}),
    ("POST", "/dags/shopping/dagRuns", {}),
    ("POST", "/dags/shopping/dagRuns", []),
    ("POST", "/dags/shopping/dagRuns", {"logical_date": None, "conf": 1}),
    ("POST", "/dags/shopping/dagRuns", {"logical_date": None, "unknown": 1}),
    ("POST", "/dags/shopping/dagRuns", {"logical_date": "2026-01-01"}),
    ("POST", "/dags/greeting/dagRuns", {"logical_date": None, "conf": {"name": 1}}),
    ("PATCH", "/dags/shopping/dagRuns/none", {"note": "x"}),
    ("PATCH", RUN, {"note": "x" * 1001}),
    ("PATCH", RUN, {"state": "running"}),
    ("PATCH", RUN, {"unknown": 1}),
    ("DELETE", "/dags/shopping/dagRuns/none", None),
    ("GET", "/dags/shopping/dagRuns/none/taskInstances", None),
    ("GET", "/dags/~/dagRuns/{run}/taskInstances", None),
    ("GET", INSTANCE + "?state=none_of_these", None),
    ("GET", INSTANCE + "?order_by=none", None),
    ("GET", INSTANCE + "?task_group_id=none", None),
    ("GET", INSTANCE + "/none", None),
    ("GET", INSTANCE + "/price", None),
    ("GET", INSTANCE + "/price/7", None),
    ("GET", INSTANCE + "/price/x", None),
    ("GET", INSTANCE + "/none/listMapped", None),
    ("GET", INSTANCE + "/items/listMapped", None),
    ("GET", INSTANCE + "/none/tries", None),
    ("GET", INSTANCE + "/receipt/tries/9", None),
    ("GET", INSTANCE + "/price/9/tries/1", None),
    ("GET", INSTANCE + "/items/xcomEntries/none", None),
    ("GET", INSTANCE + "/items/logs/9", None),
    ("GET", INSTANCE + "/none/logs/1", None),
    ("GET", INSTANCE + "/items/-1/hitlDetails", None),
    ("GET", INSTANCE + "/none/-1/hitlDetails", None),
    ("PATCH", INSTANCE + "/none", {"note": "x"}),
    ("PATCH", INSTANCE + "/items", {"note": "x" * 1001}),
    ("PATCH", INSTANCE + "/items", {"new_state": "running"}),
    ("PATCH", INSTANCE + "/items", {"new_state": None}),
    ("GET", "/importErrors/77", None),
    ("GET", "/pools/none", None),
    ("PATCH", "/pools/none", {"pool": "none", "slots": 1, "include_deferred": False}),
    ("POST", "/pools", {"name": "p"}),
    ("POST", "/pools", {"name": "p", "slots": "many"}),
    ("POST", "/pools", {"name": "default_pool", "slots": 1}),
    ("DELETE", "/pools/default_pool", None),
    ("DELETE", "/pools/none", None),
    ("GET", "/variables/none", None),
    ("DELETE", "/variables/none", None),
    ("POST", "/variables", {"value": "x"}),
    ("PATCH", "/variables/none", {"key": "other", "value": "x"}),
    ("PATCH", "/variables/none", {"key": "none", "value": "x"}),
    ("GET", "/connections/none", None),
    ("DELETE", "/connections/none", None),
    ("POST", "/connections", {"connection_id": "a b", "conn_type": "http"}),
    ("POST", "/connections", {"connection_id": "a", "conn_type": "http", "extra": "no json"}),
    ("PATCH", "/connections/none", {"connection_id": "none", "conn_type": "http"}),
    ("GET", "/assets/999", None),
    ("GET", "/assets/aliases/999", None),
    ("GET", "/assets/x", None),
    ("POST", "/assets/999/materialize", {}),
    ("POST", "/assets/events", {"asset_id": 999}),
    ("POST", "/assets/events", {"asset_id": 999, "extra": []}),
    ("GET", "/dags/shopping/dagRuns/none/upstreamAssetEvents", None),
    ("GET", "/dags/shopping/dagRuns/none/hitlDetails", None),
    ("GET", "/dags/shopping/dagRuns/none/taskInstances/items/xcomEntries", None),
    ("GET", "/dags/shopping/dagRuns/none/taskInstances/items/xcomEntries/return_value", None),
    ("POST", "/pools", {"name": "p", "slots": 1.5}),
    ("POST", "/variables", {"key": "k" * 251, "value": "x"}),
    ("GET", "/assets/999/queuedEvents", None),
    ("DELETE", "/assets/999/queuedEvents", None),
    ("GET", "/dags/bakery/assets/999/queuedEvents", None),
    ("DELETE", "/dags/bakery/assets/queuedEvents", None),
)  # fmt: skip

IN_OTHER_WORDS = {
    "/dags/shopping/dagRuns?run_after_gte=yesterday": "why a text is no time, which pydantic says",
    "/dags/greeting/dagRuns": "dagcall names every param that does not fit, in a sentence",
    "/pools": "stock refers to its log",
    "/connections": "dagcall does not repeat what may hold secrets",
}
"""Refused with the same status."""

READ = (
    "/dags/shopping",
    "/dags/bakery",
    "/dags/greeting/details",
    "/dags/shopping/tasks",
    "/dags/shopping/tasks/price",
    "/dags?order_by=-dag_id",
    "/dags?dag_id_prefix_pattern=s|b&order_by=dag_id",
    "/dags?tags=dagcall",
    "/dags?has_asset_schedule=true&asset_dependency=HARV",
    RUN,
    "/dags/~/dagRuns?run_id_pattern={run}",
    "/dags/greeting/dagRuns/of-a-date",
    INSTANCE + "?order_by=map_index&order_by=-start_date",
    INSTANCE + "/items",
    INSTANCE + "/price/1",
    INSTANCE + "/price/listMapped?order_by=-map_index",
    INSTANCE + "/receipt/tries",
    INSTANCE + "/receipt/tries/2",
    INSTANCE + "/price/1/tries",
    INSTANCE + "?rendered_map_index_pattern=ea",
    INSTANCE + "?operator_name_prefix_pattern=@task",
    INSTANCE + "/items/xcomEntries",
    INSTANCE + "/items/xcomEntries/return_value",
    INSTANCE + "/price/xcomEntries?map_index=2",
    INSTANCE + "/price/xcomEntries/return_value?map_index=2",
    INSTANCE + "/receipt/xcomEntries/return_value?stringify=true",
    RUN + "/hitlDetails",
    RUN + "/upstreamAssetEvents",
    "/pools/default_pool",
    "/assets?name_pattern=harvest",
    "/importErrors",
    "/version",
)

DIFFER = {
    "ids, times, processes": (
        "id dag_run_id run_id queued_at start_date end_date duration run_after timestamp created_at updated_at hostname "
        "pid queued_when scheduled_when unixname"
    ),
    "what a scheduler, a metadata database, or versions with numbers are needed for": (
        "dag_version dag_versions last_scheduling_decision last_parsed_time last_parse_duration last_parsed executor "
        "executor_config next_dagrun_run_after next_dagrun_logical_date bundle_version latest_dag_version file_token "
        "triggerer_job triggering_user_name git_version"
    ),
    "what the server does not know of a DAG": "default_args template_search_path owner_links",
    "an author's limits only": "max_active_tasks max_active_runs concurrency open_slots",
}
"""Fields that are not compared, and why. docs/api-compatibility.md says it to users."""
_LEFT_OUT = frozenset(name for names in DIFFER.values() for name in names.split())


@dataclass
class Side:
    """One of the two: how to ask it, and its run of `shopping`."""

    http: httpx.Client
    run: str = ""

    def ask(self, method: str, path: str, body: Any = None) -> httpx.Response:
        options = {} if body is None else {"json": body}
        return self.http.request(method, "/api/v2" + path.replace("{run}", self.run), **options)

    def shop(self) -> None:
        self.run = self.ask("POST", "/dags/shopping/dagRuns", {"logical_date": None, "note": "weekly"}).json()[
            "dag_run_id"
        ]

        of_a_date = {"logical_date": "2026-01-31T12:00:00+01:00", "dag_run_id": "of-a-date"}
        self.ask("POST", "/dags/greeting/dagRuns", of_a_date).raise_for_status()

    def has_shopped(self) -> bool:
        runs = (RUN, "/dags/greeting/dagRuns/of-a-date")
        return all(self.ask("GET", path).json()["state"] == "success" for path in runs)


@pytest.fixture(scope="module")
def stock(airflow: Airflow) -> Iterator[Side]:
    with airflow.http() as http:
        side = Side(http)
        side.shop()
        eventually(side.has_shopped, 90, "stock's run")
        yield side


@pytest.fixture
def ours(tmp_path: Path) -> Iterator[Side]:
    """By itself: beside an Airflow, pools and the like are changed there only."""
    server = Server(tmp_path, DAGS)
    try:
        server.wait_until_loaded()
        side = Side(server.http)
        side.shop()
        eventually(side.has_shopped, 60, "dagcall's run")
        yield side
        server.stop()
    finally:
        server.end()


def told(side: Side, answer: httpx.Response) -> Any:
    """Status and body, without what the request named."""
    text = _IDS.sub("{id}", answer.text.replace(side.run, "{run}"))
    body = httpx.Response(200, text=text).json() if text else None
    return answer.status_code, _without_urls(body)


_IDS = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|look for ID \w+")


def _without_urls(value: Any) -> Any:
    """Pydantic links its own documentation, and names the context of an error."""
    if isinstance(value, dict):
        return {name: _without_urls(one) for name, one in value.items() if name not in ("url", "ctx")}
    if isinstance(value, list):
        return [_without_urls(one) for one in value]
    return value


def compared(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: "..." if name in _LEFT_OUT else compared(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [compared(one) for one in value]
    return value


def test_it_refuses_and_shows_as_stock_does(stock: Side, ours: Side) -> None:
    differences = []
    for method, path, body in REFUSED:
        theirs, mine = (told(side, side.ask(method, path, body)) for side in (stock, ours))
        if path in IN_OTHER_WORDS:
            mine, theirs = mine[0], theirs[0]
        if mine != theirs:
            differences.append(f"{method} {path} {body}\n  stock   {theirs}\n  dagcall {mine}")
    for path in READ:
        answers = [side.ask("GET", path) for side in (stock, ours)]
        assert answers[0].status_code == 200, (path, answers[0].text)
        theirs, mine = (compared(told(side, answer)) for side, answer in zip((stock, ours), answers, strict=True))
        if mine != theirs:
            differences += [f"GET {path}: {line}" for line in _differing(theirs, mine)]
    assert not differences, "\n".join(dict.fromkeys(differences))


def _differing(theirs: Any, mine: Any, place: str = "") -> Iterator[str]:
    if isinstance(theirs, dict) and isinstance(mine, dict):
        for name in {**theirs, **mine}:
            yield from _differing(theirs.get(name, "missing"), mine.get(name, "missing"), f"{place}.{name}")
    elif isinstance(theirs, list | tuple) and isinstance(mine, list | tuple) and len(theirs) == len(mine):
        for index, (one, other) in enumerate(zip(theirs, mine, strict=True)):
            yield from _differing(one, other, f"{place}[{index}]")
    elif theirs != mine:
        yield f"{place}\n  stock   {theirs}\n  dagcall {mine}"
