"""`dagcall runs logs`: task logs as the Airflow-compatible API has them, written for a reader."""

from argparse import Namespace
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

from dagcall.cli.exits import Exit
from dagcall.cli.paging import all_of
from dagcall.cli.terminal import Terminal
from dagcall.client import Client
from dagcall.error_details import task_label
from dagcall.errors import TaskNotFound


def show_logs(args: Namespace, terminal: Terminal) -> int:
    path = f"/api/v2/dags/{quote(args.dag_id, safe='')}/dagRuns/{quote(args.run_id, safe='')}/taskInstances"
    with terminal.client(args) as client:
        chosen = _chosen(client, path, args)
        logs = []
        for task in chosen:
            number = args.try_number or task["try_number"]
            content = _content(client, f"{path}/{quote(task['task_id'], safe='')}/logs/{number}", task["map_index"])
            logs.append({"task_id": task["task_id"], "map_index": task["map_index"], "try": number, "content": content})
    if args.output == "json":
        terminal.json(logs)
        return Exit.OK
    for log in logs:
        if len(logs) > 1:
            terminal.line(f"==> {task_label(log['task_id'], log['map_index'])} try {log['try']} <==")
        for message in log["content"]:
            for line in _lines(message):
                terminal.line(line)
    return Exit.OK


def _chosen(client: Client, path: str, args: Namespace) -> list[dict[str, Any]]:
    """The task instances that are meant and have started; an error when none is."""
    found = [
        task
        for task in all_of(client, path, "task_instances")
        if args.task_id in (None, task["task_id"]) and args.map_index in (None, task["map_index"])
    ]
    if args.task_id is not None and not found:
        which = "" if args.map_index is None else f" with map index {args.map_index}"
        raise TaskNotFound(
            f"Run {args.run_id!r} of DAG {args.dag_id!r} has no task {args.task_id!r}{which}.",
            dag_id=args.dag_id,
            run_id=args.run_id,
            task_id=args.task_id,
        )
    return [task for task in found if task["try_number"] > 0]


def _content(client: Client, path: str, map_index: int) -> list[Any]:
    """All that there is now: a page may name the next one, and of a running task always does."""
    query: dict[str, str | int | list[str]] = {"map_index": map_index, "full_content": "true"}
    content: list[Any] = []
    while True:
        page = client.get(path, **query)
        content += page["content"]
        if not page["content"] or not page.get("continuation_token"):
            return content
        query["token"] = page["continuation_token"]


def _lines(message: Any) -> Iterator[str]:
    """A log message: a plain line, or an object with `event` and usually `timestamp`, `level`, `error_detail`."""
    if not isinstance(message, dict):
        yield str(message)
        return
    head = (str(message.get("timestamp") or ""), str(message.get("level") or "").upper().ljust(7).rstrip())
    yield " ".join(part for part in (*head, str(message.get("event", ""))) if part)
    for error in message.get("error_detail") or ():
        for frame in error.get("frames") or ():
            yield f'    File "{frame.get("filename")}", line {frame.get("lineno")}, in {frame.get("name")}'
        yield f"    {error.get('exc_type')}: {error.get('exc_value')}"
