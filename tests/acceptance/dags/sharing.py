"""DAGs whose runs several calls may share; each says which run it was."""

import os
import time
from typing import Any

from airflow.sdk import Param, dag, result, task

PARAMS = {"file": Param("", type="string"), "fails": Param(False, type="boolean")}


def run_id(params: dict[str, Any], dag_run: Any = None) -> str:
    while params["file"] and not os.path.exists(params["file"]):
        time.sleep(0.01)
    if params["fails"]:
        raise ValueError("as asked")
    return str(dag_run.run_id)


@dag(schedule=None, params=PARAMS)
def own_run() -> None:
    result(task(run_id))()


@dag(schedule=None, params=PARAMS, tags=["dagcall:coalesce"])
def coalesced() -> None:
    result(task(run_id))()


@dag(schedule=None, params=PARAMS, tags=["dagcall:cache=600"])
def cached() -> None:
    result(task(run_id))()


own_run()
coalesced()
cached()
