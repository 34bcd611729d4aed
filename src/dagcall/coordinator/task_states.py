"""Airflow's task state store: what a task instance keeps for its own later tries, by (run, task, map index, key).

Values are opaque. What has passed its `expires_at` is dropped when the server starts (Airflow: by a command that
somebody runs), and is readable until then, as there.
"""

from collections.abc import Callable

import msgspec

from dagcall.journal.store import Put, Remove, RemoveAll, Store
from dagcall.model.ids import RunKey, TaskKey

KIND = "task_state"
_BETWEEN = "\x1f"
"""Not a character of any id; only the last part, the key, may have any."""

_unpack = msgspec.msgpack.Decoder(tuple[float | None, bytes]).decode


class TaskStates:
    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    async def get(self, run: RunKey, task: TaskKey, key: str) -> bytes | None:
        item = await self._store.get(KIND, _scope(run, task) + key)
        return None if item is None else _unpack(item.value)[1]

    async def put(self, run: RunKey, task: TaskKey, key: str, value: bytes, expires_at: float | None) -> None:
        stored = msgspec.msgpack.encode((expires_at, value))
        await self._store.write(Put(KIND, _scope(run, task) + key, stored, self._now()))

    async def remove(self, run: RunKey, task: TaskKey, key: str) -> None:
        await self._store.write(Remove(KIND, _scope(run, task) + key))

    async def clear(self, run: RunKey, task: TaskKey) -> None:
        await self._store.write(RemoveAll(KIND, _scope(run, task)))

    async def drop_expired(self) -> None:
        now = self._now()
        expired = []
        for item in await self._store.items(KIND):
            expires_at, _ = _unpack(item.value)
            if expires_at is not None and expires_at < now:
                expired.append(Remove(KIND, item.key))
        if expired:
            await self._store.write(*expired)


def _scope(run: RunKey, task: TaskKey) -> str:
    return _BETWEEN.join((*run, task.task_id, str(task.map_index), ""))
