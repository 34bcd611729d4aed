"""A coordinator with real processes, without HTTP: what loading and the Airflow bridge need to be tested."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from textwrap import dedent
from typing import Any, TypeVar

from dagcall.compose import Settings, compose
from dagcall.coordinator.api import CallRequest
from dagcall.coordinator.run import Run
from dagcall.model.commands import Outcome
from dagcall.model.states import OutcomeKind

Fact = TypeVar("Fact")
PATIENCE = 20.0


class Failed(AssertionError):
    """A call whose outcome is a failure; `outcome` says all about it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(f"{outcome.failure}")
        self.outcome = outcome

    @property
    def message(self) -> str:
        assert self.outcome.failure is not None
        return self.outcome.failure.error.message

    @property
    def type(self) -> str:
        assert self.outcome.failure is not None
        return self.outcome.failure.error.type


class Serving:
    """Serves one folder from a thread of its own; used as a context manager."""

    def __init__(self, folder: Path, *, workers: int = 8, watch: bool = True, **environment: str) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="serving")
        home = folder.parent / f"{folder.name}-home"
        home.mkdir(exist_ok=True)
        self.home = home
        own = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
        settings = Settings(folder=str(folder), workers=workers, journal="memory:", watch=watch)
        self.coordinator = compose(settings, inherited | own | environment)

    def __enter__(self) -> "Serving":
        self._thread.start()
        self.do(self.coordinator.start())
        self.do(self.coordinator.load())
        return self

    def __exit__(self, *error: object) -> None:
        self.do(self.coordinator.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def do(self, work: "Coroutine[Any, Any, Fact]", within: float = 2 * PATIENCE) -> Fact:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within)

    def write(self, name: str, text: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
        return path

    def start(self, dag_id: str, conf: Mapping[str, Any] | None = None, **more: Any) -> Run:
        return self.do(self.coordinator.call(CallRequest(dag_id, conf=dict(conf or {}), **more)))

    def outcome(self, run: Run) -> Outcome:
        outcome = self.do(run.wait_outcome(PATIENCE))
        assert outcome is not None, f"no outcome within {PATIENCE:g} s: {_states(run)}"
        return outcome

    def value_of(self, run: Run) -> Any:
        """The value of the result task; several: by task id; none: None."""
        outcome = self.outcome(run)
        if outcome.kind is not OutcomeKind.SUCCESS:
            raise Failed(outcome)
        values = {task_id: json.loads(value) for task_id, value in outcome.results.items()}
        return next(iter(values.values())) if len(values) == 1 else values or None

    def call(self, dag_id: str, conf: Mapping[str, Any] | None = None, **more: Any) -> Any:
        return self.value_of(self.start(dag_id, conf, **more))

    def failure(self, dag_id: str, conf: Mapping[str, Any] | None = None, **more: Any) -> Failed:
        outcome = self.outcome(self.start(dag_id, conf, **more))
        assert outcome.kind is OutcomeKind.FAILED, outcome
        return Failed(outcome)

    def dag_ids(self) -> list[str]:
        return [plan.dag_id for plan in self.coordinator.catalog.plans()]

    def wait_for_dag(self, *dag_ids: str) -> None:
        def are_served() -> bool:
            broken = {path: text for path, text in self.errors().items() if path.removesuffix(".py") in dag_ids}
            assert not broken, broken
            return set(dag_ids) <= set(self.dag_ids())

        eventually(are_served, f"{dag_ids} are served", self.errors)

    def errors(self) -> dict[str, str]:
        return {error.path: error.text for error in self.coordinator.catalog.import_errors()}

    def version(self, dag_id: str) -> str:
        return self.coordinator.catalog.find(dag_id).version

    def log(self, run: Run, task_id: str, map_index: int = -1, try_number: int = 1) -> str:
        return Path(self.coordinator.log_path(run.key, task_id, map_index, try_number)).read_text()


def eventually(fact: Callable[[], Fact], what: str, why: Callable[[], object] = lambda: "") -> Fact:
    """The first truthy value of `fact`."""
    deadline = time.monotonic() + PATIENCE
    while True:
        found = fact()
        if found:
            return found
        assert time.monotonic() < deadline, f"not within {PATIENCE:g} s: {what}; {why()}"
        time.sleep(0.005)


def _states(run: Run) -> list[str]:
    return [f"{instance.key}: {instance.state.value}" for instance in run.machine.instances()]
