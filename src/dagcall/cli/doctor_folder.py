"""`dagcall doctor DAGS_FOLDER`: the report over a folder, printed. Nothing is left behind."""

import os
from argparse import Namespace
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from dagcall.cli.exits import Exit
from dagcall.cli.serve import missing_extra
from dagcall.cli.terminal import Terminal
from dagcall.cli.version import installed
from dagcall.errors import UsageError

if TYPE_CHECKING:
    from dagcall.doctor.report import Finding, Report

_HEADINGS = {
    "callable": "callable as is",
    "change": "callable with a change",
    "refused": "refused",
}


def run(args: Namespace, terminal: Terminal) -> int:
    """0 when every DAG is callable as it is and every file imports, else 1."""
    folder = args.dags_folder
    if not os.path.isdir(folder):
        raise UsageError(f"{folder!r} is not a folder")
    try:
        from dagcall.check import load_folder
        from dagcall.doctor import report
    except ModuleNotFoundError as missing:
        raise missing_extra("dagcall doctor DAGS_FOLDER", missing) from missing
    cpus = len(os.sched_getaffinity(0))
    with TemporaryDirectory(prefix="dagcall-doctor-") as logs:
        # Airflow makes its folder for logs as soon as it is imported.
        environment = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": logs, **os.environ, "DAGCALL_IMPORT_COST": "1"}
        loaded = load_folder(folder, environment, at_once=max(1, cpus // 2))
    found = report.make(folder, installed("apache-airflow") or "", loaded, _source)
    if args.output == "json":
        terminal.json(asdict(found))
    else:
        for line in lines(found):
            terminal.line(line)
    return Exit.OK if found.is_well else Exit.RUN_FAILED


def lines(report: "Report") -> Iterator[str]:
    for verdict, heading in _HEADINGS.items():
        dags = [dag for dag in report.dags if dag.verdict == verdict]
        if dags:
            yield f"{heading}: {len(dags)}"
        for dag in dags:
            results = f" -> {', '.join(dag.results)}" if dag.results else ""
            yield f"  {dag.dag_id}{results}  ({dag.file}:{dag.line})"
            yield from _findings(dag.stands_in_the_way, "    ")
    errors = [error for file in report.files for error in file.errors]
    if errors:
        yield f"files that do not import: {len(errors)}"
        yield from _findings(errors, "  ")
    not_forked = [finding for file in report.files for finding in file.not_forked]
    if not_forked:
        yield "files whose workers cannot be forked, and start slowly:"
        yield from _findings(not_forked, "  ")
    yield "import of each file, in seconds:"
    for file in sorted(report.files, key=lambda one: -one.seconds):
        dearest = ", ".join(f"{package} {seconds:.2f}" for package, seconds in file.dearest if seconds >= 0.01)
        yield f"  {file.seconds:6.2f}  {file.file}{f'  ({dearest})' if dearest else ''}"
        yield from _findings(file.advice, "          ")
    advice = [(dag.dag_id, one) for dag in report.dags for one in dag.advice]
    if advice:
        yield "worth knowing, though it stands in nobody's way:"
        for dag_id, finding in advice:
            yield from _findings([finding], "  ", f"{dag_id}: ")
    figures = report.summary
    yield (
        f"{figures['dags']} DAGs: {figures['callable']} callable as is, {figures['change']} with a change, "
        f"{figures['refused']} refused; {figures['files']} files, {figures['import_errors']} import errors "
        f"(Airflow {report.airflow})"
    )


def _findings(findings: Sequence["Finding"], indent: str, prefix: str = "") -> Iterator[str]:
    for one in findings:
        task = f"task {one.task_id!r}: " if one.task_id else ""
        yield f"{indent}{one.file}:{one.line}: {prefix}{task}{one.what}"
        if one.fix:
            yield f"{indent}  {one.fix}"


def _source(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except (OSError, UnicodeDecodeError):
        return ""
