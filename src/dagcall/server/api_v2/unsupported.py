"""What Airflow's public API has and this server does not: each with the sentence that it is answered with, 501.

Authoritative for `docs/api-compatibility.md`: an endpoint of Airflow's document stands either in the table of routes or
here, never in both. A path that is in neither is answered 501 all the same (`guard.not_found`), without a reason.
"""

import re
from collections.abc import Iterator

from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from dagcall.errors import NotSupported

_RUN = "/api/v2/dags/{dag_id}/dagRuns/{dag_run_id}"
_INSTANCE = _RUN + "/taskInstances/{task_id}"
_GROUP = _RUN + "/taskGroupInstances/{group_id}"
_ASSET_STATE = "/api/v2/assets/{asset_id}/state-store"
_TASK_STATE = _INSTANCE + "/state-store"

_SCHEDULES = "schedules are Airflow's: dagcall starts no runs by time, and so has none to fill in"
_CLEARING = (
    "a run here is answered once, and what has ended stays as it ended. Call the DAG again; or clear it in Airflow's UI, "
    "where a recorded run's tasks run again"
)
_NO_EDITS = "states of task instances follow from what their tasks do; the run as a whole can be cancelled (its state set to failed)"
_BULK = "bulk changes are not done here: send one request an entry"
_LISTS = "lists are read with GET, which takes the same filters"
_OF_AIRFLOW = "it describes an Airflow installation, which this server does not read: ask Airflow's api-server"
_DAGS = "the DAGs are those of the folder: change the folder instead"
_STATE = "states of tasks and assets are for the code that keeps them: read and change them in a task"
_VERSIONS = "versions of a DAG file have no numbers here: a run's bundle_version tells which one it used"
_FAVORITES = "there are no users here whose favorites could be kept"
_TESTS = "a connection is tested where its hook is installed: call it in a task"
_XCOMS = "XComs are what tasks push, and part of the run's record"
_DELETING = "the run's record is kept whole: delete the run"
_DEPENDENCIES = "why a task instance waits is told by the events of its run (GET /call/{dag_id}/{run_id}/events)"

UNSUPPORTED: dict[tuple[str, str], str] = {
    ("GET", "/api/v2/backfills"): _SCHEDULES,
    ("POST", "/api/v2/backfills"): _SCHEDULES,
    ("GET", "/api/v2/backfills/{backfill_id}"): _SCHEDULES,
    ("PUT", "/api/v2/backfills/{backfill_id}/pause"): _SCHEDULES,
    ("PUT", "/api/v2/backfills/{backfill_id}/unpause"): _SCHEDULES,
    ("PUT", "/api/v2/backfills/{backfill_id}/cancel"): _SCHEDULES,
    ("POST", "/api/v2/backfills/dry_run"): _SCHEDULES,
    ("POST", "/api/v2/dags/{dag_id}/clearPartitions"): _SCHEDULES,
    ("POST", "/api/v2/dags/{dag_id}/clearTaskInstances"): _CLEARING,
    ("POST", "/api/v2/dags/{dag_id}/clearDagRuns"): _CLEARING,
    ("POST", _RUN + "/clear"): _CLEARING,
    ("POST", "/api/v2/dags/{dag_id}/dagRuns/list"): _LISTS,
    ("POST", _RUN + "/taskInstances/list"): _LISTS,
    ("PATCH", "/api/v2/dags/{dag_id}/dagRuns"): _BULK,
    ("PATCH", _RUN + "/taskInstances"): _BULK,
    ("PATCH", "/api/v2/connections"): _BULK,
    ("PATCH", "/api/v2/pools"): _BULK,
    ("PATCH", "/api/v2/variables"): _BULK,
    ("DELETE", _INSTANCE): _DELETING,
    ("PATCH", _INSTANCE + "/dry_run"): _NO_EDITS,
    ("PATCH", _INSTANCE + "/{map_index}/dry_run"): _NO_EDITS,
    ("PATCH", _GROUP): _NO_EDITS,
    ("PATCH", _GROUP + "/dry_run"): _NO_EDITS,
    ("GET", _INSTANCE + "/dependencies"): _DEPENDENCIES,
    ("GET", _INSTANCE + "/{map_index}/dependencies"): _DEPENDENCIES,
    ("GET", _INSTANCE + "/links"): "links of operators are made by their code, which this server does not run",
    ("GET", _INSTANCE + "/externalLogUrl/{try_number}"): "task logs are read here (GET .../logs/{try_number})",
    ("POST", _INSTANCE + "/xcomEntries"): _XCOMS,
    ("PATCH", _INSTANCE + "/xcomEntries/{xcom_key:path}"): _XCOMS,
    ("DELETE", _INSTANCE + "/xcomEntries/{xcom_key:path}"): _XCOMS,
    ("GET", _ASSET_STATE): _STATE,
    ("DELETE", _ASSET_STATE): _STATE,
    ("GET", _ASSET_STATE + "/{key:path}"): _STATE,
    ("PUT", _ASSET_STATE + "/{key:path}"): _STATE,
    ("DELETE", _ASSET_STATE + "/{key:path}"): _STATE,
    ("GET", _TASK_STATE): _STATE,
    ("DELETE", _TASK_STATE): _STATE,
    ("GET", _TASK_STATE + "/{key:path}"): _STATE,
    ("PUT", _TASK_STATE + "/{key:path}"): _STATE,
    ("PATCH", _TASK_STATE + "/{key:path}"): _STATE,
    ("DELETE", _TASK_STATE + "/{key:path}"): _STATE,
    ("GET", "/api/v2/connections/enqueue-test"): _TESTS,
    ("POST", "/api/v2/connections/enqueue-test"): _TESTS,
    ("POST", "/api/v2/connections/test"): _TESTS,
    ("POST", "/api/v2/connections/defaults"): "this server makes no connections of its own: create those you need",
    ("PATCH", "/api/v2/dags"): "its DAGs are never paused, and run when they are called",
    ("DELETE", "/api/v2/dags/{dag_id}"): _DAGS,
    ("POST", "/api/v2/dags/{dag_id}/favorite"): _FAVORITES,
    ("POST", "/api/v2/dags/{dag_id}/unfavorite"): _FAVORITES,
    ("GET", "/api/v2/dags/{dag_id}/dagVersions"): _VERSIONS,
    ("GET", "/api/v2/dags/{dag_id}/dagVersions/{version_number}"): _VERSIONS,
    ("GET", "/api/v2/dagSources/{dag_id}"): "the source of a DAG is the file in the folder (its fileloc)",
    ("GET", "/api/v2/dagStats"): "runs are counted by GET .../dagRuns?state=...&limit=0, in its total_entries",
    ("GET", "/api/v2/dagTags"): "tags stand with their DAGs (GET /api/v2/dags)",
    (
        "GET",
        "/api/v2/dagWarnings",
    ): "what is to be said of a DAG is in its contract (GET /call: warnings, notes, hints)",
    ("PUT", "/api/v2/parseDagFile/{file_token:path}"): "files are parsed when they change, at once",
    ("GET", "/api/v2/eventLogs"): "events of a run are read at GET /call/{dag_id}/{run_id}/events",
    ("GET", "/api/v2/eventLogs/{event_log_id}"): "events of a run are read at GET /call/{dag_id}/{run_id}/events",
    ("GET", "/api/v2/config"): _OF_AIRFLOW,
    ("GET", "/api/v2/config/section/{section}/option/{option}"): _OF_AIRFLOW,
    ("GET", "/api/v2/jobs"): "there are no scheduler, triggerer or executor jobs here: see /api/v2/monitor/health",
    ("GET", "/api/v2/plugins"): _OF_AIRFLOW,
    ("GET", "/api/v2/plugins/importErrors"): _OF_AIRFLOW,
    ("GET", "/api/v2/providers"): _OF_AIRFLOW,
    ("GET", "/api/v2/auth/login"): "there is nobody to log in as while [dagcall] auth is not airflow",
    ("GET", "/api/v2/auth/logout"): "there is nobody to log out while [dagcall] auth is not airflow",
}
"""By method and path, in the order of Airflow's parts. The sentence follows on: dagcall does not support this, since ..."""


def sentence(method: str, path: str, reason: str) -> str:
    """What a caller reads. `path`: as it was asked, or its template."""
    return f"dagcall does not support {method} {path} of Airflow's API: {reason}."


class UnsupportedRoutes(BaseRoute):
    """Stands before the routes with a free part in the same place, which would take `dependencies` for a map index."""

    def __init__(self) -> None:
        self._by_method: dict[str, list[tuple[re.Pattern[str], str]]] = {}
        for (method, path), reason in UNSUPPORTED.items():
            self._by_method.setdefault(method, []).append((re.compile(_expression(path)), reason))

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http" or not scope["path"].startswith("/api/v2/"):
            return Match.NONE, {}
        return (Match.NONE, {}) if self._reason(scope) is None else (Match.FULL, {})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        raise NotSupported(sentence(scope["method"], scope["path"], self._reason(scope) or ""))

    def _reason(self, scope: Scope) -> str | None:
        path = scope["path"]
        for expression, reason in self._by_method.get(scope["method"], ()):
            if expression.fullmatch(path):
                return reason
        return None


def _expression(path: str) -> str:
    return "".join(_parts(path))


def _parts(path: str) -> Iterator[str]:
    for part in re.split(r"(\{\w+(?::path)?\})", path):
        if part.startswith("{"):
            yield ".+" if part.endswith(":path}") else "[^/]+"
        else:
            yield re.escape(part)
