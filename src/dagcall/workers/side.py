"""The side process: parent of the root zygote (or of an Airflow-side process, which has one of its own), and the reason
that nothing outlives the server.

It is a subreaper, so every process below it stays below it. It ends, and kills everything below it first, when the
coordinator's end of its standard input closes: at a shutdown, or because the coordinator was killed; then it removes
what the coordinator had in the temporary folder, too. It runs no user code and imports nothing heavy, so that it is
the last thing to fail.

The root zygote is started again by the coordinator (which sees the end of its connection), through a new side
process: one side, one root zygote.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress

from dagcall.workers import processes


def main() -> None:
    """Entry of the process. Arguments: the module that the child runs, and folders that are the coordinator's alone and
    go when it does. Standard input: one line for the child (its secrets, which must not be in the process list), then
    silence until the coordinator is gone."""
    module, *folders = sys.argv[1:]
    processes.set_title("side")
    processes.become_subreaper()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    bootstrap = _read_line(0)
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", module],
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert child.stdin is not None
    with suppress(BrokenPipeError):
        child.stdin.write(bootstrap)
        child.stdin.close()
    coordinator_is_gone = _reap_until_coordinator_is_gone()
    processes.end_descendants()
    for folder in folders if coordinator_is_gone else []:
        shutil.rmtree(folder, ignore_errors=True)


def _read_line(fd: int) -> bytes:
    data = b""
    while not data.endswith(b"\n"):
        chunk = os.read(fd, 4096)
        if not chunk:
            break
        data += chunk
    return data


def _reap_until_coordinator_is_gone() -> bool:
    """False: the child and all that came from it went before; nothing is left to watch over."""
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    signal.set_wakeup_fd(write_end, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    while True:
        _reap()
        if not processes.children_of(os.getpid()):
            return False
        ready, _, _ = select.select([0, read_end], [], [])
        if read_end in ready:
            os.read(read_end, 4096)
        if 0 in ready and not os.read(0, 4096):
            return True


def _reap() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main()
