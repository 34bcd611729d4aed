"""Assets between Airflow's objects and the model: what a DAG declares, what a task that succeeded reports."""

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec
from airflow.sdk import DAG, Asset, AssetAlias
from airflow.sdk.definitions.asset import (
    AssetAll,
    AssetAny,
    AssetNameRef,
    AssetUriRef,
)

from dagcall.model.assets import (
    AliasDeclaration,
    AssetCondition,
    AssetDeclaration,
    AssetKey,
    AssetKind,
    AssetRef,
    OutletEvent,
    Outlets,
)

_json = msgspec.json.Encoder().encode

_CLASSES: dict[AssetKind, type] = {
    "asset": Asset,
    "name_ref": AssetNameRef,
    "uri_ref": AssetUriRef,
    "alias": AssetAlias,
}
_KINDS = {sdk.__name__: kind for kind, sdk in _CLASSES.items()}
"""By the type of an `AssetProfile`."""


def condition_of(dag: DAG) -> AssetCondition | None:
    """When the DAG is started by events; None when it is not. The time half of an `AssetOrTimeSchedule` is left out, and
    so is a schedule on partitions of assets, of which events tell nothing here."""
    condition = None if type(dag.timetable).__name__ == "PartitionedAssetTimetable" else _schedule_of(dag)
    return None if condition is None else _condition(condition)


def ports_of(objects: Iterable[Any] | None) -> tuple[AssetRef, ...]:
    """The assets among a task's inlets or outlets, which may hold other objects for lineage."""
    return tuple(ref for one in objects or () if (ref := _ref(one)) is not None)


def declarations_of(dag: DAG) -> tuple[tuple[AssetDeclaration, ...], tuple[AliasDeclaration, ...]]:
    """All assets and aliases that the schedule and the tasks name, each once: the last one said counts, as in stock."""
    assets: dict[AssetKey, AssetDeclaration] = {}
    aliases: dict[str, AliasDeclaration] = {}
    for one in _all_of(dag):
        kind = _kind(one)
        if kind == "asset":
            declared = AssetDeclaration(one.name, one.uri, one.group, _json(one.extra))
            assets[declared.key] = declared
        elif kind == "alias":
            aliases[one.name] = AliasDeclaration(one.name, one.group)
    return tuple(assets.values()), tuple(aliases.values())


def scheduled_assets(dag: DAG) -> Iterator[Any]:
    condition = _schedule_of(dag)
    if condition is not None:
        yield from (one for one in _leaves(condition) if _kind(one) == "asset")


def outlets_of(message: Any) -> Outlets | None:
    """From `SucceedTask`; None for a task without outlets."""
    if not message.task_outlets and not message.outlet_events:
        return None
    refs = tuple(AssetRef(_KINDS[one.type], one.name or "", one.uri or "") for one in message.task_outlets)
    return Outlets(refs, tuple(_event(event) for event in message.outlet_events))


def as_result(outlets: Outlets) -> bytes | None:
    """What a result task without a value answers with: the first asset that it has updated, as plain JSON."""
    for ref in outlets.refs:
        alias = ref.name if ref.kind == "alias" else None
        given = [event for event in outlets.events if event.alias == alias and (alias or event.key == ref.key)]
        if not given and ref.kind == "asset":
            given = [OutletEvent(ref.key)]
        for event in given:
            name, uri = event.key
            return _json({"asset": {"name": name, "uri": uri, "extra": msgspec.Raw(event.extra)}})
    return None


def _event(event: dict[str, Any]) -> OutletEvent:
    return OutletEvent(
        key=AssetKey(**event["dest_asset_key"]),
        extra=_json(event["extra"]),
        partition_key=event.get("partition_key"),
        alias=event.get("source_alias_name"),
        asset_extra=_json(event.get("dest_asset_extra", {})),
    )


def _schedule_of(dag: DAG) -> Any:
    """The condition, in the Task SDK's classes or, for `airflow.timetables.assets.AssetOrTimeSchedule`, in those of
    Airflow's core, which are named alike."""
    condition = getattr(dag.timetable, "asset_condition", None)
    return None if condition is None or type(condition).__name__ == "_NullAsset" else condition


def _condition(condition: Any) -> AssetCondition:
    if (kind := _combination(condition)) is not None:
        return AssetCondition(kind, parts=tuple(_condition(part) for part in condition.objects))
    ref = _ref(condition)
    assert ref is not None, condition
    return AssetCondition("ref", ref)


def _combination(condition: Any) -> Literal["all", "any"] | None:
    if isinstance(condition, AssetAll) or type(condition).__name__ == "SerializedAssetAll":
        return "all"
    if isinstance(condition, AssetAny) or type(condition).__name__ == "SerializedAssetAny":
        return "any"
    return None


def _kind(one: Any) -> AssetKind | None:
    for kind, sdk in _CLASSES.items():
        if isinstance(one, sdk) or type(one).__name__ == f"Serialized{sdk.__name__}":
            return kind
    return None


def _ref(one: Any) -> AssetRef | None:
    match _kind(one):
        case "asset":
            return AssetRef("asset", one.name, one.uri)
        case "uri_ref":
            return AssetRef("uri_ref", uri=one.uri)
        case None:
            return None
        case kind:
            return AssetRef(kind, one.name)


def _all_of(dag: DAG) -> Iterator[Any]:
    condition = _schedule_of(dag)
    if condition is not None:
        yield from _leaves(condition)
    for task in dag.tasks:
        yield from task.inlets or ()
        yield from task.outlets or ()


def _leaves(condition: Any) -> Iterator[Any]:
    if _combination(condition) is None:
        yield condition
    else:
        for part in condition.objects:
            yield from _leaves(part)
