"""A value that the server gives by reference, as callers of the Python clients get it."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

Document = dict[str, Any]


class _Reference(Document):
    """The JSON of the answer, `{"reference": {...}}`, which it stays when it is copied, pickled or printed."""

    @property
    def uri(self) -> str:
        """Where the object is, in the store that the server uses."""
        return str(self["reference"]["uri"])

    @property
    def href(self) -> str | None:
        """The path on the server that streams the bytes; None: there was nothing to read when the task ended."""
        href: str | None = self["reference"]["href"]
        return href

    @property
    def media_type(self) -> str:
        return str(self["reference"]["media_type"])

    @property
    def size(self) -> int | None:
        size: int | None = self["reference"]["size"]
        return size

    @property
    def sha256(self) -> str | None:
        """Hexadecimal."""
        digest: str | None = self["reference"]["sha256"]
        return digest

    def __reduce__(self) -> tuple[type[Document], tuple[Document]]:
        return dict, (dict(self),)


class Reference(_Reference):
    """A large value, or bytes. Reading goes on where a broken connection stopped, and raises `ServerError` when the
    bytes are not those that were promised, `ValueGone` when they are not there any more."""

    def __init__(self, document: Document, read: Callable[[Document], Iterator[bytes]]) -> None:
        super().__init__(document)
        self._chunks = read

    def iter_bytes(self) -> Iterator[bytes]:
        """Piece by piece."""
        return self._chunks(self["reference"])

    def read(self) -> bytes:
        return b"".join(self.iter_bytes())

    def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, which is there only once it is whole."""
        target, partial = _paths(path)
        try:
            with partial.open("wb") as file:
                for chunk in self.iter_bytes():
                    file.write(chunk)
            return partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


class AsyncReference(_Reference):
    """As `Reference`, for asyncio."""

    def __init__(self, document: Document, read: Callable[[Document], AsyncIterator[bytes]]) -> None:
        super().__init__(document)
        self._chunks = read

    def iter_bytes(self) -> AsyncIterator[bytes]:
        """Piece by piece."""
        return self._chunks(self["reference"])

    async def read(self) -> bytes:
        return b"".join([chunk async for chunk in self.iter_bytes()])

    async def download(self, path: str | os.PathLike[str]) -> Path:
        """Write the bytes to a file, which is there only once it is whole."""
        target, partial = _paths(path)
        try:
            with partial.open("wb") as file:
                async for chunk in self.iter_bytes():
                    await asyncio.to_thread(file.write, chunk)
            return partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)


def _paths(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    target = Path(path)
    return target, target.with_name(f"{target.name}.part")
