"""What Airflow's API has and dagcall has not: the page about it is current, and no reason hides a route."""

import re

import httpx
import pytest

from dagcall.server.api_v2.unsupported import UNSUPPORTED, UnsupportedRoutes
from dagcall.server.routes import TABLE

pytestmark = pytest.mark.anyio


def test_no_reason_hides_a_route() -> None:
    unsupported = UnsupportedRoutes()
    for route in TABLE:
        for part in ("x", "1", "list", "tries"):
            path = re.sub(r"\{\w+\}", part, route.openapi_path)
            found, _ = unsupported.matches({"type": "http", "method": route.method, "path": path})
            assert not found.value, (route.method, path)


async def test_the_sentence_is_the_answer(http: httpx.AsyncClient) -> None:
    path = "/api/v2/dags/simple/dagRuns/r/taskInstances/make/dependencies"  # not an instance with such a map index
    answer = await http.get(path)
    reason = UNSUPPORTED["GET", "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}/taskInstances/{task_id}/dependencies"]
    assert (answer.status_code, answer.json()) == (
        501,
        {"detail": f"dagcall does not support GET {path} of Airflow's API: {reason}."},
    )
