"""Those who wait for more of one run's records, woken a few at a time.

A thousand readers take the event loop for longer than an answer may take. So they are woken in small groups, in the
order in which they began to wait, and whatever else has become ready meanwhile (the end of an attempt, a commit, an
answer) goes between the groups. Everybody who waits when there is news is woken once for it.
"""

import asyncio
from itertools import islice

AT_ONCE = 8


class Readers:
    __slots__ = ("_next", "_waiting", "_waking")

    def __init__(self) -> None:
        self._waiting: dict[asyncio.Future[None], None] = {}
        self._waking: dict[asyncio.Future[None], None] = {}
        """Those whom there is news for. Ordered, as is `_waiting`."""
        self._next: asyncio.Handle | None = None

    @property
    def is_waited_for(self) -> bool:
        return bool(self._waiting or self._waking)

    def wait(self) -> "asyncio.Future[None]":
        """Done when there is news. To be cancelled by who does not wait for it any more."""
        future = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        future.add_done_callback(self._forget)
        return future

    def wake(self, after: float = 0.0) -> None:
        """There is news. `after`: seconds in which nobody is woken."""
        self._waking |= self._waiting
        self._waiting = {}
        if after:
            if self._next is not None:
                self._next.cancel()
            self._next = asyncio.get_running_loop().call_later(after, self._wake_some)
        elif self._next is None:
            self._wake_some()

    def _wake_some(self) -> None:
        self._next = None
        for future in list(islice(self._waking, AT_ONCE)):
            del self._waking[future]
            if not future.done():
                future.set_result(None)
        if self._waking:
            self._next = asyncio.get_running_loop().call_soon(self._wake_some)

    def _forget(self, future: "asyncio.Future[None]") -> None:
        self._waiting.pop(future, None)
        self._waking.pop(future, None)
