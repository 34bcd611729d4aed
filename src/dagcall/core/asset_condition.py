"""Whether a DAG that is scheduled on assets is due, as `AssetEvaluator` decides it (airflow/assets/evaluation.py)."""

from collections.abc import Collection, Iterable
from typing import Protocol

from dagcall.model.assets import AssetCondition, AssetKey, AssetRef


class Known(Protocol):
    """What a condition has to look up."""

    def named(self, name: str) -> AssetKey | None:
        """The active asset of that name."""
        ...

    def at(self, uri: str) -> AssetKey | None:
        """The active asset with that URI."""
        ...

    def behind(self, alias: str) -> Iterable[AssetKey]:
        """The assets that an alias has stood for."""
        ...


def is_met(condition: AssetCondition, updated: Collection[AssetKey], known: Known) -> bool:
    """`updated`: the assets with an event that the DAG has not started for."""
    match condition.kind:
        case "all":
            return all(is_met(part, updated, known) for part in condition.parts)
        case "any":
            return any(is_met(part, updated, known) for part in condition.parts)
        case "ref":
            assert condition.ref is not None
            return any(key in updated for key in keys_of(condition.ref, known))


def keys_of(ref: AssetRef, known: Known) -> Iterable[AssetKey]:
    """The assets that a reference stands for now."""
    match ref.kind:
        case "asset":
            return (ref.key,)
        case "alias":
            return known.behind(ref.name)
        case "name_ref":
            found = known.named(ref.name)
        case "uri_ref":
            found = known.at(ref.uri)
    return () if found is None else (found,)
