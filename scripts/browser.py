"""Installs the browser of tests/acceptance/browser, from its own lock file; does nothing when it is there.

Needs node and npm. Without them, or without a registry, it says so and ends well: the tests that need a browser are
then skipped with that reason, and fail on CI. `npm update` in that folder writes the lock file again.
"""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "tests" / "acceptance" / "browser"
LOCK = FOLDER / "package-lock.json"
STAMP = FOLDER / "node_modules" / "installed-from"


def main() -> None:
    with open(__file__) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if STAMP.exists() and STAMP.read_bytes() == LOCK.read_bytes():
            return
        npm, node = shutil.which("npm"), shutil.which("node")
        if npm is None or node is None:
            say("node and npm are not installed: no browser tests")
            return
        say("installing")
        for command in ([npm, "ci", "--silent"], [node, "unpack.mjs"]):
            finished = subprocess.run(command, cwd=FOLDER, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
            if finished.returncode:
                say(f"{' '.join(command)} ended with {finished.returncode}: no browser tests")
                return
        shutil.copy(LOCK, STAMP)


def say(what: str) -> None:
    print(f"browser: {what}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
