"""What running code asks about runs: its own, and others that are here.

Answered as Airflow's execution API answers from its database (airflow/api_fastapi/execution_api/routes/dag_runs.py,
task_instances.py, dags.py), from what is here: heads from the journal, task instances from the run itself, replayed
when it has ended long ago. Runs are found by id or by logical date; whoever asks without either is asking about every
run of the DAG, and each of them is replayed.

Answers are values of MessagePack, times are seconds since the epoch. What Airflow answers with an HTTP error is a
`Refused`, which `as_answer` turns into a value too: the task sees the error that it would see under Airflow.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping
from typing import Any, Final

from dagcall.coordinator.api import CatalogView
from dagcall.coordinator.run import Run
from dagcall.core.instance import TaskInstance
from dagcall.errors import DagBroken, DagNotFound, RunNotFound
from dagcall.journal.base import HeadQuery, Journal, TimeRange
from dagcall.model.ids import RunKey
from dagcall.model.records import RunHead
from dagcall.model.states import RunState

_PAGE: Final = 200
_RUN_STATES: Final = frozenset(state.value for state in RunState)

Find = Callable[[RunKey], Awaitable[Run]]
"""Raises RunNotFound."""


class Refused(Exception):
    """As Airflow's execution API refuses: an HTTP status and a reason."""

    def __init__(self, status: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason

    def as_answer(self) -> dict[str, Any]:
        return {"refused": [self.status, self.reason, str(self)]}


class RunQuestions:
    """Knows the questions in `asked`."""

    def __init__(self, journal: Journal, catalog: CatalogView, find: Find) -> None:
        self._journal = journal
        self._catalog = catalog
        self._find = find
        self.asked: Mapping[str, Callable[..., Awaitable[object]]] = {
            "dag": self.dag,
            "dag_run": self.dag_run,
            "dag_run_state": self.dag_run_state,
            "dr_count": self.dr_count,
            "previous_run": self.previous_run,
            "previous_ti": self.previous_ti,
            "task_breadcrumbs": self.task_breadcrumbs,
            "task_states": self.task_states,
            "ti_count": self.ti_count,
        }

    async def dag(self, dag_id: str) -> dict[str, Any]:
        try:
            plan = self._catalog.find(dag_id)
        except (DagNotFound, DagBroken):
            raise Refused(404, "not_found", f"The Dag with dag_id: `{dag_id}` was not found") from None
        return {
            "dag_id": plan.dag_id,
            "is_paused": self._catalog.is_paused(plan.dag_id),
            "bundle_name": plan.bundle_name,
            "bundle_version": plan.bundle_version or plan.version,
            "relative_fileloc": plan.relative_fileloc,
            "owners": ", ".join(plan.owners),
            "tags": sorted(plan.tags),
            "next_dagrun": None,
        }

    async def dag_run(self, dag_id: str, run_id: str) -> dict[str, Any]:
        return _detail(await self._head(dag_id, run_id))

    async def dag_run_state(self, dag_id: str, run_id: str) -> str:
        return (await self._head(dag_id, run_id)).state.value

    async def dr_count(
        self, dag_id: str, dates: list[float] | None, run_ids: list[str] | None, states: list[str] | None
    ) -> int:
        known = frozenset(RunState(state) for state in states or () if state in _RUN_STATES)
        query = HeadQuery(
            dag_ids=frozenset({dag_id}),
            run_ids=_some(run_ids),
            logical_dates=_some(dates),
            states=known if states else None,
            limit=0,
        )
        return (await self._journal.list_heads(query))[1]

    async def previous_run(self, dag_id: str, before: float, state: str | None) -> dict[str, Any] | None:
        query = HeadQuery(
            dag_ids=frozenset({dag_id}),
            logical_date=TimeRange(lt=before),
            states=frozenset({RunState(state)}) if state else None,
            order_by=("-logical_date",),
            limit=1,
        )
        heads, _ = await self._journal.list_heads(query)
        return _detail(heads[0]) if heads else None

    async def previous_ti(
        self, dag_id: str, task_id: str, before: float | None, map_index: int, state: str | None
    ) -> dict[str, Any] | None:
        query = HeadQuery(
            dag_ids=frozenset({dag_id}), logical_date=TimeRange(lt=before), order_by=("-logical_date",), limit=_PAGE
        )
        async for run in self._runs(query):
            for ti in run.machine.instances():
                if (ti.task.task_id, ti.map_index) == (task_id, map_index) and state in (None, ti.state.airflow):
                    return _task_instance(run, ti)
        return None

    async def task_breadcrumbs(self, dag_id: str, run_id: str) -> list[dict[str, Any]]:
        try:
            run = await self._find(RunKey(dag_id, run_id))
        except RunNotFound:
            return []
        ended = [ti for ti in run.machine.instances() if ti.state.is_final]
        return [
            {
                "task_id": ti.task.task_id,
                "map_index": ti.map_index,
                "state": ti.state.value,
                "operator": ti.task.operator,
                "duration": _duration(ti),
            }
            for ti in sorted(ended, key=lambda ti: ti.key)
        ]

    async def task_states(
        self,
        dag_id: str,
        map_index: int | None,
        task_ids: list[str] | None,
        group: str | None,
        dates: list[float] | None,
        run_ids: list[str] | None,
    ) -> dict[str, dict[str, str | None]]:
        chosen = set(task_ids or ())
        if group:
            chosen |= self._tasks_of(dag_id, group)
        found: dict[str, dict[str, str | None]] = {}
        async for run in self._runs(_of(dag_id, dates, run_ids)):
            for ti in run.machine.instances():
                if (not (task_ids or group) or ti.task.task_id in chosen) and map_index in (None, ti.map_index):
                    found.setdefault(run.key.run_id, {})[_name(ti)] = ti.state.airflow
        return found

    async def ti_count(
        self,
        dag_id: str,
        map_index: int | None,
        task_ids: list[str] | None,
        group: str | None,
        dates: list[float] | None,
        run_ids: list[str] | None,
        states: list[str] | None,
    ) -> int:
        in_group = self._tasks_of(dag_id, group) if group else None
        count = 0
        async for run in self._runs(_of(dag_id, dates, run_ids)):
            count += sum(
                (not task_ids or ti.task.task_id in task_ids)
                and (in_group is None or ti.task.task_id in in_group)
                and map_index in (None, ti.map_index)
                and (not states or (ti.state.airflow or "null") in states)
                for ti in run.machine.instances()
            )
        return count

    async def _head(self, dag_id: str, run_id: str) -> RunHead:
        head = await self._journal.head(RunKey(dag_id, run_id))
        if head is None:
            message = f"Dag run with dag_id '{dag_id}' and run_id '{run_id}' was not found"
            raise Refused(404, "not_found", message)
        return head

    async def _runs(self, query: HeadQuery) -> AsyncIterator[Run]:
        offset = 0
        while True:
            page = HeadQuery(**{**query.__dict__, "offset": offset})
            heads, total = await self._journal.list_heads(page)
            for head in heads:
                yield await self._find(head.key)
            offset += len(heads)
            if not heads or offset >= total:
                return

    def _tasks_of(self, dag_id: str, group: str) -> set[str]:
        """The tasks in a task group, nested groups included, as the DAG is now."""
        try:
            plan = self._catalog.find(dag_id)
        except (DagNotFound, DagBroken) as error:
            raise Refused(404, "not_found", str(error)) from error
        found = {task.task_id for task in plan.tasks if group in task.task_groups}
        if not found:
            raise Refused(404, "not_found", f"Task group {group} not found in DAG {dag_id}")
        return found


def _some(values: Collection[Any] | None) -> frozenset[Any] | None:
    """An empty filter does not filter, as in Airflow."""
    return frozenset(values) if values else None


def _of(dag_id: str, dates: list[float] | None, run_ids: list[str] | None) -> HeadQuery:
    return HeadQuery(
        dag_ids=frozenset({dag_id}), logical_dates=_some(dates), run_ids=_some(run_ids), order_by=("id",), limit=_PAGE
    )


def _detail(head: RunHead) -> dict[str, Any]:
    return {
        "dag_id": head.key.dag_id,
        "run_id": head.key.run_id,
        "logical_date": head.logical_date,
        "run_after": head.run_after,
        "start_date": head.start_date,
        "end_date": head.end_date,
        "run_type": head.run_type,
        "state": head.state.value,
        "conf": head.conf,
        "triggering_user_name": head.caller or None,
        "note": head.note,
    }


def _task_instance(run: Run, ti: TaskInstance) -> dict[str, Any]:
    return {
        "task_id": ti.task.task_id,
        "dag_id": run.key.dag_id,
        "run_id": run.key.run_id,
        "logical_date": run.head.logical_date,
        "start_date": ti.start_date,
        "end_date": ti.end_date,
        "state": ti.state.airflow,
        "try_number": ti.try_number,
        "map_index": ti.map_index,
        "duration": _duration(ti),
    }


def _duration(ti: TaskInstance) -> float | None:
    return None if ti.start_date is None or ti.end_date is None else max(0.0, ti.end_date - ti.start_date)


def _name(ti: TaskInstance) -> str:
    """As the execution API names it."""
    return ti.task.task_id if ti.map_index < 0 else f"{ti.task.task_id}_{ti.map_index}"
