"""Notes that people leave on runs and task instances (`PATCH` of Airflow's API).

Kept in the journal's store, durable when `put` returns, and forgotten with their run. A run's note that was given with
its trigger is part of the run; one that is kept here, also an empty one, goes before it.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

from dagcall.journal.store import Change, Item, Put, RemoveAll, Store
from dagcall.model.ids import RunKey, TaskKey

KIND: Final = "note"
_SEPARATOR: Final = "\x1f"

NotesOfRun = Mapping[TaskKey | None, str | None]
"""By task instance; None is the run itself. What nobody has changed is not in it."""

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(str | None).decode


class Notes:
    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    async def put(self, run: RunKey, notes: NotesOfRun) -> None:
        """All of them, or none. Raises JournalError."""
        changes = (Put(KIND, _key(run, task), _encode(note), self._now()) for task, note in notes.items())
        await self._store.write(*changes)

    async def of_run(self, run: RunKey) -> NotesOfRun:
        prefix = _prefix(run)
        return dict(_opened(item, prefix) for item in await self._store.items(KIND, prefix))

    async def of_runs(self, runs: Iterable[RunKey]) -> dict[RunKey, NotesOfRun]:
        """Runs without any are left out. Where nobody leaves notes this is one look, however many runs there are."""
        if not await self._store.items(KIND, limit=1):
            return {}
        return {run: notes for run in runs if (notes := await self.of_run(run))}


def forgetting(run: RunKey) -> Change:
    """For a run that is forgotten."""
    return RemoveAll(KIND, _prefix(run))


def _prefix(run: RunKey) -> str:
    return _SEPARATOR.join((*run, ""))


def _key(run: RunKey, task: TaskKey | None) -> str:
    return _prefix(run) + ("" if task is None else _SEPARATOR.join((task.task_id, str(task.map_index))))


def _opened(item: Item, prefix: str) -> tuple[TaskKey | None, str | None]:
    task_id, _, map_index = item.key.removeprefix(prefix).partition(_SEPARATOR)
    return (TaskKey(task_id, int(map_index)) if map_index else None), _decode(item.value)
