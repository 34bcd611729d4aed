"""The state stores: what a task instance keeps for its later tries, and what tasks keep for an asset."""

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


def _get_of_asset(talk: Conversation, msg: Any) -> Any:
    value = talk.ask("asset_state", *_asset(msg), msg.key)
    if value is None:
        return sdk.ErrorResponse(error=ErrorType.ASSET_STORE_NOT_FOUND, detail={"key": msg.key})
    return sdk.AssetStateStoreResult(value=_unpack(value))


def _set_of_asset(talk: Conversation, msg: Any) -> Any:
    talk.ask("put_asset_state", *_asset(msg), msg.key, _pack(msg.value))
    return sdk.OKResponse(ok=True)


def _delete_of_asset(talk: Conversation, msg: Any) -> Any:
    talk.ask("remove_asset_state", *_asset(msg), msg.key)
    return sdk.OKResponse(ok=True)


def _clear_of_asset(talk: Conversation, msg: Any) -> Any:
    talk.ask("clear_asset_states", *_asset(msg))
    return sdk.OKResponse(ok=True)


def _asset(msg: Any) -> tuple[str | None, str | None]:
    """Name and URI: a message has one of them."""
    return getattr(msg, "name", None), getattr(msg, "uri", None)


HANDLERS: dict[type, Handler] = {
    sdk.GetTaskStateStore: _get,
    sdk.SetTaskStateStore: _set,
    sdk.DeleteTaskStateStore: _delete,
    sdk.ClearTaskStateStore: _clear,
    sdk.GetAssetStateStoreByName: _get_of_asset,
    sdk.GetAssetStateStoreByUri: _get_of_asset,
    sdk.SetAssetStateStoreByName: _set_of_asset,
    sdk.SetAssetStateStoreByUri: _set_of_asset,
    sdk.DeleteAssetStateStoreByName: _delete_of_asset,
    sdk.DeleteAssetStateStoreByUri: _delete_of_asset,
    sdk.ClearAssetStateStoreByName: _clear_of_asset,
    sdk.ClearAssetStateStoreByUri: _clear_of_asset,
}
