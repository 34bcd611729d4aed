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
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any


def plain(value: Any, in_place: Callable[[Any], Any] | None = None) -> Any:
    """The same value made of dict, list, str, int, float, bool and None only.

    `in_place`: is asked for what takes the place of a value that JSON has no form of its own for; None: nothing does.
    """
    match value:
        case enum.Enum():
            return plain(value.value, in_place)
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
    if in_place is not None and (replacement := in_place(value)) is not None:
        return replacement
    match value:
        case Mapping():
            return {str(key): plain(item, in_place) for key, item in value.items()}
        case list() | tuple() | Set():
            return [plain(item, in_place) for item in value]
        case bytes() | bytearray() | memoryview():
            return bytes(value).decode("utf-8", "replace")
        case Sequence():  # such as the lazy sequence of a mapped task's values
            return [plain(item, in_place) for item in value]
    if hasattr(value, "model_dump"):
        return plain(value.model_dump(mode="python"), in_place)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {item.name: plain(getattr(value, item.name), in_place) for item in dataclasses.fields(value)}
    if hasattr(value, "__attrs_attrs__"):
        return {item.name: plain(getattr(value, item.name), in_place) for item in value.__attrs_attrs__}
    if hasattr(value, "tolist"):  # numpy arrays and scalars
        return plain(value.tolist(), in_place)
    if hasattr(value, "to_dict"):  # pandas frames and series
        return plain(value.to_dict(), in_place)
    return str(value)
