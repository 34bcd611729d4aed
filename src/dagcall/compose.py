"""The composition root: settings to a wired coordinator. The only place that picks classes."""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from dagcall import confidential, metadata_database
from dagcall.airflow_cfg import AirflowConfig
from dagcall.coordinator.coordinator import Coordinator, CoordinatorSettings
from dagcall.coordinator.telemetry import Telemetry
from dagcall.errors import ConfigError
from dagcall.journal.levels import LeveledJournal
from dagcall.journal.open import open_journal
from dagcall.model.references import EPHEMERAL
from dagcall.model.survival import Durability, OnRestart
from dagcall.telemetry.opening import opened
from dagcall.workers.fleet import Fleet
from dagcall.workers.memory import Budget, budget
from dagcall.workers.pool import PoolSettings, WorkerPool

RUNTIME = "dagcall.airflow_bridge.runtime:AirflowRuntime"
MEGABYTES_PER_WORKER = 64
"""What a worker adds to memory at most in practice: it shares its zygote's pages; 10 to 20 were measured."""
MOST_WORKERS = 128
FROM_SYSTEMD = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")
"""What the server's own process is told: see sd_notify(3), sd_listen_fds(3)."""


@dataclass(frozen=True)
class Settings:
    """What `dagcall serve` and `Engine` take. None: the default."""

    folder: str | None
    """None: Airflow's DAG bundles."""
    workers: int | None = None
    journal: str | None = None
    durability: Durability | None = None
    on_restart: OnRestart | None = None
    memory: int | None = None
    """Bytes."""
    watch: bool = True


def compose(settings: Settings, environment: Mapping[str, str] | None = None) -> Coordinator:
    """Raises ConfigError, JournalUrlError."""
    folder = None if settings.folder is None else os.path.realpath(settings.folder)
    if folder is not None and not os.path.isdir(folder):
        raise ConfigError(f"the DAGs folder {settings.folder!r} is not a directory")
    memory = budget(settings.memory)
    limit = settings.workers if settings.workers is not None else default_workers(memory)
    if limit < 1:
        raise ConfigError(f"--workers must be at least 1, not {limit}")
    url = settings.journal or default_journal()
    around = dict(os.environ if environment is None else environment)
    around_workers = worker_environment(around)
    journal, ephemeral = open_journal(url), None
    if url == "memory:":
        ephemeral = around_workers[EPHEMERAL] = tempfile.mkdtemp(prefix="dagcall-results-")
    fleet = Fleet(folder, RUNTIME, around_workers)
    return Coordinator(
        CoordinatorSettings(
            folder=folder,
            database=metadata_database.find(AirflowConfig()),
            durability=settings.durability,
            on_restart=settings.on_restart,
            watch=settings.watch,
            ephemeral_results=ephemeral,
        ),
        LeveledJournal(journal),
        WorkerPool(fleet, PoolSettings(limit=limit, memory=memory), airflow_environment(around)),
        open_telemetry=lambda settings: Telemetry(*opened(settings)),
    )


def default_workers(memory: Budget | None = None) -> int:
    """The most tasks at once: 128, or fewer where the memory of the machine, or what we may use of it, would not do."""
    there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if memory is not None:
        there = min(there, memory.limit)
    return max(1, min(MOST_WORKERS, there // (MEGABYTES_PER_WORKER << 20)))


def default_journal() -> str:
    """`$AIRFLOW_HOME/dagcall/journal.db`, Airflow's home being `~/airflow` by default."""
    return f"sqlite:///{airflow_home() / 'dagcall' / 'journal.db'}"


def airflow_home() -> Path:
    return Path(os.environ.get("AIRFLOW_HOME", "~/airflow")).expanduser().absolute()


def worker_environment(environment: dict[str, str]) -> dict[str, str]:
    """Of processes that run DAG files: they do not inherit what only the server and Airflow's side may know."""
    return _child_environment(confidential.without(environment))


def airflow_environment(environment: dict[str, str]) -> dict[str, str]:
    """Of the Airflow-side processes: the deployment's own, so that Airflow finds all that it is configured with."""
    return _child_environment({name: value for name, value in environment.items() if name != "DAGCALL_TOKEN"})


def _child_environment(environment: dict[str, str]) -> dict[str, str]:
    """Processes find the package however this one did."""
    environment = {name: value for name, value in environment.items() if name not in FROM_SYSTEMD}
    source = str(Path(__file__).resolve().parent.parent)
    known = environment.get("PYTHONPATH", "")
    if source in sys.path and source not in known.split(os.pathsep) and "site-packages" not in source:
        environment["PYTHONPATH"] = os.pathsep.join(part for part in (source, known) if part)
    return environment
