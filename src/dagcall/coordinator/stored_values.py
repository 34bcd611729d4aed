"""The bytes that results refer to: read for callers, and deleted with their run.

Guarantees. What is read is what the reference promises, or the reader is told that it is gone: an object that is not
there, or that was changed since the task ended, is never answered as if it were (of a store elsewhere, its size is what
shows that). Memory does not grow with the value. Only references of runs name what can be read: no caller does.

Files of this machine are read here, on threads. Any other store needs Airflow's libraries: a process reads for each
reader, `MOST_ELSEWHERE` of them at once.
"""

import asyncio
import logging
import os
import shutil
import stat
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from dagcall.coordinator.api import OpenedValue
from dagcall.errors import DagcallError, Unavailable, ValueGone
from dagcall.model.ids import RunKey
from dagcall.model.references import LOCAL, Reference, folder_of
from dagcall.workers.base import StoreAccess, StoreUnreachable, Workers

log = logging.getLogger("dagcall.coordinator")

CHUNK = 256 * 1024
"""Bytes read at once for one reader; from elsewhere, `CHUNK_ELSEWHERE`."""
CHUNK_ELSEWHERE = 1 << 20
MOST_ELSEWHERE = 8
PATIENCE = 10.0
"""Seconds that a reader waits for others to end."""


class StoredValues:
    """Implements `api.StoredView`. `ephemeral`: a folder of this server's own, for runs that end with it."""

    def __init__(self, workers: Workers, ephemeral: str | None = None) -> None:
        self._workers = workers
        self._ephemeral = ephemeral
        self._root = ""
        self._elsewhere = asyncio.Semaphore(MOST_ELSEWHERE)

    def begin(self, settings: Mapping[str, Any]) -> None:
        self._root = str(settings.get("result_storage", ""))

    async def end(self) -> None:
        if self._ephemeral is not None:
            await asyncio.to_thread(shutil.rmtree, self._ephemeral, ignore_errors=True)

    async def open(self, reference: Reference) -> OpenedValue:
        if reference.sha256 is None:
            raise ValueGone("There was nothing to read under the URI of this reference when its task ended.")
        if reference.uri.startswith(LOCAL):
            return await asyncio.to_thread(_open, reference)
        try:
            await asyncio.wait_for(self._elsewhere.acquire(), PATIENCE)
        except TimeoutError:
            raise Unavailable(
                "As many values are read from stores as the server reads at once.", retry_after=5.0
            ) from None
        try:
            access = await self._workers.open_store()
        except BaseException:
            self._elsewhere.release()
            raise
        remote = RemoteObject(reference, access, self._elsewhere)
        try:
            await remote.look()
        except BaseException:
            await remote.close()
            raise
        return remote

    async def forget(self, runs: Sequence[RunKey]) -> None:
        """Delete all that was stored for some runs. What cannot be deleted is left behind, and said so."""
        folders = [f"{self._root}/{folder_of(*run)}" for run in runs]
        if self._root.startswith(LOCAL):
            await asyncio.to_thread(_delete, [folder.removeprefix(LOCAL) for folder in folders])
        elif folders and self._root:
            try:
                await self._forget_elsewhere(folders)
            except (StoreUnreachable, DagcallError) as error:
                log.warning("stored values of %d run(s) were left behind in %s: %s", len(runs), self._root, error)

    async def _forget_elsewhere(self, folders: list[str]) -> None:
        access = await self._workers.open_store()
        try:
            for folder in folders:
                await access.delete(folder)
        finally:
            access.close()


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


class RemoteObject:
    """An object in a store elsewhere. Implements `api.OpenedValue`."""

    def __init__(self, reference: Reference, access: StoreAccess, slots: asyncio.Semaphore) -> None:
        assert reference.size is not None
        self._uri = reference.uri
        self._size = reference.size
        self._access = access
        self._slots = slots

    async def look(self) -> None:
        """Raises ValueGone, Unavailable: now, and not when the answer has begun."""
        await self._read(0, min(1, self._size))

    async def read(self, begin: int, end: int) -> AsyncIterator[bytes]:
        while begin < end:
            chunk = await self._read(begin, min(begin + CHUNK_ELSEWHERE, end))
            if not chunk:
                raise ValueGone(f"{self._uri} has become shorter while it was read.")
            begin += len(chunk)
            yield chunk

    async def close(self) -> None:
        self._access.close()
        self._slots.release()

    async def _read(self, begin: int, end: int) -> bytes:
        try:
            return await self._access.read(self._uri, self._size, begin, end)
        except FileNotFoundError as gone:
            raise ValueGone(f"{gone}.") from None
        except StoreUnreachable as error:
            raise Unavailable(f"{self._uri} cannot be read now: {error}.", retry_after=5.0) from None


def _open(reference: Reference) -> LocalFile:
    path = reference.uri.removeprefix(LOCAL)
    try:
        # Without blocking, should it have become a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        hint = (
            " It is a file of the server that ran the task: servers that share a journal need a [dagcall] result_storage "
            "that all of them reach."
            if isinstance(error, FileNotFoundError)
            else ""
        )
        raise ValueGone(f"{reference.uri} cannot be read here: {error.strerror}.{hint}") from None
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or (found.st_size, found.st_mtime_ns) != (reference.size, reference.modified):
        os.close(descriptor)
        raise ValueGone(f"{reference.uri} was changed after its task had ended.")
    return LocalFile(descriptor)


def _delete(folders: Sequence[str]) -> None:
    for folder in folders:
        try:
            shutil.rmtree(folder)
            os.rmdir(os.path.dirname(folder))  # of its DAG, if this was the last run in it
        except FileNotFoundError:
            continue
        except OSError as error:
            if os.path.exists(folder):
                log.warning("stored values were left behind in %s: %s", folder, error)
