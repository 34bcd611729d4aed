"""What suspended tries wait for, and who says that it has happened.

`Awaits` is what drivers ask; it finds the *waiter* of each kind. A date is a timer here, whether or not a waiter may have it come sooner. Everything else (a trigger, a
person's answer) is fulfilled by the first waiter that takes it, and by nobody when none does: then the try goes on as
failed, with the reason.

Guarantees. A try is waited for once its suspension is durable, and again after a restart of the server. It is resumed
at most once: by its waiter, or by the timer of its `due`, whichever comes first. After `stop`, and after `resume` was
called, the waiter is told to stop and whatever it says later is ignored (the machine would ignore it too).

All calls are on the event loop; no method blocks it.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import msgspec

from dagcall.coordinator.clock import Clock
from dagcall.coordinator.run import Run
from dagcall.crashpoints import reached
from dagcall.model.commands import Await
from dagcall.model.events import EndKind, Resumed, ResumeHow
from dagcall.workers.base import Code

_pack = msgspec.msgpack.Encoder().encode


@dataclass(eq=False)
class Awaited:
    """One suspended try, until it is resumed."""

    run: Run
    code: Code
    command: Await
    log_path: str
    """The log file of the try."""
    feed: Callable[[Resumed], None]
    """The driver's."""
    waiter: "Waiter | None" = None
    timer: asyncio.TimerHandle | None = None
    is_over: bool = False

    def resume(self, how: ResumeHow, payload: bytes = b"", **more: Any) -> None:
        """What was waited for has happened. `more`: further fields of `Resumed`. Only the first call counts."""
        if self._end():
            command = self.command
            reached("await.resumed")
            self.feed(Resumed(command.task_id, command.map_index, command.attempt, how, payload, **more))

    def fail(self, error: str) -> None:
        """What was waited for cannot happen any more: the task fails with this sentence (`TaskDeferralError`)."""
        self.resume(ResumeHow.FAILED, _pack({"error": error}))

    def stop(self, *, killed: bool) -> None:
        """Nobody waits any more. The second and every further call does nothing."""
        if self._end() and self.waiter is not None:
            self.waiter.stop(self, killed=killed)

    def timed_out(self) -> None:
        """Its `due` has passed."""
        if self.command.kind is EndKind.RESCHEDULED:
            if self.waiter is not None:
                self.waiter.stop(self, killed=False)
            self.resume(ResumeHow.DUE)
        elif self.waiter is not None:
            self.waiter.timed_out(self)
        else:
            self.resume(ResumeHow.TIMEOUT)

    def _end(self) -> bool:
        if self.is_over:
            return False
        self.is_over = True
        if self.timer is not None:
            self.timer.cancel()
        return True


class Waiter(Protocol):
    """Fulfils some kind of await."""

    def takes(self, awaited: Awaited) -> bool:
        """Whether this waiter is the one for it."""
        ...

    def start(self, awaited: Awaited) -> None:
        """Call `awaited.resume` or `awaited.fail` when the time has come: at once, or any time later."""
        ...

    def stop(self, awaited: Awaited, *, killed: bool) -> None:
        """Nobody waits any more: because the task was ended (`killed`), or only the server."""
        ...

    def timed_out(self, awaited: Awaited) -> None:
        """Its `due` has passed: stop, and say how the try goes on (`ResumeHow.TIMEOUT`, if nothing better is known)."""
        ...


class Awaits:
    """Of one server."""

    def __init__(self, clock: Clock, waiters: Sequence[Waiter] = ()) -> None:
        self._clock = clock
        self._waiters = list(waiters)

    def add(self, waiter: Waiter) -> None:
        """Ask this waiter too, after the ones that are known."""
        self._waiters.append(waiter)

    def start(self, awaited: Awaited) -> None:
        """Begin to wait. `awaited.resume` may be called before this returns."""
        due = awaited.command.suspension.due
        if due is not None:
            delay = max(0.0, due - self._clock.now())
            awaited.timer = asyncio.get_running_loop().call_later(delay, awaited.timed_out)
        awaited.waiter = next((waiter for waiter in self._waiters if waiter.takes(awaited)), None)
        if awaited.waiter is not None:
            awaited.waiter.start(awaited)
        elif awaited.command.kind is not EndKind.RESCHEDULED:
            awaited.fail(f"nothing here fulfils what the task waits for ({awaited.command.kind.value})")
