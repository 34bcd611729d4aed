"""One server a journal: a lock file beside it, held as long as the process lives, with the holder's process id and
what names the time since the system was started.

`flock` because the kernel gives it up when its holder dies, however that happens, and because it also excludes a second
opening within one process. (POSIX locks, which do not, are moreover dropped when any descriptor of the file is closed:
that is why SQLite's own file is never locked or opened here.) The file is not removed: between the removal and the
release a third server could lock the file that nobody sees any more.

The descriptor is not inherited by programs that are started; a process forked without exec would keep the lock.
"""

import fcntl
import os
from pathlib import Path
from uuid import uuid4

from dagcall.errors import JournalLocked


class FileLock:
    """States: held (made so by the constructor), released."""

    def __init__(self, path: Path) -> None:
        """Raises `JournalLocked`, naming the process that has it, and `OSError`."""
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                holder = _content(descriptor)[0]
                raise JournalLocked(
                    f"another server (process {holder}) has the journal open, as {path} says: "
                    "stop it, or give this one another --journal"
                ) from None
            boot = _boot()
            self.same_boot = boot in _content(descriptor)[1:]
            """The last holder held it since the system was started: no power cut came in between."""
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, f"{os.getpid()}\n{boot}\n".encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self.path = path
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock up; a second time, nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def is_held(path: Path) -> bool:
    """Whether some process has the lock. Changes nothing. Raises `OSError`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def _content(descriptor: int) -> list[str]:
    """The holder's process id, then the boot in which it took the lock."""
    return os.pread(descriptor, 128, 0).decode(errors="replace").split() or ["unknown"]


def _boot() -> str:
    """What names the time since the system was started; a new name where the system has none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return f"unknown-{uuid4()}"
