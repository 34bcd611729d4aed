"""The condition of an asset-scheduled DAG, decided here and by Airflow's own evaluator, and its expression."""

from collections.abc import Iterable
from typing import Any, ClassVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("airflow.sdk")

from airflow.assets.evaluation import AssetEvaluator
from airflow.sdk import DAG, Asset, AssetAlias, AssetAll, AssetAny
from airflow.serialization.definitions.assets import SerializedAsset, SerializedAssetUniqueKey
from airflow.serialization.encoders import ensure_serialized_asset

from dagcall.airflow_bridge import assets as bridge
from dagcall.core.asset_condition import is_met
from dagcall.model.assets import AssetKey

NAMES = ("a", "b", "c")
ASSETS = {name: Asset(name, f"at/{name}") for name in NAMES}
ALIASES = {"none": (), "one": ("a",), "two": ("b", "c")}
LEAVES = st.one_of(
    st.sampled_from(list(ASSETS.values())),
    st.sampled_from([AssetAlias(name) for name in ALIASES]),
    st.sampled_from([Asset.ref(name=name) for name in (*NAMES, "nobody")]),
    st.sampled_from([Asset.ref(uri=f"at/{name}") for name in (*NAMES, "nobody")]),
)
CONDITIONS = st.recursive(
    LEAVES,
    lambda parts: st.builds(
        lambda combine, some: combine(*some),
        st.sampled_from([AssetAll, AssetAny]),
        st.lists(parts, min_size=1, max_size=3),
    ),
    max_leaves=8,
)


class Registry:
    """Every asset is active."""

    def named(self, name: str) -> AssetKey | None:
        return AssetKey(name, f"at/{name}") if name in NAMES else None

    def at(self, uri: str) -> AssetKey | None:
        return self.named(uri.removeprefix("at/"))

    def behind(self, alias: str) -> Iterable[AssetKey]:
        return tuple(AssetKey(name, f"at/{name}") for name in ALIASES[alias])


class StockEvaluator(AssetEvaluator):
    """Airflow's, which looks assets up in the same registry instead of a database."""

    _registry: ClassVar = Registry()

    def _resolve_asset_ref(self, o: Any) -> SerializedAsset | None:
        key = self._registry.named(o.name) if hasattr(o, "name") else self._registry.at(o.uri)
        return None if key is None else _serialized(key)

    def _resolve_asset_alias(self, o: Any) -> list[SerializedAsset]:
        return [_serialized(key) for key in self._registry.behind(o.name)]


def _serialized(key: AssetKey) -> SerializedAsset:
    serialized = ensure_serialized_asset(Asset(key.name, key.uri))
    assert isinstance(serialized, SerializedAsset)
    return serialized


@settings(max_examples=300, deadline=None)
@given(condition=CONDITIONS, updated=st.sets(st.sampled_from(NAMES)))
def test_a_condition_is_met_as_airflow_says(condition: Any, updated: set[str]) -> None:
    ours = bridge.condition_of(DAG("d", schedule=condition))
    assert ours is not None
    stock = StockEvaluator(session=None)  # type: ignore[arg-type]
    statuses = {SerializedAssetUniqueKey(name, f"at/{name}"): True for name in updated}
    expected = stock.run(ensure_serialized_asset(condition), statuses)
    assert is_met(ours, {AssetKey(name, f"at/{name}") for name in updated}, Registry()) == expected
