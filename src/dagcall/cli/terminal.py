"""Where a command reads and writes: stdout is data, stderr is messages. Everything is injected, so that tests need
neither a process nor a socket."""

import json
import os
import sys
from argparse import Namespace
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

import httpx

from dagcall.client import Client


@dataclass
class Terminal:
    """The streams of one command, and the way to the server (`transport` None: the network)."""

    stdin: TextIO = field(default_factory=lambda: sys.stdin)
    stdout: TextIO = field(default_factory=lambda: sys.stdout)
    stderr: TextIO = field(default_factory=lambda: sys.stderr)
    transport: httpx.BaseTransport | None = None

    @property
    def is_live(self) -> bool:
        """Whether somebody watches stderr, on a terminal that can redraw a line."""
        return self.stderr.isatty() and os.environ.get("TERM") != "dumb"

    def client(self, args: Namespace) -> Client:
        """A client that reports a refusal at once: whoever typed the command decides about trying again."""
        return Client(args.url, transport=self.transport).with_options(retry=0)

    def message(self, text: str) -> None:
        print(text, file=self.stderr, flush=True)

    def line(self, text: str) -> None:
        print(text, file=self.stdout, flush=True)

    def json(self, value: object) -> None:
        """Indented for a reader, one line for a program."""
        self.line(json.dumps(value, ensure_ascii=False, indent=2 if self.stdout.isatty() else None))

    def value(self, value: object, output: str) -> None:
        """The result of a call."""
        if output == "json":
            self.json(value)
        elif isinstance(value, dict):
            self.table([{"name": name, "value": _cell(one)} for name, one in value.items()], ("name", "value"))
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            self.table(value, list(dict.fromkeys(name for row in value for name in row)))
        elif isinstance(value, list):
            for one in value:
                self.line(_cell(one))
        else:
            self.line(_cell(value))

    def rows(self, rows: Sequence[Mapping[str, object]], columns: Sequence[str], output: str) -> None:
        """A list: the whole rows as JSON, or some columns of them as a table."""
        if output == "json":
            self.json(list(rows))
        else:
            self.table(rows, columns)

    def table(self, rows: Iterable[Mapping[str, object]], columns: Sequence[str]) -> None:
        """Columns aligned by spaces, the last one as long as it is."""
        cells = [[name.replace("_", " ").upper() for name in columns]]
        cells += [[_cell(row.get(name)) for name in columns] for row in rows]
        widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
        for row in cells:
            self.line("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case float():
            return f"{value:.3f}".rstrip("0").rstrip(".")
        case list() if all(isinstance(one, str) for one in value):
            return ", ".join(value)
        case _:
            return json.dumps(value, ensure_ascii=False)
