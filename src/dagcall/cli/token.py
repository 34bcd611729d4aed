"""`dagcall token`: API tokens of servers that have no Airflow to log in at (`[dagcall] auth = token`).

Works on the file that servers read, not over HTTP: whoever may write it is who may make tokens.
"""

import re
import time
from argparse import Namespace
from datetime import UTC, datetime
from pathlib import Path

from dagcall.airflow_cfg import AirflowConfig
from dagcall.cli.arguments import Commands, add_output
from dagcall.cli.exits import Exit
from dagcall.cli.terminal import Terminal
from dagcall.errors import UsageError
from dagcall.tokens import ApiToken, TokenFile

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def register(commands: Commands) -> None:
    parser = commands.add(
        "token",
        "make, list and revoke API tokens of servers with [dagcall] auth = token",
        (
            "dagcall token create shop --call 'order_*' --read '*' --expires 90d",
            "dagcall token list",
            "dagcall token revoke shop",
        ),
    )
    actions = Commands(parser)
    create = actions.add(
        "create",
        "make a token; it is printed once, and kept as a hash",
        ("dagcall token create shop --call 'order_*'",),
    )
    create.add_argument("name", metavar="NAME", help="who has it: the name of its runs' caller")
    create.add_argument(
        "--call", metavar="PATTERN", action="append", default=[], help="DAGs that it may call and read; repeatable"
    )
    create.add_argument(
        "--read",
        metavar="PATTERN",
        action="append",
        default=[],
        help="DAGs whose runs and results it may read; repeatable",
    )
    create.add_argument("--admin", action="store_true", help="everything: pools, Variables, Connections, too")
    create.add_argument("--metrics", action="store_true", help="GET /metrics")
    create.add_argument(
        "--expires", metavar="TIME", type=_seconds, help="90d, 12h, 30m or 60s from now (default: never)"
    )
    create.set_defaults(run=create_token)
    listing = actions.add("list", "show the tokens, but not their secrets")
    add_output(listing, "table")
    listing.set_defaults(run=list_tokens)
    revoke = actions.add("revoke", "refuse a token from now on")
    revoke.add_argument("name", metavar="NAME")
    revoke.set_defaults(run=revoke_token)


def create_token(args: Namespace, terminal: Terminal) -> int:
    if not (args.call or args.read or args.admin or args.metrics):
        raise UsageError("a token needs a scope: --call PATTERN, --read PATTERN, --metrics or --admin")
    now = time.time()
    expires = None if args.expires is None else now + args.expires
    file = _file()
    secret = file.create(
        ApiToken(args.name, "", tuple(args.read), tuple(args.call), args.admin, args.metrics, round(now, 3), expires)
    )
    terminal.message(f"kept in {file.path} as a hash: this is the only time that the token is shown (DAGCALL_TOKEN)")
    terminal.line(secret)
    return Exit.OK


def list_tokens(args: Namespace, terminal: Terminal) -> int:
    rows = [
        {
            "name": one.name,
            "call": " ".join(one.call),
            "read": " ".join(one.read),
            "also": " ".join(word for word, is_so in (("admin", one.admin), ("metrics", one.metrics)) if is_so),
            "created": _date(one.created),
            "expires": "never" if one.expires is None else _date(one.expires),
        }
        for one in _file().read()
    ]
    terminal.rows(rows, ("name", "call", "read", "also", "created", "expires"), args.output)
    return Exit.OK


def revoke_token(args: Namespace, terminal: Terminal) -> int:
    file = _file()
    if not file.revoke(args.name):
        terminal.message(f"there is no token {args.name!r} in {file.path}")
        return Exit.NOT_FOUND
    terminal.message(f"token {args.name!r} is revoked")
    return Exit.OK


def _file() -> TokenFile:
    config = AirflowConfig()
    configured = config.launch().tokens
    return TokenFile(Path(configured) if configured else config.home / "dagcall" / "tokens.json")


def _seconds(text: str) -> float:
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text)
    if found is None:
        raise ValueError(text)
    return float(found[1]) * _UNITS[found[2]]


def _date(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
