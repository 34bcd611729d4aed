"""Which versions of DAG files are in use by runs: a version that the catalog has replaced ends with its last one."""

from collections.abc import Callable

from dagcall.workers.base import Code


class CodesInUse:
    """`close`: called once for a version that was released, when nobody uses it any more."""

    def __init__(self, close: Callable[[Code], None]) -> None:
        self._close = close
        self._counts: dict[int, tuple[Code, int]] = {}
        self._released: set[int] = set()

    def use(self, code: Code) -> None:
        _, count = self._counts.get(id(code), (code, 0))
        self._counts[id(code)] = (code, count + 1)

    def unuse(self, code: Code) -> None:
        entry = self._counts.get(id(code))
        if entry is None:
            return
        if entry[1] > 1:
            self._counts[id(code)] = (code, entry[1] - 1)
            return
        del self._counts[id(code)]
        if id(code) in self._released:
            self._released.discard(id(code))
            self._close(code)

    def release(self, code: Code) -> None:
        """The catalog has replaced this version."""
        if id(code) in self._counts:
            self._released.add(id(code))
        else:
            self._close(code)
