"""Questions of running code that the store answers: Variables, Connections, states of tasks and assets.

As with `questions`, answers are values of MessagePack, and what cannot be answered raises an error whose sentence the
task will see. What is changed is durable before it is answered.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from dagcall.coordinator.kept import Kept
from dagcall.model.ids import RunKey, TaskKey
from dagcall.workers.frames import Ask


async def _variable(kept: Kept, run: RunKey, key: str) -> object:
    found = await kept.variables.find(key)
    return None if found is None or found.value is None else [found.value, found.mark]


async def _put_variable(kept: Kept, run: RunKey, key: str, value: str, description: str | None) -> None:
    # A DAG file that changes what it reads would be parsed again and again.
    await kept.variables.put(key, value, description, tell=run != NO_RUN)


async def _remove_variable(kept: Kept, run: RunKey, key: str) -> None:
    await kept.variables.remove(key, tell=run != NO_RUN)


async def _variable_keys(kept: Kept, run: RunKey, prefix: str | None, limit: int, offset: int) -> object:
    keys = await kept.variables.keys(prefix or "")
    return [keys[offset : offset + limit], len(keys)]


async def _connection(kept: Kept, run: RunKey, conn_id: str) -> object:
    found = await kept.connections.find(conn_id)
    if found is None:
        return None
    fields = ("conn_id", "conn_type", "host", "schema", "login", "password", "port", "extra")
    return [{name: getattr(found, name) for name in fields}, found.mark]


async def _secret_variable(kept: Kept, run: RunKey, key: str) -> object:
    return None if kept.backend is None else await kept.backend.variable(key)


async def _secret_connection(kept: Kept, run: RunKey, conn_id: str) -> object:
    return None if kept.backend is None else await kept.backend.connection(conn_id)


async def _task_state(kept: Kept, run: RunKey, task_id: str, map_index: int, key: str) -> object:
    return await kept.task_states.get(run, TaskKey(task_id, map_index), key)


async def _put_task_state(
    kept: Kept, run: RunKey, task_id: str, map_index: int, key: str, value: bytes, expires_at: float | None
) -> None:
    await kept.task_states.put(run, TaskKey(task_id, map_index), key, value, expires_at)


async def _remove_task_state(kept: Kept, run: RunKey, task_id: str, map_index: int, key: str) -> None:
    await kept.task_states.remove(run, TaskKey(task_id, map_index), key)


async def _clear_task_states(kept: Kept, run: RunKey, task_id: str, map_index: int) -> None:
    await kept.task_states.clear(run, TaskKey(task_id, map_index))


async def _asset_state(kept: Kept, run: RunKey, name: str | None, uri: str | None, key: str) -> object:
    return await kept.asset_states.get(name, uri, key)


async def _put_asset_state(kept: Kept, run: RunKey, name: str | None, uri: str | None, key: str, value: bytes) -> None:
    await kept.asset_states.put(name, uri, key, value)


async def _remove_asset_state(kept: Kept, run: RunKey, name: str | None, uri: str | None, key: str) -> None:
    await kept.asset_states.remove(name, uri, key)


async def _clear_asset_states(kept: Kept, run: RunKey, name: str | None, uri: str | None) -> None:
    await kept.asset_states.clear(name, uri)


QUESTIONS: dict[str, Callable[..., Awaitable[object]]] = {
    "variable": _variable,
    "put_variable": _put_variable,
    "remove_variable": _remove_variable,
    "variable_keys": _variable_keys,
    "connection": _connection,
    "secret_variable": _secret_variable,
    "secret_connection": _secret_connection,
    "task_state": _task_state,
    "put_task_state": _put_task_state,
    "remove_task_state": _remove_task_state,
    "clear_task_states": _clear_task_states,
    "asset_state": _asset_state,
    "put_asset_state": _put_asset_state,
    "remove_asset_state": _remove_asset_state,
    "clear_asset_states": _clear_asset_states,
}
"""By the name of the question. Arguments: what is kept, the asking run, and those of the frame."""


async def answer(kept: Kept, run: RunKey, what: str, args: list[Any]) -> object:
    """`run` is that of the task which asks; a DAG file that asks while it is parsed has none."""
    return await QUESTIONS[what](kept, run, *args)


NO_RUN = RunKey("", "")
ASKED_WHILE_PARSING = frozenset(
    {
        "variable",
        "put_variable",
        "remove_variable",
        "variable_keys",
        "connection",
        "secret_variable",
        "secret_connection",
    }
)
"""What Airflow's DAG processor answers too."""


async def answer_parsing(kept: Kept, ask: Ask) -> object:
    """What a DAG file asks while it is parsed. Raises LookupError, DagcallError."""
    if ask.what not in ASKED_WHILE_PARSING:
        raise LookupError(f"{ask.what!r} cannot be asked while a DAG file is parsed")
    return await answer(kept, NO_RUN, ask.what, ask.args)
