"""XCom values, which are opaque everywhere else: MessagePack of what the Task SDK serialized."""

from typing import Any

import msgspec

from dagcall.model.events import XComItem
from dagcall.model.references import STORED_XCOM

_decode = msgspec.msgpack.Decoder(strict=False).decode


def decode_value(item: XComItem) -> Any:
    """The serialized form that Airflow would have stored: plain data, `__classname__` objects not restored. Of a value
    that is kept in the result storage, its URI there, as with Airflow's own backend for object storage."""
    return jsonable(_decode(item.value))


def jsonable(value: Any) -> Any:
    """As Airflow's API does: what JSON cannot express is shown as text."""
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, dict):
        return {str(name): jsonable(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(one) for one in value]
    if isinstance(value, msgspec.msgpack.Ext) and value.code == STORED_XCOM:
        return bytes(value.data).decode()
    return str(value)
