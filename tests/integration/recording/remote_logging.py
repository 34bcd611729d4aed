"""Airflow's logging configuration of the tests: a store of task logs that is a folder."""

import os
import shutil
from pathlib import Path
from typing import Any

LOGGING_CONFIG: dict[str, Any] = {
    "version": 1,
    "disable_existing_loggers": False,
    "handlers": {
        "task": {
            "class": "airflow.utils.log.file_task_handler.FileTaskHandler",
            "base_log_folder": f"{os.environ['AIRFLOW_HOME']}/logs",
        }
    },
    "loggers": {"airflow.task": {"handlers": ["task"]}},
}
STORE = Path(os.environ["REMOTE_LOGS"])


class Folder:
    """As `airflow.logging.remote.RemoteLogIO`. Like those of providers it would delete all tries after the first upload."""

    processors = ()
    delete_local_copy = True

    def upload(self, path: str, ti: Any) -> None:
        from airflow.configuration import conf

        local = Path(conf.get("logging", "base_log_folder")) / path
        (STORE / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(local, STORE / path)
        if self.delete_local_copy:
            shutil.rmtree(local.parent)

    def read(self, path: str, ti: Any) -> tuple[list[str], list[str]]:
        return [path], [(STORE / path).read_text()]


REMOTE_TASK_LOG = Folder()
DEFAULT_REMOTE_CONN_ID = None
