"""A worker: one task at a time until it is told to end, or must.

A worker is warm: it serves many tasks of one DAG file, and its runtime restores what a task may leave behind. It is
retired, instead of reused, when the runtime cannot vouch for that, and it refuses to go on without the coordinator.
"""

import os
import time
from collections.abc import Callable

from dagcall.workers import processes
from dagcall.workers.channel import Channel, ConnectionLost
from dagcall.workers.frames import ForkTriggerer, Idle, Notify, Start
from dagcall.workers.runtime import TaskRuntime

LOST_CONNECTION = 71
"""Exit code of a worker that cannot reach the coordinator any more while it holds a task (`EX_OSERR` of sysexits.h)."""

Entry = Callable[[], None]


def serve(channel: Channel, runtime: TaskRuntime) -> None:
    """Run until the coordinator closes the connection or the runtime asks for this process's end."""
    _settle("worker")
    runtime.prepare(channel)
    retire: str | None = None
    while retire is None:
        try:
            message = channel.receive()
        except ConnectionLost:
            break
        if isinstance(message, ForkTriggerer):
            processes.set_title("triggerer")
            runtime.run_triggers(channel)
            break
        if not isinstance(message, Start | Notify):
            continue
        try:
            begun, wanted = time.monotonic(), processes.cpu_wanted()
            retire = runtime.run(message) if isinstance(message, Start) else runtime.notify(message)
            wanting = processes.cpu_wanted() - wanted
            channel.send(Idle(message.attempt, message.epoch, retire, time.monotonic() - begun, wanting))
        except ConnectionLost:
            processes.kill_family(os.getpid(), keep_root=True)
            os._exit(LOST_CONNECTION)
    processes.kill_family(os.getpid(), keep_root=True)


def serve_triggers(channel: Channel, runtime: TaskRuntime) -> None:
    """The life of a triggerer: until the coordinator closes the connection."""
    _settle("triggerer")
    try:
        runtime.run_triggers(channel)
    finally:
        processes.kill_family(os.getpid(), keep_root=True)


def serve_store(channel: Channel, runtime: TaskRuntime) -> None:
    """The life of a process with access to stores: until the coordinator closes the connection."""
    _settle("worker")
    runtime.serve_store(channel)


def _settle(role: str) -> None:
    processes.set_title(role)
    # Daemons that user code leaves behind become children of this process, where they are found and ended.
    processes.become_subreaper()
    os.setsid()
