"""The task state store: what a task instance keeps for its later tries."""

from typing import Any

import msgspec
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.conversation import Conversation, Handler, refuse

_pack = msgspec.msgpack.Encoder().encode
_unpack = msgspec.msgpack.Decoder().decode


def _own(talk: Conversation, msg: Any) -> tuple[str, int]:
    """The task instance that asks: the only one whose store it may use, as in Airflow."""
    if str(msg.ti_id) != talk.start.ti_id:
        refuse("a task can only use its own task state store")
    return talk.start.task_id, talk.start.map_index


def _get(talk: Conversation, msg: sdk.GetTaskStateStore) -> Any:
    value = talk.ask("task_state", *_own(talk, msg), msg.key)
    if value is None:
        return sdk.ErrorResponse(error=ErrorType.TASK_STORE_NOT_FOUND, detail={"key": msg.key})
    return sdk.TaskStateStoreResult(value=_unpack(value))


def _set(talk: Conversation, msg: sdk.SetTaskStateStore) -> Any:
    expires_at = None if msg.expires_at is None else msg.expires_at.timestamp()
    talk.ask("put_task_state", *_own(talk, msg), msg.key, _pack(msg.value), expires_at)
    return sdk.OKResponse(ok=True)


def _delete(talk: Conversation, msg: sdk.DeleteTaskStateStore) -> Any:
    talk.ask("remove_task_state", *_own(talk, msg), msg.key)
    return sdk.OKResponse(ok=True)


def _clear(talk: Conversation, msg: sdk.ClearTaskStateStore) -> Any:
    talk.ask("clear_task_states", *_own(talk, msg))
    return sdk.OKResponse(ok=True)


HANDLERS: dict[type, Handler] = {
    sdk.GetTaskStateStore: _get,
    sdk.SetTaskStateStore: _set,
    sdk.DeleteTaskStateStore: _delete,
    sdk.ClearTaskStateStore: _clear,
}
