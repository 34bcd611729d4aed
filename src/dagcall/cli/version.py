"""`dagcall version`."""

import platform
from argparse import Namespace
from importlib import metadata

from dagcall.cli.arguments import Commands, add_output
from dagcall.cli.exits import Exit
from dagcall.cli.terminal import Terminal
from dagcall.version import __version__


def register(commands: Commands) -> None:
    parser = commands.add("version", "tell the versions of dagcall, Python and Airflow")
    add_output(parser, "table")
    parser.set_defaults(run=run)


def run(args: Namespace, terminal: Terminal) -> int:
    versions = {"dagcall": __version__, "python": platform.python_version(), "airflow": installed("apache-airflow")}
    if args.output == "json":
        terminal.json(versions)
    else:
        terminal.line(" ".join(f"{name} {version}" for name, version in versions.items() if version))
    return Exit.OK


def installed(package: str) -> str | None:
    """The version of a package, read from its metadata: importing Airflow takes seconds."""
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
