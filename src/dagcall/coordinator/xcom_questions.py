"""Questions of tasks about XComs that need more than the runs they name: to set or delete one so that it stays so, and
what runs of earlier dates have pushed.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import suppress
from typing import Any

from dagcall.coordinator.amending import Amending
from dagcall.coordinator.run import Run
from dagcall.errors import RunNotFound
from dagcall.journal.base import HeadQuery, Journal
from dagcall.model.events import XComChanged, XComItem
from dagcall.model.ids import RunKey, TaskKey
from dagcall.model.records import RunHead

QUESTIONS = frozenset({"set_xcom", "delete_xcom", "prior_xcom", "prior_xcoms"})
_PAGE = 500


class XComQuestions:
    """`find`: a run that is in memory, or from the journal. Raises RunNotFound."""

    def __init__(self, amending: Amending, find: Callable[[RunKey], Awaitable[Run]], journal: Journal) -> None:
        self._amending = amending
        self._find = find
        self._journal = journal

    async def answer(self, what: str, args: list[Any]) -> object:
        """Raises LookupError with the sentence that the task will see."""
        dag_id, run_id, task_id, *rest = args
        key = RunKey(dag_id, run_id)
        match what:
            case "prior_xcom":
                return await self._prior(key, task_id, *rest)
            case "prior_xcoms":
                return await self._all_prior(key, task_id, *rest)
            case "set_xcom":
                await self._set(key, TaskKey(task_id, rest[0]), XComItem(*rest[1:]))
            case "delete_xcom":
                await self._delete(key, XComChanged(task_id, *rest))
        return None

    async def _set(self, key: RunKey, task: TaskKey, item: XComItem) -> None:
        try:
            run = await self._find(key)
        except RunNotFound:
            raise LookupError(f"DAG run not found on DAG {key.dag_id!r} with ID {key.run_id!r}") from None
        if run.machine.instance(task) is None:
            raise LookupError(f"run {key.run_id!r} of DAG {key.dag_id!r} has no task instance {str(task)!r}")
        await self._amending.amend(key, XComChanged(task.task_id, task.map_index, item.key, item))

    async def _delete(self, key: RunKey, event: XComChanged) -> None:
        try:
            await self._amending.amend(key, event)
        except RunNotFound:
            return  # it has none, which is what was wanted

    async def _prior(self, key: RunKey, task_id: str, map_index: int, xcom_key: str) -> bytes | None:
        """Of the latest run that has it: by logical date, runs without one last and the newest of them first
        (`XComModel.get_many`)."""
        heads = await self._up_to(key)
        heads.sort(key=lambda head: (head.logical_date is None, -(head.logical_date or 0.0)))
        async for run in self._runs(heads):
            item = run.machine.xcoms.get(task_id, map_index, xcom_key)
            if item is not None:
                return item.value
        return None

    async def _all_prior(self, key: RunKey, task_id: str, xcom_key: str) -> list[bytes]:
        """By map index, and for each as the runs were accepted."""
        found: list[tuple[int, bytes]] = []
        async for run in self._runs(reversed(await self._up_to(key))):
            xcoms = run.machine.xcoms
            indexes, items = xcoms.map_indexes(task_id, xcom_key), xcoms.all_of(task_id, xcom_key)
            found += zip(indexes, (item.value for item in items), strict=True)
        return [value for _, value in sorted(found, key=lambda one: one[0])]

    async def _runs(self, heads: Iterable[RunHead]) -> AsyncIterator[Run]:
        for head in heads:
            with suppress(RunNotFound):
                yield await self._find(head.key)

    async def _up_to(self, key: RunKey) -> list[RunHead]:
        """The DAG's runs up to the date of this one, the newest first. A run's date is its logical date, or that from
        which it could start."""
        own = await self._journal.head(key)
        return [] if own is None else [head for head in await self._heads(key.dag_id) if _date(head) <= _date(own)]

    async def _heads(self, dag_id: str) -> list[RunHead]:
        """Newest first."""
        heads: list[RunHead] = []
        while True:
            query = HeadQuery(dag_ids=frozenset({dag_id}), order_by=("-id",), limit=_PAGE, offset=len(heads))
            page, total = await self._journal.list_heads(query)
            heads += page
            if not page or len(heads) >= total:
                return heads


def _date(head: RunHead) -> float:
    return head.run_after if head.logical_date is None else head.logical_date
