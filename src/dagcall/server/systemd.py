"""What systemd is told of the server (sd_notify(3)): ready, stopping, alive. Without systemd, nothing.

It is told from the event loop: one that hangs does not say that it is alive, and is restarted when the unit has
`WatchdogSec=`.
"""

import asyncio
import os
import socket
from contextlib import suppress


def notify(*lines: str) -> None:
    """Such as `READY=1`. One who does not listen any more is no error."""
    path = os.environ.get("NOTIFY_SOCKET")
    if not path:
        return
    address = "\0" + path[1:] if path.startswith("@") else path
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as speaker:
        speaker.sendto("\n".join(lines).encode(), address)


async def keep_alive() -> None:
    """Say so at half the interval that the watchdog wants, until cancelled; returns where there is none."""
    interval = os.environ.get("WATCHDOG_USEC", "")
    if not interval.isdecimal() or os.environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return
    while True:
        notify("WATCHDOG=1")
        await asyncio.sleep(int(interval) / 2_000_000)
