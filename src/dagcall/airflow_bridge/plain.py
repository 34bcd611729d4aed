"""A task's value as plain JSON: what the caller of a DAG gets.

Datetimes are ISO 8601, Decimal a string, dataclasses and Pydantic models objects, tuples and sets lists, NaN null.
"""

import dataclasses
import datetime
import decimal
import enum
import math
import pathlib
import uuid
from collections.abc import Mapping, Sequence, Set
from typing import Any

import msgspec

_encode = msgspec.json.Encoder().encode
_SERDE_MARK = b"__classname__"
"""Every value that is more than JSON carries this key in Airflow's serialized form (airflow/sdk/serde)."""


def to_plain_json(serialized: Any, packed: bytes, returned: Sequence[Any] = ()) -> bytes:
    """JSON of a pushed XCom.

    Args:
        serialized: what `XCom.serialize_value` gave: plain JSON, or Airflow's serde form, or a backend's reference.
        packed: the same as MessagePack, which is searched for serde's mark.
        returned: the object itself, where it is known; empty for an XCom that the task has pushed by hand.
    """
    from dagcall.airflow_bridge.settings import has_custom_xcom_backend

    if _SERDE_MARK not in packed and not has_custom_xcom_backend():
        return _encode(serialized)  # msgspec writes NaN and infinities as null
    if returned:
        return _encode(plain(returned[0]))
    from airflow.sdk.execution_time.comms import XComResult
    from airflow.sdk.execution_time.xcom import XCom

    value = XCom.deserialize_value(XComResult.model_construct(key="return_value", value=serialized))
    return _encode(plain(value))


def plain(value: Any) -> Any:
    """The same value made of dict, list, str, int, float, bool and None only."""
    match value:
        case enum.Enum():
            return plain(value.value)
        case None | bool() | int() | str():
            return value
        case float():
            return value if math.isfinite(value) else None
        case datetime.datetime() | datetime.date() | datetime.time():
            return value.isoformat()
        case datetime.timedelta():
            return value.total_seconds()
        case decimal.Decimal() | uuid.UUID() | pathlib.PurePath():
            return str(value)
        case Mapping():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | Set():
            return [plain(item) for item in value]
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("utf-8", "replace")
        case Sequence():  # such as the lazy sequence of a mapped task's values
            return [plain(item) for item in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="python"))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name)) for item in dataclasses.fields(value)}
    if hasattr(value, "__attrs_attrs__"):
        return {item.name: plain(getattr(value, item.name)) for item in value.__attrs_attrs__}
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return plain(value.tolist())
    if hasattr(value, "to_dict"):  # pandas frames and series
        return plain(value.to_dict())
    return str(value)
