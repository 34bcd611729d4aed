"""An event loop without sockets, threads and time: whoever owns it says what the time is and runs one callback at a time.

What asyncio promises is kept: callbacks run in the order in which they were asked for, timers not before their time and
in the order of their times. What it leaves open is the owner's: how long a callback takes, and so what else has become
due, or has arrived, before the next one.
"""

import asyncio
import asyncio.events
import heapq
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

_CANCELS = 3
_LAST_STEPS = 10_000


class VirtualLoop(asyncio.BaseEventLoop):
    """`now`: the owner's clock, which never goes back. `report`: told of errors that nobody took."""

    _ready: Any
    _scheduled: Any

    def __init__(self, now: Callable[[], float], report: Callable[[str], None]) -> None:
        super().__init__()
        self._now = now
        self._watched: dict[int, asyncio.Handle] = {}
        self.set_exception_handler(lambda loop, context: report(_words(context)))

    def time(self) -> float:
        return self._now()

    @contextmanager
    def running(self) -> Iterator[None]:
        """While its body runs this is the running loop."""
        before = asyncio.events._get_running_loop()
        asyncio.events._set_running_loop(self)
        try:
            yield
        finally:
            asyncio.events._set_running_loop(before)

    @property
    def next_due(self) -> float | None:
        """When there is something to run: now, at some time, never."""
        if self._ready:
            return self._now()
        while self._scheduled and self._scheduled[0]._cancelled:
            heapq.heappop(self._scheduled)._scheduled = False
        return self._scheduled[0]._when if self._scheduled else None

    def run_one(self) -> None:
        """Run one callback that is due, if there is one."""
        now = self._now()
        while self._scheduled and self._scheduled[0]._when <= now:
            timer = heapq.heappop(self._scheduled)
            timer._scheduled = False
            if not timer._cancelled:
                self._ready.append(timer)
        while self._ready:
            handle = self._ready.popleft()
            if not handle._cancelled:
                handle._run()
                return

    def end(self) -> None:
        """Whoever it belonged to was killed: let what is left fall apart in good order, which nobody hears of."""
        for _ in range(_CANCELS):
            for task in asyncio.all_tasks(self):
                task.cancel()
            for _ in range(_LAST_STEPS):
                if not self._ready:
                    break
                self.run_one()
        for task in asyncio.all_tasks(self):
            task._log_destroy_pending = False  # type: ignore[attr-defined] # it refused to end, as is its right
        self.close()

    # What code asks of a real loop

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:
        self._watched[fd] = asyncio.Handle(callback, args, self)

    def remove_reader(self, fd: Any) -> bool:
        return self._watched.pop(fd, None) is not None

    def readable(self, fd: int) -> None:
        """What is watched there has something to read."""
        handle = self._watched.get(fd)
        if handle is not None:
            self._ready.append(handle)

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """They are dropped when their time comes."""

    def _write_to_self(self) -> None:
        """There is nobody to wake up."""


def _words(context: dict[str, Any]) -> str:
    error = context.get("exception")
    return context["message"] if error is None else f"{context['message']}: {type(error).__name__}: {error}"
