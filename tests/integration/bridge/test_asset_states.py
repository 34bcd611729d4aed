"""The asset state store, used by real task code."""

from ..serving import Serving


def test_what_tasks_keep_for_an_asset(served: Serving) -> None:
    served.write(
        "asset_states.py",
        """
from airflow.sdk import Asset, AssetAlias, dag, task

BOOKS = Asset("state_books", "s3://state/books")
OTHER = Asset("state_other", "s3://state/other")

@dag(schedule=None)
def asset_states():
    @task(outlets=[BOOKS])
    def write(asset_state_store=None):
        before = asset_state_store.get("cursor", "nothing")
        asset_state_store.set("cursor", {"page": [1, None]})
        asset_state_store.set("gone", 1)
        asset_state_store.delete("gone")
        asset_state_store.delete("gone")
        return before

    @task(inlets=[BOOKS, OTHER, Asset.ref(uri="s3://state/books")])
    def read(before, asset_state_store=None):
        books, other = asset_state_store[BOOKS], asset_state_store[OTHER]
        by_uri = asset_state_store[Asset.ref(uri="s3://state/books")]
        found = [before, books.get("cursor"), books.get("gone"), other.get("cursor"), by_uri.get("cursor")]
        by_uri.set("by uri", "x")
        other.set("cursor", "other")
        found.append(books.get("by uri"))
        by_uri.delete("by uri")
        found.append(books.get("by uri"))
        books.clear()
        found += [by_uri.get("cursor"), other.get("cursor")]
        by_uri.clear()
        other.clear()
        return found
    return read(write())
asset_states()
""",
    )
    served.wait_for_dag("asset_states")
    cursor = {"page": [1, None]}
    for _ in range(2):
        assert served.call("asset_states") == ["nothing", cursor, None, None, cursor, "x", None, None, "other"]


def test_an_asset_that_nobody_declares(served: Serving) -> None:
    served.write(
        "no_asset.py",
        """
from airflow.sdk import dag, task

@dag(schedule=None)
def no_asset():
    @task
    def ask():
        from airflow.sdk.execution_time import comms
        from airflow.sdk.execution_time.context import AssetStateStoreAccessor
        found = [AssetStateStoreAccessor(name="undeclared").get("k", "default")]
        for accessor in (AssetStateStoreAccessor(name="undeclared"), AssetStateStoreAccessor(uri="s3://undeclared")):
            try:
                accessor.set("k", 1)
            except Exception as error:
                found.append(str(error))
        return found
    return ask()
no_asset()
""",
    )
    served.wait_for_dag("no_asset")
    default, by_name, by_uri = served.call("no_asset")
    assert default == "default"
    assert "Asset with name='undeclared' not found" in by_name
    assert "Asset with uri='s3://undeclared' not found" in by_uri
