"""`dagcall doctor`: what this machine and the server offer, and what will get in the way; or, of a folder of DAG files,
what of it can be called (`doctor_folder`). Changes nothing."""

import os
import resource
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator

from dagcall import metadata_database
from dagcall.airflow_cfg import AirflowConfig
from dagcall.cli import doctor_folder, doctor_installation
from dagcall.cli.arguments import Commands, add_output, add_server
from dagcall.cli.doctor_installation import Finding
from dagcall.cli.exits import Exit
from dagcall.cli.terminal import Terminal
from dagcall.cli.version import installed
from dagcall.errors import ConfigError, DagcallError, NotAuthenticated
from dagcall.version import __version__

_GIB = 2**30
_WORKER = 64 * 2**20
"""Bytes that a warm worker is counted with, as the server's default number of workers does."""


def register(commands: Commands) -> None:
    parser = commands.add(
        "doctor",
        "examine this machine and the server, or a folder of DAG files; exit 1 if something cannot work",
        (
            "dagcall doctor    # this machine, the installation, the server if one answers",
            "dagcall doctor dags    # every DAG and file of a folder; needs no server, and leaves nothing behind",
            "dagcall doctor dags -o json",
        ),
    )
    parser.add_argument(
        "dags_folder", metavar="DAGS_FOLDER", nargs="?", help="a folder of DAG files (default: the installation)"
    )
    add_output(parser, "table")
    add_server(parser)
    parser.set_defaults(run=run)


def run(args: Namespace, terminal: Terminal) -> int:
    if args.dags_folder is not None:
        return doctor_folder.run(args, terminal)
    findings = [*_software(), *doctor_installation.findings(), *_machine(), *_server(args, terminal)]
    rows = [{"check": check, "status": status, "found": found} for check, status, found in findings]
    terminal.rows(rows, ("check", "status", "found"), args.output)
    return Exit.RUN_FAILED if any(row["status"] == "fail" for row in rows) else Exit.OK


def _software() -> Iterator[Finding]:
    yield "dagcall", "ok", __version__
    found = sys.version.partition(" ")[0]
    yield (
        "python",
        "ok" if sys.version_info >= (3, 11) else "fail",
        f"{found} ({sys.executable}); 3.11 or newer is needed",
    )
    airflow = installed("apache-airflow")
    if airflow is None:
        yield "airflow", "ok", "not installed: client commands only (pip install 'dagcall[server]' brings the server)"
    elif airflow.startswith("3.3."):
        yield "airflow", "ok", airflow
    else:
        yield "airflow", "fail", f"{airflow}: the server needs 3.3"
    home = os.path.expanduser(os.environ.get("AIRFLOW_HOME") or "~/airflow")
    if not os.path.isdir(home):
        yield "AIRFLOW_HOME", "ok", f"{home} (does not exist yet)"
    else:
        writable = os.access(home, os.W_OK | os.X_OK)
        yield "AIRFLOW_HOME", "ok" if writable else "fail", home if writable else f"{home} cannot be written to"
    yield _metadata_database()


def _metadata_database() -> Finding:
    """Not connected to: an SQLite file is looked at, of a server only the address is known."""
    check = "metadata database"
    try:
        wish = AirflowConfig().get("dagcall", "metadata_database")
        found = metadata_database.find(AirflowConfig())
    except ConfigError as error:
        return check, "fail", str(error)
    if found.exists:
        return check, "ok", f"{found.where}: Variables, Connections and pools are those in it"
    text = f"none ({found.why}): Variables, Connections and pools are dagcall's own"
    return check, "fail" if wish == "required" else "ok", text


def _machine() -> Iterator[Finding]:
    yield "platform", "ok" if sys.platform == "linux" else "fail", f"{sys.platform}; the server needs Linux"
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    yield "cpus", "ok", str(cpus)
    total, free = _memory()
    yield "memory", "ok" if free >= _GIB else "warn", f"{free / _GIB:.1f} GiB free of {total / _GIB:.1f}"
    workers = max(1, min(128, total // _WORKER))
    files = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    yield _limit("open files (ulimit -n)", files, 4 * workers + 256)
    processes = resource.getrlimit(resource.RLIMIT_NPROC)[0]
    yield _limit("processes (ulimit -u)", processes, 2 * workers + 64)
    yield from _shared_memory()
    has_pidfd = hasattr(os, "pidfd_open")
    if has_pidfd:
        try:
            os.close(os.pidfd_open(os.getpid()))
        except OSError:
            has_pidfd = False
    yield (
        "pidfd",
        "ok" if has_pidfd else "fail",
        "supported" if has_pidfd else "the kernel (5.3 or newer) or a sandbox refuses it",
    )


def _limit(check: str, limit: int, wanted: int) -> Finding:
    if limit == resource.RLIM_INFINITY:
        return check, "ok", "unlimited"
    return check, "ok" if limit >= wanted else "warn", f"{limit}; the default number of workers wants {wanted}"


def _memory() -> tuple[int, int]:
    """Bytes: in all, and free for new processes. The smaller of the machine's and the control group's."""
    page = os.sysconf("SC_PAGE_SIZE")
    total, free = os.sysconf("SC_PHYS_PAGES") * page, os.sysconf("SC_AVPHYS_PAGES") * page
    try:
        with open("/proc/meminfo") as lines:
            free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as current:
            most, used = limit.read().strip(), int(current.read())
        if most != "max":
            total, free = min(total, int(most)), min(free, int(most) - used)
    except (OSError, StopIteration, ValueError):
        pass  # another kernel's layout: the machine's own figures stand
    return total, free


def _shared_memory() -> Iterator[Finding]:
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        yield "/dev/shm", "warn", "missing: large values between tasks go through the temporary folder"
        return
    yield "/dev/shm", "ok" if free >= _GIB // 16 else "warn", f"{free / _GIB:.2f} GiB free"


def _server(args: Namespace, terminal: Terminal) -> Iterator[Finding]:
    with terminal.client(args) as client:
        try:
            version = client.get("/api/v2/version")
            health = client.get("/api/v2/monitor/health")
        except NotAuthenticated:
            yield "server", "warn", "answers, and asks for credentials: set DAGCALL_TOKEN"
            return
        except DagcallError as error:
            yield "server", "warn", str(error)
            return
        yield "server", "ok", f"answers; it says Airflow {version.get('version')}"
        parts = {name: part.get("status") for name, part in health.items() if isinstance(part, dict)}
        is_healthy = all(status in ("healthy", None) for status in parts.values())
        yield "health", "ok" if is_healthy else "warn", ", ".join(f"{name} {status}" for name, status in parts.items())
        try:
            dags = client.dags()
            yield "dags", "ok", f"{sum(bool(dag.get('callable', True)) for dag in dags)} of {len(dags)} can be called"
        except DagcallError as error:
            yield "dags", "warn", str(error)
        yield (
            "authentication",
            "ok",
            "DAGCALL_TOKEN is sent" if os.environ.get("DAGCALL_TOKEN") else "none was asked for",
        )
