"""A PostgreSQL of its own for stock Airflow; to be measured, with PostgreSQL's defaults, fsync included."""

from pathlib import Path

import psutil

from dagcall.testing.postgres_server import PostgresServer


class Postgres:
    """Runs until `stop`."""

    def __init__(self, messages: Path, *settings: str) -> None:
        self._messages = messages
        try:
            self._server = PostgresServer(*settings)
            self._server.start()
        except RuntimeError as error:
            raise SystemExit(f"{error}; QUICK=1 is a run without stock Airflow, which needs it") from error

    @property
    def url(self) -> str:
        return self._server.url().replace("postgresql:", "postgresql+psycopg2:")

    def cpu(self) -> float:
        """CPU seconds so far, of all its processes."""
        assert self._server.process is not None
        own = psutil.Process(self._server.process.pid)
        used = own.cpu_times()
        total = used.user + used.system + used.children_user + used.children_system
        for child in own.children(recursive=True):
            try:
                used = child.cpu_times()
            except psutil.Error:  # ended meanwhile, and counted above
                continue
            total += used.user + used.system
        return total

    def stop(self) -> None:
        (self._messages / "postgres.txt").write_bytes(self._server.log.read_bytes())
        self._server.remove()
