"""Airflow's asset state store: what tasks keep for an asset, by (asset, key), for as long as nobody removes it.

Values are opaque. An asset is found by its name or its URI while some DAG declares it (`asset_id`), as in Airflow.
"""

from collections.abc import Callable

from dagcall.journal.store import Put, Remove, RemoveAll, Store

KIND = "asset_state"
FindAsset = Callable[[str | None, str | None], int | None]
"""The id of the active asset with this name, or with this URI."""


class AssetStates:
    def __init__(self, store: Store, now: Callable[[], float], asset_id: FindAsset) -> None:
        self._store = store
        self._now = now
        self._asset_id = asset_id

    async def get(self, name: str | None, uri: str | None, key: str) -> bytes | None:
        """None when there is no such asset, too."""
        asset_id = self._asset_id(name, uri)
        item = None if asset_id is None else await self._store.get(KIND, f"{asset_id}/{key}")
        return None if item is None else item.value

    async def put(self, name: str | None, uri: str | None, key: str, value: bytes) -> None:
        """This and what follows raise LookupError when there is no such asset."""
        await self._store.write(Put(KIND, f"{self._scope(name, uri)}{key}", value, self._now()))

    async def remove(self, name: str | None, uri: str | None, key: str) -> None:
        await self._store.write(Remove(KIND, f"{self._scope(name, uri)}{key}"))

    async def clear(self, name: str | None, uri: str | None) -> None:
        await self._store.write(RemoveAll(KIND, self._scope(name, uri)))

    def _scope(self, name: str | None, uri: str | None) -> str:
        asset_id = self._asset_id(name, uri)
        if asset_id is None:
            raise LookupError(f"Asset with {f'name={name!r}' if name else f'uri={uri!r}'} not found")
        return f"{asset_id}/"
