"""version, monitor/health."""

import time

from starlette.requests import Request
from starlette.responses import Response

from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import encode
from dagcall.server.times import iso

JSON = "application/json"


async def version(context: Context, request: Request, caller: Caller) -> Response:
    """Airflow's version, which is what clients decide by; dagcall's is at /openapi.json."""
    document = {"version": context.coordinator.settings.get("airflow_version", "unknown"), "git_version": None}
    return Response(encode(document), media_type=JSON)


async def health(context: Context, request: Request, caller: Caller) -> Response:
    """One process is scheduler and DAG processor here: it is alive if it answers. Triggerers come and go with the tasks
    that need one; the journal is what the metadata database is to Airflow."""
    coordinator, now = context.coordinator, iso(time.time())
    serving = "unhealthy" if coordinator.is_stopping else "healthy"
    loaded = serving if coordinator.catalog.is_loaded else "unhealthy"
    trouble = coordinator.journal_trouble
    journal = {"status": "healthy"} if trouble is None else {"status": "unhealthy", "reason": trouble}
    document = {
        "metadatabase": journal,
        "scheduler": {"status": serving, "latest_scheduler_heartbeat": now},
        "triggerer": {"status": None, "latest_triggerer_heartbeat": None},
        "dag_processor": {"status": loaded, "latest_dag_processor_heartbeat": now},
    }
    return Response(encode(document), media_type=JSON)
