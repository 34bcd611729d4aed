"""The bytes that results refer to: read for callers, and deleted with their run.

Guarantees. What is read is what the reference promises, or the reader is told that it is gone: an object that is not
there, or that was changed since the task ended, is never answered as if it were. Memory does not grow with the value.
Only references of runs name what can be read: no caller does.
"""

import asyncio
import logging
import os
import shutil
import stat
from collections.abc import AsyncIterator, Mapping
from typing import Any

from dagcall.coordinator.api import OpenedValue
from dagcall.errors import NotSupported, ValueGone
from dagcall.model.ids import RunKey
from dagcall.model.references import LOCAL, Reference, folder_of

log = logging.getLogger("dagcall.coordinator")

CHUNK = 256 * 1024
"""Bytes read at once for one reader."""


class StoredValues:
    """Implements `api.StoredView`."""

    def __init__(self) -> None:
        self._root = ""

    def begin(self, settings: Mapping[str, Any]) -> None:
        self._root = str(settings.get("result_storage", ""))

    async def open(self, reference: Reference) -> OpenedValue:
        if reference.sha256 is None:
            raise ValueGone("There was nothing to read under the URI of this reference when its task ended.")
        if not reference.uri.startswith(LOCAL):
            raise NotSupported(f"Values in this store cannot be streamed; read {reference.uri} directly.")
        return await asyncio.to_thread(_open, reference)

    async def forget(self, run: RunKey) -> None:
        """Delete all that was stored for a run. What cannot be deleted is left behind, and said so."""
        if self._root.startswith(LOCAL):
            folder = os.path.join(self._root.removeprefix(LOCAL), folder_of(*run))
            await asyncio.to_thread(_delete, folder)


class LocalFile:
    """An open file. Implements `api.OpenedValue`."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    async def read(self, begin: int, end: int) -> AsyncIterator[bytes]:
        while begin < end:
            chunk = await asyncio.to_thread(os.pread, self._descriptor, min(CHUNK, end - begin), begin)
            if not chunk:
                raise ValueGone("The file has become shorter while it was read.")
            begin += len(chunk)
            yield chunk

    async def close(self) -> None:
        os.close(self._descriptor)


def _open(reference: Reference) -> LocalFile:
    path = reference.uri.removeprefix(LOCAL)
    try:
        # Without blocking, should it have become a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ValueGone(f"{reference.uri} cannot be read any more: {error.strerror}.") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != (reference.size, reference.modified):
        os.close(descriptor)
        raise ValueGone(f"{reference.uri} was changed after its task had ended.")
    return LocalFile(descriptor)


def _delete(folder: str) -> None:
    try:
        shutil.rmtree(folder)
        os.rmdir(os.path.dirname(folder))  # of its DAG, if this was the last run in it
    except FileNotFoundError:
        return
    except OSError as error:
        if os.path.exists(folder):
            log.warning("stored values were left behind in %s: %s", folder, error)
