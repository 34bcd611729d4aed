"""`dagcall runs`: the runs that the server keeps, over its Airflow-compatible API."""

from argparse import Namespace
from typing import Any
from urllib.parse import quote

from dagcall.cli.arguments import Commands, add_output, add_run, add_server, add_wait, count
from dagcall.cli.call import finish
from dagcall.cli.exits import Exit
from dagcall.cli.logs import show_logs
from dagcall.cli.paging import all_of
from dagcall.cli.terminal import Terminal

_RUN_COLUMNS = ("dag_id", "dag_run_id", "state", "run_after", "duration")
_PATH_COLUMNS = ("task_id", "map_index", "try_number", "queue", "worker", "task", "journal", "wait")
_TASK_COLUMNS = ("task_id", "map_index", "state", "try_number", "start_date", "duration")


def register(commands: Commands) -> None:
    parser = commands.add(
        "runs",
        "list, show, attach to and cancel runs, read their logs",
        ("dagcall runs list ask_astro --state failed", "dagcall runs logs ask_astro manual__2026-01-01T00:00:00+00:00"),
    )
    actions = Commands(parser, default="list")

    listing = actions.add("list", "list runs, the newest first", ("dagcall runs list --state running --limit 20",))
    listing.add_argument("dag_id", metavar="DAG_ID", nargs="?", default="~", help="default: of all DAGs")
    listing.add_argument("--state", action="append", default=[], help="queued, running, success or failed (repeatable)")
    listing.add_argument("--limit", type=count, default=25, help="how many (default: 25)")
    listing.add_argument("--offset", type=int, default=0, help="how many to leave out first")
    add_output(listing, "table")
    listing.set_defaults(run=show_list)

    show = actions.add("show", "show a run, its task instances, and where the time to its answer went")
    add_run(show)
    add_output(show, "table")
    show.set_defaults(run=show_one)

    attach = actions.add("attach", "wait for a run's outcome and print its result, as `call` does")
    add_run(attach)
    add_wait(attach)
    add_output(attach, "json")
    attach.set_defaults(run=attach_to)

    cancel = actions.add("cancel", "end a run; its teardowns still run")
    add_run(cancel)
    add_output(cancel, "table")
    cancel.set_defaults(run=cancel_one)

    logs = actions.add(
        "logs", "print the logs of a run's tasks", ("dagcall runs logs ask_astro RUN_ID answer --map-index 2",)
    )
    add_run(logs)
    logs.add_argument("task_id", metavar="TASK_ID", nargs="?", help="default: all tasks that started")
    logs.add_argument("--map-index", type=int, metavar="N", help="of a mapped task: one instance (default: all)")
    logs.add_argument("--try", type=count, dest="try_number", metavar="N", help="default: the latest")
    add_output(logs, "table")
    logs.set_defaults(run=show_logs)

    for one in (listing, show, attach, cancel, logs):
        add_server(one)


def show_list(args: Namespace, terminal: Terminal) -> int:
    with terminal.client(args) as client:
        path = f"/api/v2/dags/{quote(args.dag_id, safe='~')}/dagRuns"
        page = client.get(path, limit=args.limit, offset=args.offset, order_by="-run_after", state=args.state)
    terminal.rows(page["dag_runs"], _RUN_COLUMNS, args.output)
    shown = args.offset + len(page["dag_runs"])
    if shown < page["total_entries"]:
        terminal.message(f"{shown} of {page['total_entries']} runs; --offset {shown} shows the next")
    return Exit.OK


def show_one(args: Namespace, terminal: Terminal) -> int:
    path = f"/api/v2/dags/{quote(args.dag_id, safe='')}/dagRuns/{quote(args.run_id, safe='')}"
    with terminal.client(args) as client:
        run: dict[str, Any] = client.get(path)
        tasks = list(all_of(client, f"{path}/taskInstances", "task_instances"))
        called = f"/call/{quote(args.dag_id, safe='')}/{quote(args.run_id, safe='')}"
        waited: dict[str, Any] = client.get(f"{called}/critical-path")
    if args.output == "json":
        went = {name: waited[name] for name in ("ms", "critical_path")}
        terminal.json(run | {"task_instances": tasks} | went)
    else:
        terminal.table([run], _RUN_COLUMNS)
        terminal.line("")
        terminal.table(tasks, _TASK_COLUMNS)
        terminal.line("")
        terminal.line("What the answer waited for, in milliseconds:")
        terminal.table([step | step["ms"] for step in waited["critical_path"]], _PATH_COLUMNS)
    return Exit.OK


def attach_to(args: Namespace, terminal: Terminal) -> int:
    with terminal.client(args) as client:
        return finish(client, client.run(args.dag_id, args.run_id), args.wait, args.output, terminal)


def cancel_one(args: Namespace, terminal: Terminal) -> int:
    with terminal.client(args) as client:
        was_running = client.run(args.dag_id, args.run_id).cancel()
    if args.output == "json":
        terminal.json({"dag_id": args.dag_id, "run_id": args.run_id, "cancelled": was_running})
    else:
        terminal.message("dagcall: " + ("the run is being cancelled" if was_running else "the run had already ended"))
    return Exit.OK
