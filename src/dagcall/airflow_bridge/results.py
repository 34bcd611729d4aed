"""A result task's value as its caller gets it: plain JSON, with references in the place of what is none.

By reference: bytes, frames and `ObjectStoragePath`, wherever in the value they are; files; and the JSON as a whole when
it is over `[dagcall] inline_limit`. Airflow has no XCom for bytes, files and some frames. A result task may return them
all the same: other tasks then get an `ObjectStoragePath`.
"""

import importlib.util
import io
import mimetypes
import os
import pathlib
import shutil
import sys
from collections.abc import Callable, Sequence
from typing import Any, BinaryIO

import msgspec
from airflow.sdk import Asset, ObjectStoragePath
from airflow.sdk.execution_time.comms import XComResult

from dagcall.airflow_bridge import storage
from dagcall.airflow_bridge.plain import plain
from dagcall.airflow_bridge.settings import has_custom_xcom_backend, inline_limit
from dagcall.model.references import LOCAL, Reference, encoded, href_of
from dagcall.workers.frames import Start

JSON = "application/json"
OCTETS = "application/octet-stream"
PARQUET = "application/vnd.apache.parquet"
CSV = "text/csv"

_SERDE_MARK = b"__classname__"
"""Every value that is more than JSON carries this key in Airflow's serialized form (airflow/sdk/serde)."""
_encode = msgspec.json.Encoder().encode

Form = tuple[str, str, Callable[[BinaryIO], object]]
"""How a value is written: file suffix, media type, and what writes it."""


class Result:
    """The result of one attempt, and what it refers to."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._kept: Reference | None = None
        self.references: list[Reference] = []

    def as_json(self, serialized: Any, packed: bytes, returned: Sequence[Any] = ()) -> bytes:
        """JSON of a pushed XCom.

        Args:
            serialized: what `XCom.serialize_value` gave: plain JSON, or Airflow's serde form, or a backend's reference.
            packed: the same as MessagePack, which is searched for serde's mark.
            returned: the object itself, where it is known; empty for an XCom that the task has pushed by hand.
        """
        self.references = []
        if _SERDE_MARK not in packed and not has_custom_xcom_backend():
            json = _encode(serialized)  # msgspec writes NaN and infinities as null
        else:
            value = returned[0] if returned else _deserialized(serialized)
            reference = self._reference(value, 0)
            if reference is not None:
                return self._refer(reference)
            json = _encode(plain(value, self._in_place))
        if len(json) <= inline_limit():
            return json
        return self._refer(storage.store(self._start, ".json", JSON, lambda file: file.write(json)))

    def keep(self, value: Any) -> ObjectStoragePath | None:
        """Where a value is that Airflow cannot serialize: stored, or the file that it is; None when it is none that has
        bytes."""
        if isinstance(value, pathlib.Path):
            path = ObjectStoragePath(LOCAL + os.path.abspath(value))
            self._kept = storage.describe(path, media_type_of(value.name)) if value.is_file() else None
        else:
            form = _form_of(value) or _form_of_file(value)
            self._kept = None if form is None else storage.store(self._start, *form)
        return None if self._kept is None else ObjectStoragePath(self._kept.uri)

    def _in_place(self, value: Any) -> Any:
        """For `plain`: the JSON that takes the place of a value; None where that is made of the value itself."""
        if isinstance(value, Asset):
            return {"asset": {"name": value.name, "uri": value.uri, "extra": plain(value.extra)}}
        reference = self._reference(value, len(self.references) + 1)
        return None if reference is None else msgspec.Raw(self._refer(reference))

    def _reference(self, value: Any, part: int) -> Reference | None:
        if isinstance(value, ObjectStoragePath):
            if part == 0 and self._kept is not None and self._kept.uri == storage.uri_of(value):
                return self._kept
            return storage.describe(value, media_type_of(value.name), part)
        form = _form_of(value)
        return None if form is None else storage.store(self._start, *form, part=part)

    def _refer(self, reference: Reference) -> bytes:
        start = self._start
        self.references.append(reference)
        href = href_of(start.dag_id, start.run_id, start.task_id, start.map_index, reference.part)
        return encoded(reference, href)


def media_type_of(name: str) -> str:
    """By the file's name. What is compressed has the type of its compression, not of its content."""
    kind, encoding = mimetypes.guess_type(name)
    return OCTETS if kind is None else kind if encoding is None else f"application/{encoding}"


def _deserialized(serialized: Any) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.deserialize_value(XComResult.model_construct(key="return_value", value=serialized))


def _form_of(value: Any) -> Form | None:
    """Of bytes and frames. A frame's library has been imported if there is a frame of it."""
    if isinstance(value, bytes | bytearray | memoryview):
        return ".bin", OCTETS, lambda file: file.write(value)
    for library, form in _FRAMES.items():
        if isinstance(value, getattr(sys.modules.get(library), "DataFrame", ())):
            return form(value)
    return None


def _form_of_pandas(frame: Any) -> Form:
    if any(importlib.util.find_spec(engine) for engine in ("pyarrow", "fastparquet")):
        return ".parquet", PARQUET, frame.to_parquet

    def write(file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, "utf-8", write_through=True, newline="")
        frame.to_csv(text, index=not isinstance(frame.index, sys.modules["pandas"].RangeIndex))
        text.detach()

    return ".csv", CSV, write


def _form_of_polars(frame: Any) -> Form:
    return ".parquet", PARQUET, frame.write_parquet


_FRAMES: dict[str, Callable[[Any], Form]] = {"pandas": _form_of_pandas, "polars": _form_of_polars}


def _form_of_file(value: Any) -> Form | None:
    """Of an open file, from its beginning."""
    file = getattr(value, "file", value)  # those of `tempfile` are wrapped
    file = getattr(file, "buffer", file)
    if not isinstance(file, io.IOBase) or not file.readable():
        return None
    if file.seekable():
        value.flush()
        file.seek(0)
    name = os.path.basename(str(getattr(value, "name", "")))
    return os.path.splitext(name)[1][:16], media_type_of(name), lambda copy: shutil.copyfileobj(file, copy)
