"""A server over a scripted coordinator, spoken to in process."""

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from starlette.types import ASGIApp

from dagcall.model.plan import DagPlan, Mapping, MapSource, TaskPlan
from dagcall.server.app import create_app
from dagcall.server.settings import ServerSettings

from .scripted import ScriptedCoordinator


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


def plan(dag_id: str, *tasks: TaskPlan, **more: object) -> DagPlan:
    """`upstream` is given, `downstream` follows from it."""
    downstream = {task.task_id: tuple(t.task_id for t in tasks if task.task_id in t.upstream) for task in tasks}
    linked = tuple(TaskPlan(**{**vars(task), "downstream": downstream[task.task_id]}) for task in tasks)
    return DagPlan(dag_id, "v1", f"/dags/{dag_id}.py", f"{dag_id}.py", linked, **more)  # type: ignore[arg-type]


@pytest.fixture
async def coordinator(tmp_path: Path) -> AsyncIterator[ScriptedCoordinator]:
    one = ScriptedCoordinator(str(tmp_path))
    await one.journal.open()
    schema = {"type": "object", "properties": {"n": {"type": "integer", "default": 3, "description": "how many"}}}
    one.serve(
        plan(
            "simple",
            TaskPlan("make", operator="PythonOperator", is_result=True),
            TaskPlan("after", upstream=("make",)),
            description="One value",
            params_schema=schema,
            tags=("b", "a"),
            owners=("me",),
        )
    )
    one.serve(plan("two", TaskPlan("left", is_result=True), TaskPlan("right", is_result=True), tags=("a",)))
    one.serve(plan("none", TaskPlan("only")))
    mapped = Mapping((MapSource("xcom", task_id="make"),))
    one.serve(plan("mapped", TaskPlan("make"), TaskPlan("each", upstream=("make",), mapping=mapped, is_result=True)))
    yield one
    await one.journal.close()


@pytest.fixture
def settings() -> ServerSettings:
    return ServerSettings(default_wait=0.2, body_limit=10_000)


@pytest.fixture
def app(coordinator: ScriptedCoordinator, settings: ServerSettings) -> ASGIApp:
    return create_app(coordinator, settings)


@pytest.fixture
async def http(app: ASGIApp) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8274") as client:
        yield client
