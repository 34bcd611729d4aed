"""One server a journal: a lock file beside it, held as long as the process lives, with the holder's process id.

`flock` because the kernel gives it up when its holder dies, however that happens, and because it also excludes a second
opening within one process. (POSIX locks, which do not, are moreover dropped when any descriptor of the file is closed:
that is why SQLite's own file is never locked or opened here.) The file is not removed: between the removal and the
release a third server could lock the file that nobody sees any more.

The descriptor is not inherited by programs that are started; a process forked without exec would keep the lock.
"""

import fcntl
import os
from pathlib import Path

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
                holder = os.read(descriptor, 32).decode(errors="replace").strip() or "unknown"
                raise JournalLocked(
                    f"another server (process {holder}) has the journal open, as {path} says: "
                    "stop it, or give this one another --journal"
                ) from None
            os.ftruncate(descriptor, 0)
            os.write(descriptor, f"{os.getpid()}\n".encode())
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock up; a second time, nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
