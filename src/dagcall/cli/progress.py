"""Live progress on stderr, only where somebody watches: rich's spinner when it is installed, else one plain line."""

from importlib import import_module
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self, TextIO


class Progress(Protocol):
    """One line that is redrawn, and gone at the end."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def show(self, text: str) -> None: ...


class PlainLine:
    """Redraws one line with a carriage return; no colour."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._width = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._width:
            self._stream.write("\r" + " " * self._width + "\r")
            self._stream.flush()

    def show(self, text: str) -> None:
        self._stream.write("\r" + text.ljust(self._width))
        self._stream.flush()
        self._width = len(text)


class Spinner:
    """rich's status line. rich itself obeys NO_COLOR."""

    def __init__(self, stream: TextIO) -> None:
        console = import_module("rich.console").Console(file=stream)
        self._escape = import_module("rich.markup").escape
        self._status = console.status("")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._status.stop()

    def show(self, text: str) -> None:
        self._status.update(self._escape(text))
        self._status.start()


def progress_on(stream: TextIO) -> Progress:
    """The best that is installed."""
    return Spinner(stream) if find_spec("rich") is not None else PlainLine(stream)
