"""The systems that the DAG asks, where nobody has named others: a SQLite file and an HTTP service on this machine.

The DAG finds both through Airflow Connections. `use_sample_systems` sets those that the environment does not have.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
from contextlib import closing, suppress
from pathlib import Path

from hotel_offers_lib import database, rate_service, rates

TABLES = Path(__file__).parent / "data" / "hotels.sql"
BACKLOG = 512  # connections that may wait, also for the service to start

_services: list[subprocess.Popen[bytes]] = []


def use_sample_systems() -> None:
    """Make `AIRFLOW_CONN_HOTEL_DATABASE` and `AIRFLOW_CONN_HOTEL_RATES` true, unless they are set."""
    if database.VARIABLE not in os.environ:
        home = Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser()
        path = make_database(home / "hotel_offers")
        os.environ[database.VARIABLE] = json.dumps({"conn_type": "sqlite", "host": str(path)})
    if rates.VARIABLE not in os.environ:
        port = start_rate_service()
        os.environ[rates.VARIABLE] = json.dumps({"conn_type": "http", "host": "127.0.0.1", "port": port})


def make_database(folder: Path) -> Path:
    """The database in this folder, named after what it is made from. Many processes may ask for it at once."""
    script = TABLES.read_text(encoding="utf-8")
    path = folder / f"{hashlib.sha256(script.encode()).hexdigest()[:12]}.db"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as draft:
            with closing(sqlite3.connect(f"{draft}/draft.db")) as connection:
                connection.executescript(script)
            # Not a rename: it would replace the file of another process that was faster, with a quote in it already.
            with suppress(FileExistsError):
                os.link(f"{draft}/draft.db", path)
    return path


def start_rate_service() -> int:
    """The port, on the loopback address, of a service that lives as long as this process or one forked from it.

    It can be called at once: the socket listens already, and its connections wait until the service has started.
    """
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(BACKLOG)
        command = [sys.executable, "-I", "-S", rate_service.__file__, str(listening.fileno())]
        service = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, pass_fds=[listening.fileno()]
        )
        _services.append(service)  # its end of the pipe must stay open
        return listening.getsockname()[1]
