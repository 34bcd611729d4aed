"""What a task asks about assets and their events."""

from datetime import UTC, datetime
from typing import Any

import msgspec
from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.conversation import Conversation, Handler


def _by_name(talk: Conversation, msg: sdk.GetAssetByName) -> Any:
    return _one(talk.ask("asset", msg.name, None), {"name": msg.name})


def _by_uri(talk: Conversation, msg: sdk.GetAssetByUri) -> Any:
    return _one(talk.ask("asset", None, msg.uri), {"uri": msg.uri})


def _by_alias(talk: Conversation, msg: sdk.GetAssetsByAlias) -> Any:
    return sdk.AssetsByAliasResult(
        assets=[sdk.AssetResult(**_asset(one)) for one in talk.ask("assets", msg.alias_name)]
    )


def _events_of_asset(talk: Conversation, msg: sdk.GetAssetEventByAsset) -> Any:
    return _events(talk, msg, msg.name, msg.uri, None)


def _events_of_alias(talk: Conversation, msg: sdk.GetAssetEventByAssetAlias) -> Any:
    return _events(talk, msg, None, None, msg.alias_name)


def _validate(talk: Conversation, msg: sdk.ValidateInletsAndOutlets) -> Any:
    inactive = talk.ask("inactive_assets", talk.start.task_id)
    profiles = [{"name": name, "uri": uri, "type": "Asset"} for name, uri in inactive]
    return sdk.InactiveAssetsResult.model_validate({"inactive_assets": profiles})


def _one(found: dict[str, Any] | None, asked: dict[str, Any]) -> Any:
    if found is None:
        return sdk.ErrorResponse(error=ErrorType.ASSET_NOT_FOUND, detail=asked)
    return sdk.AssetResult(**_asset(found))


def _asset(found: dict[str, Any]) -> dict[str, Any]:
    return {**found, "extra": msgspec.json.decode(found["extra"])}


def _events(talk: Conversation, msg: Any, name: str | None, uri: str | None, alias: str | None) -> Any:
    found = talk.ask(
        "asset_events", name, uri, alias, _seconds(msg.after), _seconds(msg.before), msg.ascending, msg.limit
    )
    return sdk.AssetEventsResult.model_validate({"asset_events": [_event(one) for one in found]})


def _event(found: dict[str, Any]) -> dict[str, Any]:
    return {
        **found,
        "timestamp": _moment(found["timestamp"]),
        "extra": msgspec.json.decode(found["extra"]),
        "asset": _asset(found["asset"]),
        "created_dagruns": [_run(run) for run in found["created_dagruns"]],
    }


def _run(found: dict[str, Any]) -> dict[str, Any]:
    times = {name: _moment(found[name]) for name in ("logical_date", "start_date", "end_date")}
    return {**found, **times, "data_interval_start": None, "data_interval_end": None, "partition_key": None}


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


HANDLERS: dict[type, Handler] = {
    sdk.GetAssetByName: _by_name,
    sdk.GetAssetByUri: _by_uri,
    sdk.GetAssetsByAlias: _by_alias,
    sdk.GetAssetEventByAsset: _events_of_asset,
    sdk.GetAssetEventByAssetAlias: _events_of_alias,
    sdk.ValidateInletsAndOutlets: _validate,
}
