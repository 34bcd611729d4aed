"""The entry point of the command line: parse, run one command, turn errors into messages and exit codes."""

import argparse
import os
import sys
import traceback
from collections.abc import Sequence

from dagcall.cli import call, completion, dags, doctor, journal, runs, serve, token, version
from dagcall.cli.arguments import Commands
from dagcall.cli.exits import Exit, exit_code, explain
from dagcall.cli.terminal import Terminal
from dagcall.errors import DagcallError
from dagcall.version import __version__

_EPILOG = """\
examples:
  dagcall serve examples/dags
  dagcall call ask_astro -p question='What is a Dag?'
  dagcall runs list --state failed

exit codes: 0 ok, 1 the run failed, 2 usage, 3 not found, 4 not allowed, 5 unavailable or overloaded,
124 not finished within the wait, 130 interrupted
environment: DAGCALL_URL, DAGCALL_TOKEN, NO_COLOR; the server: AIRFLOW_HOME, AIRFLOW__*
"""


def build_parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    parser = argparse.ArgumentParser(
        prog="dagcall",
        description="Call Apache Airflow DAGs like functions.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"dagcall {__version__}")
    fill(parser)
    return parser


def fill(parser: argparse.ArgumentParser) -> None:
    """Put all commands into a parser; it may be a command of another program."""
    commands = Commands(parser)
    for command in (serve, call, dags, runs, journal, token, doctor, version, completion):
        command.register(commands)


def main(argv: Sequence[str] | None = None, terminal: Terminal | None = None) -> int:
    """Run one command. Returns the exit code; wrong usage and `--help` exit, as argparse does (2 and 0)."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    terminal = terminal or Terminal()
    parser = build_parser()
    try:
        if arguments[:1] == ["__complete"]:
            return completion.complete(parser, arguments[1:], terminal)
        args = parser.parse_args(arguments)
        return int(args.run(args, terminal))
    except DagcallError as error:
        terminal.message(explain(error))
        return exit_code(error)
    except KeyboardInterrupt:
        terminal.message("dagcall: interrupted")
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has gone (`| head`); without this, the interpreter's last flush would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.BROKEN_PIPE
    except Exception:
        terminal.message(traceback.format_exc().rstrip())
        terminal.message("dagcall: this is a bug in dagcall: please report it, with the lines above")
        return Exit.BUG
