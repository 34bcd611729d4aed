"""Linux processes: names, families, and ends that nothing survives.

Process groups and sessions are not enough to end a task: BashOperator, and any daemon, starts sessions of its own.
So every process of ours lives below the side process, which is a *subreaper*: an orphan anywhere below it becomes
its child and never escapes to init. Ending a process means walking its descendants through /proc.
"""

import ctypes
import os
import resource
import signal
import time
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_SWEEPS = 50
_SWEEP_PAUSE = 0.02
"""Seconds; killed processes need a moment to become something that can be reaped."""

INHERITED_OPEN_FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
"""The limit that this process was started with."""

_libc = ctypes.CDLL(None, use_errno=True)


def set_title(role: str) -> None:
    """Name this process `dagcall: ROLE`, for ps and top."""
    from setproctitle import setproctitle

    setproctitle(f"dagcall: {role}")


def has_title(pid: int, role: str) -> bool:
    """Whether this process lives and was given that name."""
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read().rstrip(b"\0 ") == f"dagcall: {role}".encode()
    except OSError:
        return False


def limit_open_files(number: int | None = None) -> None:
    """Of this process and those that it will start; None: as many as it may have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most if number is None else number, most))


def become_subreaper() -> None:
    """Adopt orphaned descendants, see prctl(2)."""
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER) failed")


def die_with_parent() -> None:
    """Get SIGKILL when the thread that forked this process ends, see prctl(2)."""
    if _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")


def children_of(pid: int) -> list[int]:
    """Living and dead (unreaped) children; empty when the process is gone."""
    found: list[int] = []
    try:
        threads = os.listdir(f"/proc/{pid}/task")
    except OSError:
        return found
    for thread in threads:
        with suppress(OSError), open(f"/proc/{pid}/task/{thread}/children") as file:
            found.extend(int(child) for child in file.read().split())
    return found


def descendants_of(pid: int) -> list[int]:
    """All descendants, parents before children."""
    found: list[int] = []
    pending = [pid]
    while pending:
        children = children_of(pending.pop())
        found.extend(children)
        pending.extend(children)
    return found


def kill(pid: int, signum: int = signal.SIGKILL) -> None:
    """Send a signal; a process that is already gone is no error."""
    with suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signum)


def kill_family(pid: int, *, keep_root: bool = False) -> None:
    """SIGKILL a process and all its descendants, repeated until a walk finds nobody new.

    Every member is stopped first, so that none can fork between the walk and its end.
    """
    seen: set[int] = set()
    while True:
        new = [member for member in descendants_of(pid) if member not in seen]
        if not keep_root and pid not in seen:
            new.insert(0, pid)
        if not new:
            break
        for member in new:
            kill(member, signal.SIGSTOP)
        seen.update(new)
    for member in seen:
        kill(member, signal.SIGKILL)


def cpu_wanted() -> float:
    """Seconds in which this process had a CPU or waited for one, so far; see proc_pid_schedstat(5).

    Where the kernel does not say, only the time on a CPU.
    """
    try:
        with open("/proc/self/schedstat", "rb") as file:
            on_cpu, waiting, _ = file.read().split()
    except OSError:
        return time.process_time()
    return (int(on_cpu) + int(waiting)) / 1e9


def is_orphan(pid: int) -> bool:
    """True for a process that is not one of ours by name: a task's child that was left behind.

    A forked copy of a worker keeps the worker's name; it is told from a worker by having another process as the
    leader of its session, which every worker is of its own.
    """
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            is_ours = file.read().startswith(b"dagcall: ")
        return not is_ours or os.getsid(pid) != pid
    except OSError:
        return False


def end_descendants() -> None:
    """Kill and reap everything below this process; with `become_subreaper`, nothing that came from it is elsewhere."""
    for _ in range(_SWEEPS):
        kill_family(os.getpid(), keep_root=True)
        with suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not children_of(os.getpid()):
            return
        time.sleep(_SWEEP_PAUSE)


def is_on_cpu(pid: int) -> bool:
    """True when the process runs or waits for a CPU (state R), rather than for I/O or time."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return False
    return text[text.rfind(b")") + 2 : text.rfind(b")") + 3] == b"R"
