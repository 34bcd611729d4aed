"""`dagcall call`: call a DAG and print its result."""

import json
import signal
import time
from argparse import Namespace
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import FrameType
from urllib.parse import quote

from dagcall.cli.arguments import Commands, add_output, add_server, add_wait, moment, params_of, seconds
from dagcall.cli.exits import Exit, explain, going_on
from dagcall.cli.interrupts import held_back
from dagcall.cli.paging import all_of
from dagcall.cli.progress import progress_on
from dagcall.cli.terminal import Terminal
from dagcall.client import Client, RunEvent, RunHandle
from dagcall.errors import DagcallError, NotFinished, UsageError, problem_from
from dagcall.model.survival import DURABILITIES

_GLANCE = 1.0
"""Seconds between two looks at a run whose progress is shown; a call that is faster shows none."""

_FAILURES = {"deadline": "deadline-exceeded", "cancelled": "run-cancelled"}


def register(commands: Commands) -> None:
    parser = commands.add(
        "call",
        "call a DAG like a function and print its result",
        (
            "dagcall call ask_astro -p question='What is a Dag?'",
            "dagcall call grid_search -p learning_rate=0.1 -p hidden_units=32 --wait 60",
            'echo \'{"question": "..."}\' | dagcall call ask_astro --conf -',
            "dagcall call nightly --detach",
        ),
    )
    parser.add_argument("dag_id", metavar="DAG_ID")
    parser.add_argument(
        "-p", "--param", action="append", default=[], metavar="KEY=VALUE", help="a param; the value is JSON or a string"
    )
    parser.add_argument("--conf", metavar="JSON|-", help="all params as a JSON object, or - to read it from stdin")
    add_wait(parser)
    parser.add_argument("--timeout", type=seconds, metavar="S", help="deadline of the run itself: it is ended after S")
    parser.add_argument("--run-id", metavar="ID", help="the run's id, instead of a generated one")
    parser.add_argument("--key", metavar="KEY", help="idempotency key: equal calls with it are one run")
    parser.add_argument(
        "--result", action="append", default=[], metavar="TASK_ID", help="print this task's value instead (repeatable)"
    )
    parser.add_argument(
        "--logical-date", type=moment, metavar="ISO", help="the run's logical date, for templates that use ds, ts, ..."
    )
    parser.add_argument(
        "--on-disconnect",
        choices=("continue", "cancel"),
        help="cancel: the run ends when this command is ended before its outcome and nobody else waits "
        "(default: continue)",
    )
    parser.add_argument(
        "--durability", choices=DURABILITIES, help="what the run survives (default: what its DAG or the server says)"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--stream", action="store_true", help="print the run's events as they happen, one JSON a line")
    how.add_argument("--detach", action="store_true", help="start the run, print its id, do not wait")
    add_output(parser, "json")
    add_server(parser)
    parser.set_defaults(run=run)


def run(args: Namespace, terminal: Terminal) -> int:
    params = params_of(args.conf, args.param, terminal.stdin)
    with terminal.client(args) as plain:
        client = plain.with_options(
            timeout=args.timeout,
            run_id=args.run_id,
            key=args.key,
            result=args.result,
            logical_date=args.logical_date,
            on_disconnect=args.on_disconnect,
            durability=args.durability,
        )
        if args.stream:
            return _stream(client, client.stream(args.dag_id, params), args, terminal)
        if args.detach and args.wait is not None:
            raise UsageError("--detach does not wait: leave out --wait")
        began = time.monotonic()
        cancels = args.on_disconnect == "cancel"
        handle: RunHandle | None = None
        try:
            with held_back():  # once the call is sent there may be a run, whose id comes with the answer
                handle = client.submit(args.dag_id, params)
        except KeyboardInterrupt:
            if handle is None:
                raise
            return _interrupted(handle, terminal, cancels=cancels)
        if args.detach:
            terminal.value({"dag_id": handle.dag_id, "run_id": handle.id}, args.output)
            return Exit.OK
        left = None if args.wait is None else args.wait - (time.monotonic() - began)
        return finish(client, handle, left, args.output, terminal, cancels=cancels)


def finish(
    client: Client, run: RunHandle, wait: float | None, output: str, terminal: Terminal, *, cancels: bool = False
) -> int:
    """Wait for a run's outcome, with progress where it can be seen, and print it. `cancels`: so does an interrupt."""
    try:
        value = _watched(client, run, wait, terminal) if terminal.is_live else run.result(timeout=wait)
    except KeyboardInterrupt:
        return _interrupted(run, terminal, cancels=cancels)
    terminal.value(value, output)
    return Exit.OK


def _interrupted(run: RunHandle | None, terminal: Terminal, *, cancels: bool) -> int:
    """None: the server had not told its id yet."""
    hints = [] if run is None else going_on(run.dag_id, run.id)
    if cancels and run is not None:
        run.cancel()
    becomes, hints = ("is cancelled", hints[:1]) if cancels else ("goes on", hints)
    terminal.message("\n".join([f"dagcall: interrupted; the run {becomes}", *hints]))
    return Exit.INTERRUPTED


def _watched(client: Client, run: RunHandle, wait: float | None, terminal: Terminal) -> object:
    began = time.monotonic()
    with progress_on(terminal.stderr) as progress:
        while True:
            elapsed = time.monotonic() - began
            left = None if wait is None else wait - elapsed
            try:
                return run.result(timeout=_GLANCE if left is None else max(0.0, min(_GLANCE, left)))
            except NotFinished as waiting:
                if left is not None and left <= _GLANCE:
                    waiting.waited = wait or 0.0
                    raise
            progress.show(f"{run.dag_id} {time.monotonic() - began:.0f} s  {_tasks(client, run)}")


def _tasks(client: Client, run: RunHandle) -> str:
    """How many task instances are in which state."""
    path = f"/api/v2/dags/{quote(run.dag_id, safe='')}/dagRuns/{quote(run.id, safe='')}/taskInstances"
    try:
        states = Counter(one["state"] or "waiting" for one in all_of(client, path, "task_instances"))
    except DagcallError:
        return ""  # an ornament: the outcome is what the command waits for
    return ", ".join(f"{number} {state}" for state, number in sorted(states.items()))


def _stream(client: Client, events: Iterator[RunEvent], args: Namespace, terminal: Terminal) -> int:
    code = Exit.UNAVAILABLE
    run_id = ""
    try:
        with _limited(args.wait):
            for event in events:
                run_id = event.run_id
                terminal.line(json.dumps(asdict(event), ensure_ascii=False))
                if event.event == "result":
                    code = Exit.OK
                elif event.event == "failure":
                    code = Exit.RUN_FAILED
                    terminal.message(explain(_failure(args.dag_id, event)))
    except TimeoutError:
        if code is Exit.UNAVAILABLE:
            raise NotFinished(args.dag_id, run_id, waited=args.wait) from None
    except KeyboardInterrupt:
        run = client.run(args.dag_id, run_id) if run_id else None
        return _interrupted(run, terminal, cancels=args.on_disconnect == "cancel")
    return code


def _failure(dag_id: str, event: RunEvent) -> DagcallError:
    data = event.data if isinstance(event.data, dict) else {}
    slug = _FAILURES.get(str(data.get("outcome")), "run-failed")
    return problem_from(500, {"type": slug, "dag_id": dag_id, "run_id": event.run_id} | data)


@contextmanager
def _limited(limit: float | None) -> Iterator[None]:
    """`TimeoutError` after `limit` seconds. By a signal, because a stream may be silent for longer than that."""
    if limit is None:
        yield
        return

    def over(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, over)
    signal.setitimer(signal.ITIMER_REAL, max(limit, 1e-6))
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
