"""The store of values that are too large for a message, or are bytes: `[dagcall] result_storage`.

Any store that Airflow's `ObjectStoragePath` knows; by default files below AIRFLOW_HOME. Guarantees: every object has a
name of its own and is never written again; it is whole when its URI is told to anybody, and on the disk where its run
survives a power cut; nothing is read into memory that could be written, or checked, piece by piece. What cannot be stored
fails the task with the reason.
"""

import functools
import hashlib
import io
import os
import secrets
from collections.abc import Callable
from typing import Any, BinaryIO

from airflow.sdk import ObjectStoragePath
from airflow.sdk.configuration import conf

from dagcall.model.references import EPHEMERAL, LOCAL, Reference, folder_of, safe_name
from dagcall.workers.frames import Start

_CHUNK = 1 << 20
_LOCAL_PROTOCOLS = ("", "file", "local")


@functools.cache
def root() -> str:
    """URI of the folder that everything is stored below."""
    configured = conf.get("dagcall", "result_storage", fallback="") or os.environ.get(EPHEMERAL)
    if not configured:
        configured = os.path.join(os.path.expanduser(os.environ.get("AIRFLOW_HOME", "~/airflow")), "dagcall", "results")
    if "://" in configured and not configured.startswith(LOCAL):
        return str(configured).rstrip("/")
    return LOCAL + os.path.abspath(configured.removeprefix(LOCAL))


def uri_of(path: ObjectStoragePath) -> str:
    """One spelling of where an object is, with the id of the Airflow connection that opens it. Of a local file, the
    absolute path after `file://`."""
    if (path.protocol or "") in _LOCAL_PROTOCOLS and path.conn_id is None:
        return LOCAL + os.path.abspath(path.path)
    return str(path)


def store(start: Start, suffix: str, media_type: str, write: Callable[[BinaryIO], object], part: int = 0) -> Reference:
    """Store what `write` writes, as a part of the task's result."""
    path, file = _write(start.dag_id, start.run_id, start.task_id, suffix, write, sync=start.survives_power)
    return Reference(uri_of(path), media_type, file.size, file.digest.hexdigest(), part, _modified(path))


def store_xcom(dag_id: str, run_id: str, task_id: str, packed: bytes, *, sync: bool) -> str:
    """The URI under which an XCom's value is stored, for `read`."""
    path, _ = _write(dag_id, run_id, task_id, ".xcom", lambda file: file.write(packed), sync=sync)
    return uri_of(path)


def read(uri: str) -> bytes:
    path = ObjectStoragePath(uri)
    # Not `path.open`, which would note it as an input of the task (lineage).
    with path.fs.open(path.path, "rb") as file:
        content: bytes = file.read()
    return content


def describe(path: ObjectStoragePath, media_type: str, part: int = 0) -> Reference:
    """A reference to what the author has put there. Reads all of it, for the checksum."""
    uri, digest, size = uri_of(path), hashlib.sha256(), 0
    try:
        modified = _modified(path)
        with path.fs.open(path.path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
                size += len(chunk)
    except (FileNotFoundError, IsADirectoryError):
        return Reference(uri, media_type, part=part)
    return Reference(uri, media_type, size, digest.hexdigest(), part, modified)


def _write(
    dag_id: str, run_id: str, task_id: str, suffix: str, write: Callable[[BinaryIO], object], *, sync: bool
) -> tuple[ObjectStoragePath, "_Measured"]:
    folder: Any = ObjectStoragePath(root()) / folder_of(dag_id, run_id)
    path = folder / f"{safe_name(task_id)}-{secrets.token_hex(8)}{suffix}"
    try:
        if not folder.exists():
            folder.mkdir(parents=True, exist_ok=True)
        with path.fs.open(path.path, "wb") as file:
            measured = _Measured(file)
            write(measured)  # type: ignore[arg-type] # typing has no common protocol of raw and buffered files
            if sync and root().startswith(LOCAL):
                _sync(file, folder.path)
    except Exception as error:
        raise RuntimeError(
            f"the value of task {task_id!r} cannot be stored in {root()} ([dagcall] result_storage): "
            f"{type(error).__name__}: {error}"
        ) from error
    return path, measured


def _sync(file: Any, folder: str) -> None:
    """The file, and its name: in its folder, and the names of that folder and of its DAG's."""
    file.flush()
    os.fsync(file.fileno())
    for _ in range(3):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        folder = os.path.dirname(folder)


def _modified(path: ObjectStoragePath) -> int | None:
    return os.stat(path.path).st_mtime_ns if uri_of(path).startswith(LOCAL) else None


class _Measured(io.RawIOBase):
    """Passes on what is written, and knows its size and checksum."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self.size = 0
        self.digest = hashlib.sha256()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        for begin in range(0, len(view), _CHUNK):
            piece = view[begin : begin + _CHUNK]
            self._file.write(piece)
            self.digest.update(piece)
        self.size += len(view)
        return len(view)

    def tell(self) -> int:
        return self.size
