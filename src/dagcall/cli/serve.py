"""`dagcall serve`: the server. Everything it needs beyond the client is imported only here."""

import dataclasses
import os
from argparse import BooleanOptionalAction, Namespace

from dagcall.airflow_cfg import AirflowConfig
from dagcall.cli.arguments import Commands, count, port
from dagcall.cli.terminal import Terminal
from dagcall.errors import MissingExtra, UsageError
from dagcall.model.survival import DURABILITIES, ON_RESTART

_LAUNCHING = ("host", "port", "workers", "journal", "memory", "share_port")
"""Flags that win over the options of `[dagcall]` of the same names."""


def register(commands: Commands) -> None:
    parser = commands.add(
        "serve",
        "serve the DAGs of a folder",
        (
            "dagcall serve    # as airflow.cfg says",
            "dagcall serve examples/dags",
            "dagcall serve --port 9000 --workers 200",
            "dagcall serve dags --journal sqlite:////var/lib/dagcall/journal.db",
        ),
    )
    parser.add_argument("dags_folder", metavar="DAGS_FOLDER", nargs="?", help="default: Airflow's DAG bundles")
    parser.add_argument("--host", help="address to listen on (default: [dagcall] host, then 127.0.0.1)")
    parser.add_argument("--port", type=port, help="port to listen on (default: [dagcall] port, then 8274)")
    parser.add_argument(
        "--workers",
        type=count,
        metavar="N",
        help="the most tasks at once, started on demand (default: [dagcall] workers, then by memory)",
    )
    parser.add_argument(
        "--journal",
        metavar="URL",
        help="sqlite:////absolute/path.db, postgresql://... or memory: "
        "(default: [dagcall] journal, then $AIRFLOW_HOME/dagcall/journal.db)",
    )
    parser.add_argument(
        "--durability",
        choices=DURABILITIES,
        help="what runs survive, where neither their DAG nor their call says otherwise: nothing, the death of the server, "
        "a power cut too (default: [dagcall] durability, then process)",
    )
    parser.add_argument(
        "--on-restart",
        choices=ON_RESTART,
        help="what becomes of runs that a restart interrupted (default: [dagcall] on_restart, then resume)",
    )
    parser.add_argument(
        "--memory",
        type=count,
        metavar="MB",
        help="what the server and all its processes may use, before a worker is ended "
        "(default: [dagcall] memory, then the container's limit)",
    )
    parser.add_argument(
        "--share-port",
        action=BooleanOptionalAction,
        help="listen on a port on which other servers listen too (SO_REUSEPORT), to replace one without a gap "
        "(default: [dagcall] share_port)",
    )
    parser.set_defaults(run=run)


def run(args: Namespace, terminal: Terminal) -> int:
    if args.dags_folder is not None and not os.path.isdir(args.dags_folder):
        raise UsageError(f"{args.dags_folder!r} is not a folder")
    try:
        from dagcall.server.serve import serve
    except ModuleNotFoundError as missing:
        raise missing_extra("dagcall serve", missing) from missing
    flags = {name: value for name in _LAUNCHING if (value := getattr(args, name)) is not None}
    launch = dataclasses.replace(AirflowConfig().launch(), **flags)
    return serve(
        dags_folder=args.dags_folder,
        host=launch.host,
        port=launch.port,
        workers=launch.workers,
        journal=launch.journal,
        durability=args.durability,
        on_restart=args.on_restart,
        memory=None if launch.memory is None else launch.memory << 20,
        share_port=launch.share_port,
        log_format=launch.log_format,
    )


def missing_extra(command: str, missing: ModuleNotFoundError) -> Exception:
    """What to tell about an import that failed: the extra is not installed, unless the module is our own."""
    if (missing.name or "dagcall").partition(".")[0] == "dagcall":
        return missing
    return MissingExtra(f"`{command}` needs {missing.name}, which comes with the server: pip install 'dagcall[server]'")
