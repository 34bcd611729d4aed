"""`dagcall dags check FOLDER`: what of a folder can be called, before any server is started."""

import asyncio
import os
from dataclasses import dataclass
from typing import Literal

from dagcall.compose import RUNTIME, worker_environment
from dagcall.workers.file_zygote import LoadedFile
from dagcall.workers.fleet import Fleet

Kind = Literal["ok", "refused", "import-error", "warning", "note", "hint"]


@dataclass(frozen=True)
class CheckRow:
    """One finding. `dag_id` is empty for a file that does not import, `task_id` None for the DAG's own features."""

    kind: Kind
    dag_id: str
    file: str
    task_id: str | None = None
    feature: str = ""
    reason: str = ""


def check_folder(folder: str) -> list[CheckRow]:
    """Parse every file of a folder, each in a process of its own.

    Raises:
        Unavailable: Airflow cannot be imported.
    """
    return [row for file in load_folder(folder, dict(os.environ)) for row in _rows(file)]


def load_folder(folder: str, environment: dict[str, str], *, at_once: int = 4) -> list[LoadedFile]:
    """Every file of a folder, parsed as a server parses it, in processes that have ended when this returns.

    Raises:
        Unavailable: Airflow cannot be imported.
    """
    return asyncio.run(_load(os.path.realpath(folder), environment, at_once))


async def _load(folder: str, environment: dict[str, str], at_once: int) -> list[LoadedFile]:
    fleet = Fleet(folder, RUNTIME, worker_environment(environment))
    try:
        await fleet.start()
        paths = await fleet.list_files()
        gate = asyncio.Semaphore(at_once)

        async def load(path: str) -> LoadedFile:
            async with gate:
                return await fleet.load(path)

        return await asyncio.gather(*(load(path) for path in paths))
    finally:
        await fleet.stop()


def _rows(file: LoadedFile) -> list[CheckRow]:
    rows = [CheckRow("import-error", "", path, reason=text.strip()) for path, text in file.errors]
    for dag_id, plan in sorted(file.plans.items()):
        path = plan.relative_fileloc
        if plan.refusals:
            rows += [CheckRow("refused", dag_id, path, one.task_id, one.feature, one.reason) for one in plan.refusals]
        else:
            rows.append(CheckRow("ok", dag_id, path))
        rows += [CheckRow("warning", dag_id, path, reason=warning) for warning in plan.warnings]
        rows += [CheckRow("note", dag_id, path, one.task_id, one.feature, one.text) for one in plan.notes]
        rows += [CheckRow("hint", dag_id, path, one.task_id, one.feature, one.text) for one in plan.hints]
    return rows
