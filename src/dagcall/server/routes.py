"""The one table of what this server answers. The documentation is made from it; a policy is asked by it."""

from dataclasses import replace

from dagcall.model.survival import DURABILITIES
from dagcall.server import calls, contracts, critical_path, health, metrics, pages, values
from dagcall.server.api_v2.routes import AIRFLOW_ROUTES
from dagcall.server.documented import answer_ref, described, problems, schema_ref
from dagcall.server.policy import Permission
from dagcall.server.requests import LONGEST_TIMEOUT
from dagcall.server.route import Parameter, Route

_NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**9 - 1}
_SECONDS = {"type": "number", "minimum": 0, "maximum": LONGEST_TIMEOUT}

WAIT = Parameter("wait", "Seconds to wait for the outcome; goes before `Prefer: wait=S`.", _SECONDS)
PREFER = Parameter(
    "Prefer",
    "`wait=S`: seconds to wait for the outcome. `respond-async`: answer 202 at once; with `wait`, when S is over.",
    place="header",
)
UNTIL = Parameter(
    "until",
    "Event streams: `outcome` closes after `result` or `failure`.",
    {"type": "string", "enum": ["outcome", "end"]},
)
KEY = Parameter(
    "Idempotency-Key",
    "Equal calls of one caller with one key are one run, running or ended; another body is refused (422).",
    {"type": "string", "minLength": 1, "maxLength": 255},
    "header",
)
LAST_EVENT_ID = Parameter(
    "Last-Event-ID",
    "Event streams: go on after this event.",
    {"type": "string", "pattern": "^[0-9]{0,15}$"},
    "header",
)

_RUN_ANSWERS = {
    "200": answer_ref("Value"),
    "202": answer_ref("Running"),
    "204": answer_ref("NoValue"),
    **problems(404, 406, 409, 422, 500, 503, 504),
}
_OPENAPI = described("An OpenAPI 3.1 document", {"type": "object", "required": ["openapi", "info", "paths"]})
_CALL_TAG = "Call"

_VALUE_PARAMETERS = (
    Parameter("map_index", "Of a mapped task: which instance.", _NUMBER),
    Parameter("part", "Of a value that has references in it: which.", _NUMBER),
    Parameter("Range", "Answer with a part (`bytes=0-99`, `bytes=-100`), or several.", place="header"),
    Parameter("If-Range", "Answer with the whole unless this is still the entity tag.", place="header"),
    Parameter("If-None-Match", "Answer 304 if this is still the entity tag.", place="header"),
)


def _value_routes(path: str, summary: str) -> tuple[Route, Route]:
    """GET, and HEAD: the same without the bytes."""
    answers = {
        "200": answer_ref("Bytes"),
        "206": answer_ref("PartOfBytes"),
        "304": answer_ref("SameBytes"),
        **problems(404, 410, 416, 501),
    }
    description = (
        "Of a result given by reference, the bytes that it promises: as large as its `size`, with its `sha256`, which "
        "is the entity tag too. Of any other, its JSON. The whole, a range of it, or several."
    )
    get = Route(
        "GET",
        path,
        Permission.RESULT_READ,
        values.value,
        summary,
        _CALL_TAG,
        description=description,
        parameters=_VALUE_PARAMETERS,
        answers=answers,
    )
    return get, replace(get, method="HEAD", summary=f"{summary}: the headers")


CALL_ROUTES = (
    Route(
        "POST",
        "/call/{dag_id}",
        Permission.DAG_CALL,
        calls.call,
        "Call a DAG and wait for its result",
        _CALL_TAG,
        description=(
            "The body holds the params. Answered with the value of the result task as soon as that is known, or with "
            "a problem as soon as it has become impossible; 202 when it takes longer than the wait. With Accept: "
            "application/x-ndjson or text/event-stream, answered with the run's events as they happen."
        ),
        parameters=(
            WAIT,
            PREFER,
            KEY,
            Parameter("result", "Answer with this task instead of the designated ones.", repeatable=True),
            Parameter("timeout", "Deadline of the run itself, in seconds.", {**_SECONDS, "exclusiveMinimum": 0}),
            Parameter(
                "run_id",
                "An id of the caller's choice for the run. It must match Airflow's `allowed_run_id_pattern`.",
                {"type": "string", "minLength": 1, "maxLength": 250},
            ),
            Parameter(
                "logical_date",
                "The run's logical date. Only with one do templates have `ds`, `ts`, `data_interval_start` and the like.",
                {"type": "string", "format": "date-time"},
            ),
            Parameter(
                "durability",
                "What the run survives: nothing, the death of the server, or a power cut too; without it what the DAG, "
                "then what the server says.",
                {"type": "string", "enum": list(DURABILITIES)},
            ),
            Parameter(
                "on_disconnect",
                "What becomes of the run when the last one who waits for it goes away before its outcome.",
                {"type": "string", "enum": ["continue", "cancel"], "default": "continue"},
            ),
            UNTIL,
            Parameter(
                "Last-Event-ID",
                "Event streams, with Idempotency-Key only: go on after this event.",
                LAST_EVENT_ID.schema,
                "header",
            ),
        ),
        body={"type": "object", "description": "The params, as GET /call/{dag_id} describes them."},
        answers=_RUN_ANSWERS | problems(429, 501),
    ),
    Route(
        "GET",
        "/call/{dag_id}",
        Permission.DAG_READ,
        contracts.describe,
        "How a DAG is called: params, result tasks, an example",
        _CALL_TAG,
        answers={"200": described("How the DAG is called", schema_ref("Contract"))} | problems(404, 406),
    ),
    Route(
        "GET",
        "/call",
        Permission.DAG_READ,
        contracts.list_dags,
        "The DAGs, with what stands in the way of calling them",
        _CALL_TAG,
        answers={"200": described("All DAGs", schema_ref("Callables"))} | problems(406),
    ),
    Route(
        "GET",
        "/call/{dag_id}/openapi.json",
        Permission.DAG_READ,
        pages.dag_openapi,
        "How a DAG is called, as OpenAPI",
        _CALL_TAG,
        description="With the JSON Schemas of its params and its result. No run can have this id.",
        answers={"200": _OPENAPI} | problems(404),
    ),
    Route(
        "GET",
        "/call/{dag_id}/{run_id}",
        Permission.RESULT_READ,
        calls.attach,
        "Attach to a run: the same answer as the call's",
        _CALL_TAG,
        description="Waits 0 seconds unless asked to. The header Dagcall-Run-State has the state of the whole run.",
        parameters=(WAIT, PREFER, UNTIL, LAST_EVENT_ID),
        answers=_RUN_ANSWERS,
    ),
    Route(
        "DELETE",
        "/call/{dag_id}/{run_id}",
        Permission.RUN_CANCEL,
        calls.cancel,
        "Cancel a run; its teardowns still run",
        _CALL_TAG,
        description="202, or 200 when it had already ended.",
        answers={"200": answer_ref("Ended"), "202": answer_ref("Running")} | problems(404),
    ),
    Route(
        "GET",
        "/call/{dag_id}/{run_id}/events",
        Permission.RESULT_READ,
        calls.events,
        "A run's events, as NDJSON or Server-Sent Events",
        _CALL_TAG,
        description="204 when there is nothing after Last-Event-ID, and never will be.",
        parameters=(UNTIL, LAST_EVENT_ID),
        answers={"200": answer_ref("Events"), "204": answer_ref("NoValue")} | problems(404, 406),
    ),
    Route(
        "GET",
        "/call/{dag_id}/{run_id}/critical-path",
        Permission.INSTANCE_READ,
        critical_path.show,
        "Where the time to the answer went",
        _CALL_TAG,
        description=(
            "The task instances that the answer waited for, one after the other, and the milliseconds that each of them "
            "waited for a slot (`queue`), for a worker, ran (`task`), waited for the journal, and, after a try that left "
            "something to wait for, for that (`wait`): a retry's delay, a trigger, a person. Before the answer: the way "
            "to the latest event. After a restart of the server the journal's share is not known, and 0."
        ),
        answers={"200": answer_ref("CriticalPath")} | problems(404, 406),
    ),
    *_value_routes("/call/{dag_id}/{run_id}/value", "The bytes of the result"),
    *_value_routes("/call/{dag_id}/{run_id}/value/{task_id}", "The bytes of a task's result"),
)

_HEALTH = {
    "type": "object",
    "required": ["ready", "reasons"],
    "properties": {"ready": {"type": "boolean"}, "reasons": {"type": "array", "items": {"type": "string"}}},
}

PAGE_ROUTES = (
    Route(
        "GET",
        "/health/live",
        Permission.NONE,
        health.live,
        "Does the server's event loop answer?",
        "Server",
        needs_dags=False,
        answers={"200": described("It does", {"type": "object", "properties": {"live": {"const": True}}})},
    ),
    Route(
        "GET",
        "/health/ready",
        Permission.NONE,
        health.ready,
        "Would a call be taken now, and if not, why not?",
        "Server",
        needs_dags=False,
        answers={"200": described("It would", _HEALTH), "503": described("It would not", _HEALTH)},
    ),
    Route(
        "GET",
        "/metrics",
        Permission.METRICS_READ,
        metrics.metrics,
        "What this server counts and measures, for Prometheus",
        "Server",
        description="Labels are DAG ids and words of the code; `docs/observability.md` has the names.",
        needs_dags=False,
        answers={"200": described("Prometheus' text format", {"type": "string"}, ("text/plain",))},
    ),
    Route(
        "GET",
        "/",
        Permission.NONE,
        pages.root,
        "Leads to the documentation",
        "Server",
        needs_dags=False,
        answers={"307": described("The documentation is at /docs", always=("Location",))},
    ),
    Route(
        "GET",
        "/docs",
        Permission.NONE,
        pages.docs,
        "This documentation, for reading",
        "Server",
        needs_dags=False,
        answers={"200": described("A page without scripts", {"type": "string"}, ("text/html",))},
    ),
    Route(
        "GET",
        "/openapi.json",
        Permission.NONE,
        pages.openapi,
        "This documentation, as OpenAPI",
        "Server",
        description="With the DAGs that can be called, for who may see them.",
        needs_dags=False,
        answers={"200": _OPENAPI},
    ),
)

TABLE: tuple[Route, ...] = (*CALL_ROUTES, *AIRFLOW_ROUTES, *PAGE_ROUTES)
