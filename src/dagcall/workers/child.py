"""A worker: one task at a time until it is told to end, or must.

A worker is warm: it serves many tasks of one DAG file, and its runtime restores what a task may leave behind. It is
retired, instead of reused, when the runtime cannot vouch for that, and it refuses to go on without the coordinator.
"""

import os
from collections.abc import Callable
from contextlib import suppress

from dagcall.workers import processes
from dagcall.workers.channel import Channel, ConnectionLost
from dagcall.workers.frames import Idle, Start
from dagcall.workers.runtime import TaskRuntime

Entry = Callable[[], None]


def serve(channel: Channel, runtime: TaskRuntime) -> None:
    """Run until the coordinator closes the connection or the runtime asks for this process's end."""
    processes.set_title("worker")
    # Daemons that a task leaves behind become children of this process, where they are found and ended.
    processes.become_subreaper()
    os.setsid()
    runtime.prepare(channel)
    retire: str | None = None
    with suppress(ConnectionLost):
        while retire is None:
            message = channel.receive()
            if not isinstance(message, Start):
                continue
            retire = runtime.run(message)
            channel.send(Idle(message.attempt, message.epoch, retire))
    processes.kill_family(os.getpid(), keep_root=True)
