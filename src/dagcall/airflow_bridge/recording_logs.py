"""Task logs of recorded runs, uploaded with the handler that `[logging] remote_logging` configures.

Without one there is nothing to do: the files are where Airflow looks for them. They are uploaded before their run's rows
are written, so that who sees the run can read them. One that cannot be uploaded stays where it is, and says so in the
log. `delete_local_logs` is heeded once all tries of a task instance are uploaded.
"""

import logging
import os
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

from dagcall.airflow_bridge.recording_assets import Source
from dagcall.model.finished_run import FinishedRun

log = logging.getLogger("dagcall.recorder")

UPLOADS = 8
"""At once: most of an upload is waiting."""


def upload(runs: Sequence[FinishedRun]) -> None:
    """Blocks until all is tried."""
    handler, deletes = _handler()
    if handler is None:
        return
    found = [
        (run, task.task_id, task.map_index, [*(one.try_number for one in task.tries), task.try_number])
        for run in runs
        for task in run.tasks
        if task.try_number > 0
    ]
    list(_threads().map(lambda one: _upload(handler, deletes, *one), found))


def relative_path(run: FinishedRun, task_id: str, map_index: int, try_number: int) -> str:
    """Airflow's default `[logging] log_filename_template`."""
    mapped = f"/map_index={map_index}" if map_index >= 0 else ""
    return f"dag_id={run.dag_id}/run_id={run.run_id}/task_id={task_id}{mapped}/attempt={try_number}.log"


def _upload(handler: Any, deletes: bool, run: FinishedRun, task_id: str, map_index: int, tries: Sequence[int]) -> None:
    base = _base_folder()
    paths = [relative_path(run, task_id, map_index, one) for one in tries]
    there = [path for path in paths if os.path.exists(os.path.join(base, path))]
    try:
        for path in there:
            handler.upload(path, Source(run.dag_id, run.run_id, task_id, map_index))
    except Exception as error:
        log.warning("the log of task %r in run %s/%s stays local: %s", task_id, run.dag_id, run.run_id, error)
        return
    if there and deletes:
        shutil.rmtree(os.path.dirname(os.path.join(base, there[0])), ignore_errors=True)


@cache
def _handler() -> tuple[Any, bool]:
    """And whether local copies are to be deleted: it would delete the folder of all tries after the first one."""
    from airflow.configuration import conf
    from airflow.logging_config import get_remote_task_log

    handler: Any = get_remote_task_log() if conf.getboolean("logging", "remote_logging") else None
    deletes = bool(getattr(handler, "delete_local_copy", False))
    if handler is not None and deletes:
        handler.delete_local_copy = False
    return handler, deletes


@cache
def _base_folder() -> str:
    from airflow.configuration import conf

    return os.path.expanduser(str(conf.get("logging", "base_log_folder")))


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(UPLOADS, thread_name_prefix="log-upload")
