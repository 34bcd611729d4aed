"""`dagcall dags`: which DAGs are served, how one is called, and what stands in the way of calling them."""

import os
from argparse import ArgumentParser, Namespace
from dataclasses import asdict

from dagcall.cli.arguments import Commands, add_output, add_server
from dagcall.cli.exits import Exit
from dagcall.cli.paging import all_of
from dagcall.cli.serve import missing_extra
from dagcall.cli.terminal import Terminal
from dagcall.errors import UsageError

_BAD = ("refused", "import-error")


def register(commands: Commands) -> None:
    parser = commands.add(
        "dags",
        "list, show and check DAGs",
        ("dagcall dags list", "dagcall dags show ask_astro", "dagcall dags check examples/dags"),
    )
    actions = Commands(parser, default="list")
    _list_parser(actions)
    _show_parser(actions)
    _check_parser(actions)


def _list_parser(actions: Commands) -> None:
    _common(actions.add("list", "list the served DAGs"), "table").set_defaults(run=show_list)


def _show_parser(actions: Commands) -> None:
    parser = actions.add(
        "show", "show how a DAG is called: params, results, an example", ("dagcall dags show ask_astro",)
    )
    parser.add_argument("dag_id", metavar="DAG_ID")
    _common(parser, "json").set_defaults(run=show_one)


def _check_parser(actions: Commands) -> None:
    parser = actions.add(
        "check",
        "tell which DAGs cannot be called, and why; exit 1 if there are any",
        (
            "dagcall dags check examples/dags    # reads the files, needs no server",
            "dagcall dags check    # asks the server",
        ),
    )
    parser.add_argument(
        "dags_folder", metavar="FOLDER", nargs="?", help="a folder of DAG files (default: ask the server)"
    )
    _common(parser, "table").set_defaults(run=check)


def _common(parser: ArgumentParser, output: str) -> ArgumentParser:
    add_output(parser, output)
    add_server(parser)
    return parser


def show_list(args: Namespace, terminal: Terminal) -> int:
    with terminal.client(args) as client:
        rows = client.dags()
    terminal.rows(rows, ("dag_id", "callable", "result_tasks", "description"), args.output)
    return Exit.OK


def show_one(args: Namespace, terminal: Terminal) -> int:
    with terminal.client(args) as client:
        terminal.value(client.describe(args.dag_id), args.output)
    return Exit.OK


def check(args: Namespace, terminal: Terminal) -> int:
    rows = _check_server(args, terminal) if args.dags_folder is None else _check_folder(args.dags_folder)
    terminal.rows(rows, ("kind", "dag_id", "task_id", "feature", "reason", "file"), args.output)
    bad = sum(row["kind"] in _BAD for row in rows)
    if bad:
        terminal.message(f"dagcall: {bad} of {len(rows)} findings stand in the way of a call")
    return Exit.RUN_FAILED if bad else Exit.OK


def _check_folder(folder: str) -> list[dict[str, object]]:
    if not os.path.isdir(folder):
        raise UsageError(f"{folder!r} is not a folder")
    try:
        from dagcall.check import check_folder
    except ModuleNotFoundError as missing:
        raise missing_extra("dagcall dags check FOLDER", missing) from missing
    return [asdict(row) for row in check_folder(folder)]


def _check_server(args: Namespace, terminal: Terminal) -> list[dict[str, object]]:
    with terminal.client(args) as client:
        dags = client.dags()
        import_errors = list(all_of(client, "/api/v2/importErrors", "import_errors"))
    rows: list[dict[str, object]] = []
    for dag in dags:
        where = {"dag_id": dag["dag_id"], "file": dag.get("relative_fileloc")}
        if dag.get("callable", True):
            rows.append({**where, "kind": "ok", "task_id": None, "feature": None, "reason": None})
        else:
            rows += [{**where, "kind": "refused", **feature} for feature in dag.get("features", ({},))]
        for kind in ("warning", "note", "hint"):
            rows += [{**where, "kind": kind, "reason": text} for text in dag.get(f"{kind}s", ())]
    for one in import_errors:
        last = one["stack_trace"].strip().rpartition("\n")[2]
        rows.append({"dag_id": None, "file": one["filename"], "kind": "import-error", "task_id": None, "reason": last})
    return rows
