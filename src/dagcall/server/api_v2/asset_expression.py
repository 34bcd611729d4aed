from typing import Any

from dagcall.core.asset_book import AssetBook
from dagcall.model.assets import AssetCondition


def expression(condition: AssetCondition | None, book: AssetBook) -> dict[str, Any] | None:
    """Airflow's `asset_expression` of a DAG."""
    if condition is None:
        return None
    ref = condition.ref
    if ref is None:
        return {condition.kind: [expression(part, book) for part in condition.parts]}
    if ref.kind == "asset":
        asset = book.find(ref.key)
        group, asset_id = ("asset", None) if asset is None else (asset.group, asset.id)
        return {"asset": {"uri": ref.uri, "name": ref.name, "group": group, "id": asset_id}}
    if ref.kind == "alias":
        alias = book.aliases.get(ref.name)
        return {"alias": {"name": ref.name, "group": "asset" if alias is None else alias.group}}
    return {"asset_ref": {"name": ref.name} if ref.kind == "name_ref" else {"uri": ref.uri}}
