"""How processes of a fleet end before they have done what they were asked for, and what that is called."""

import contextlib
import signal


def ending(status: int) -> str:
    """An exit status (negative: a signal) in words."""
    if status >= 0:
        return f"ended itself with exit code {status} (os._exit?)"
    with contextlib.suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"


class RootLost(Exception):
    """The root zygote died before it had done what it was asked."""


class ProcessEnded(Exception):
    """A forked process ended before it answered. `from_outside`: it was killed, or went down with who forked it."""

    def __init__(self, reason: str, *, from_outside: bool = False) -> None:
        super().__init__(reason)
        self.from_outside = from_outside
