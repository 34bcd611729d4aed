"""Arguments that several commands share."""

import argparse
import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TextIO

from dagcall.errors import UsageError


class CommandParser(argparse.ArgumentParser):
    """The parser of one command. One whose actions are commands again may have one that is meant when none is given."""

    default_action: str | None = None

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        words = list(sys.argv[1:] if args is None else args)
        if self.default_action is not None:
            first = words[0] if words else "-"
            if first.startswith("-") and first not in ("-h", "--help"):
                words.insert(0, self.default_action)
        return super().parse_known_args(words, namespace)


class Commands:
    """Adds commands with the same silhouette: a summary, examples, and the function that runs it."""

    def __init__(self, parser: argparse.ArgumentParser, default: str | None = None) -> None:
        """`default`: the command that is meant where none is given."""
        if default is not None:
            assert isinstance(parser, CommandParser), parser
            parser.default_action = default
        self._parsers = parser.add_subparsers(
            title="commands", metavar="COMMAND", required=True, parser_class=CommandParser
        )

    def add(self, name: str, summary: str, examples: Sequence[str] = ()) -> CommandParser:
        epilog = "examples:\n" + "\n".join(f"  {example}" for example in examples) if examples else None
        return self._parsers.add_parser(
            name,
            help=summary,
            description=summary[0].upper() + summary[1:] + ".",
            epilog=epilog,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )


def add_server(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--url",
        metavar="URL",
        help="the server (default: DAGCALL_URL, then http://127.0.0.1:8274); token: DAGCALL_TOKEN",
    )


def add_output(parser: argparse.ArgumentParser, default: str) -> None:
    parser.add_argument(
        "-o", "--output", choices=("json", "table"), default=default, help=f"form of the data (default: {default})"
    )


def add_run(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dag_id", metavar="DAG_ID")
    parser.add_argument("run_id", metavar="RUN_ID")


def add_wait(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--wait", type=seconds, metavar="S", help="wait at most S seconds, then exit 124 (default: until the outcome)"
    )


def seconds(text: str) -> float:
    """A number of seconds, 0 or more."""
    value = float(text)
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def moment(text: str) -> datetime:
    """An ISO 8601 date or time; UTC where it says nothing else."""
    value = datetime.fromisoformat(text)
    return value if value.tzinfo else value.replace(tzinfo=UTC)


def count(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number above 0")
    return value


def port(text: str) -> int:
    """A TCP port; 0 lets the system choose."""
    value = int(text)
    if not 0 <= value <= 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not a port")
    return value


def params_of(conf: str | None, pairs: Sequence[str], stdin: TextIO) -> dict[str, Any]:
    """The params of a call: `--conf` (JSON, or `-` for stdin), then each `-p key=value` over it.

    A value is JSON if it parses as such, else a string.
    """
    params: dict[str, Any] = {}
    if conf is not None:
        try:
            params = json.loads(stdin.read() if conf == "-" else conf)
        except ValueError as error:
            raise UsageError(f"--conf is not JSON: {error}") from None
        if not isinstance(params, dict):
            raise UsageError(f"--conf is a JSON object of params by name, not {type(params).__name__}")
    for pair in pairs:
        key, equals, text = pair.partition("=")
        if not key or not equals:
            raise UsageError(f"-p {pair!r}: a param is given as key=value")
        try:
            params[key] = json.loads(text, parse_constant=_not_json)
        except ValueError:
            params[key] = text
    return params


def _not_json(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")  # Python reads NaN and Infinity, which cannot be sent
