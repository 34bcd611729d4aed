"""`airflow dagcall ...`: the same commands as `dagcall ...`, in Airflow's command line.

`airflow` builds its whole parser at every start. Ours is imported only when somebody asked for it, and run by a process
that takes this one's place: a server must not have imported Airflow, and signals and exit codes stay the command's own.
"""

import argparse
import os
import sys

from airflow.cli.cli_config import ActionCommand, Arg, CLICommand

NAME = "dagcall"


def get_dagcall_cli_commands() -> list[CLICommand]:
    return [
        ActionCommand(
            name=NAME,
            help="Call DAGs like functions: serve them, call them, look at their runs",
            func=run,
            args=(_Commands(),) if _is_asked_for() else (),
        )
    ]


def run(args: argparse.Namespace) -> None:
    """Become `dagcall` with the same arguments."""
    from dagcall.airflow_cfg import AirflowConfig

    if "DAGCALL_URL" not in os.environ:
        os.environ["DAGCALL_URL"] = AirflowConfig().url()
    sys.stdout.flush()
    sys.stderr.flush()
    command = [sys.executable, "-m", "dagcall.cli", *sys.argv[sys.argv.index(NAME) + 1 :]]
    os.execv(sys.executable, command)


def _is_asked_for() -> bool:
    """Whether the words of this command line, or of the one that a shell completes, begin with ours."""
    words = os.environ["COMP_LINE"].split() if "COMP_LINE" in os.environ else sys.argv
    return NAME in words[1:2]


class _Commands(Arg):
    """Not an argument: all commands, put into the parser of `airflow dagcall`."""

    def __init__(self) -> None:
        super().__init__(flags=(NAME,))  # type: ignore[no-untyped-call]

    def add_to_parser(self, parser: argparse.ArgumentParser) -> None:
        from dagcall.cli.main import fill

        fill(parser)
