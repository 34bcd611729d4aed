"""What the documentation says of answers: components of the OpenAPI documents, and how rows of the table refer to
them. A status is described once, with every header and problem type that it can carry."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import Any

from dagcall.core.critical_path import PARTS
from dagcall.errors import PROBLEM_TYPES
from dagcall.model.answers import ASSET, REFERENCE, JsonSchema
from dagcall.server.accept import JSON, NDJSON, SSE
from dagcall.server.problems import PROBLEM_JSON

_STRING: JsonSchema = {"type": "string"}
_INTEGER: JsonSchema = {"type": "integer"}
_NEVER_SENT = ("unreachable",)
_AUTHORS_CHOICE = (404, 409, 422)
"""Statuses that a task can choose with `dagcall.Reject`."""


def schema_ref(name: str) -> JsonSchema:
    return {"$ref": f"#/components/schemas/{name}"}


def answer_ref(name: str) -> JsonSchema:
    return {"$ref": f"#/components/responses/{name}"}


def _object(required: str, **properties: object) -> JsonSchema:
    names = required.split()
    return {"type": "object", "properties": {**dict.fromkeys(names, _STRING), **properties}, "required": names}


def _milliseconds(*names: str) -> JsonSchema:
    return _object(" ".join(names), **{name: {"type": "number"} for name in names})


def _list_of(items: JsonSchema) -> JsonSchema:
    return {"type": "array", "items": items}


def _or_null(kind: str) -> JsonSchema:
    return {"type": [kind, "null"]}


_FEATURE = schema_ref("Feature")

SCHEMAS: dict[str, JsonSchema] = {
    "Reference": REFERENCE,
    "Asset": ASSET,
    "Accepted": _object(
        "dag_id run_id state links",
        state={"type": "string", "enum": ["queued", "running", "success", "failed"]},
        links=_object("attach events cancel"),
    ),
    "CriticalPath": _object(
        "dag_id run_id state links ms critical_path",
        state={"type": "string", "enum": ["queued", "running", "success", "failed"]},
        links=_object("attach events cancel"),
        ms=_milliseconds("total", *PARTS),
        critical_path=_list_of(
            _object(
                "task_id map_index try_number ms", map_index=_INTEGER, try_number=_INTEGER, ms=_milliseconds(*PARTS)
            )
        ),
    ),
    "Problem": _object(
        "type title status detail",
        status=_INTEGER,
        instance=_STRING,
        dag_id=_STRING,
        run_id=_STRING,
        task_id=_STRING,
        state=_STRING,
        failed_task=_or_null("string"),
        map_index=_INTEGER,
        try_number=_INTEGER,
        error={"anyOf": [_object("type message"), {"type": "null"}]},
        cause=_list_of(_object("task_id map_index state", map_index=_INTEGER)),
        cleanup={"type": "string", "enum": ["running", "done"]},
        log=_STRING,
        results={"type": "object"},
        errors=_list_of(_object("field reason")),
        features=_list_of(_FEATURE),
        retry_after={"type": "number"},
    ),
    "Feature": _object("task_id feature reason", task_id=_or_null("string")),
    "Callable": _object(
        "dag_id display_name description callable result_tasks tags relative_fileloc href openapi features warnings "
        "notes hints",
        description=_or_null("string"),
        callable={"type": "boolean"},
        result_tasks=_list_of(_STRING),
        tags=_list_of(_STRING),
        features=_list_of(_FEATURE),
        warnings=_list_of(_STRING),
        notes=_list_of(_STRING),
        hints=_list_of(_STRING),
    ),
    "Callables": _object("dags total_entries", dags=_list_of(schema_ref("Callable")), total_entries=_INTEGER),
    "Contract": {
        "allOf": [
            schema_ref("Callable"),
            _object(
                "version params_schema result_schema example",
                params_schema={"type": "object", "description": "JSON Schema of the body of a call."},
                result_schema={
                    "type": ["object", "null"],
                    "description": "JSON Schema of the value that a call gets; null: it gets none (204).",
                },
                example=_object("params curl python cli", params={"type": "object"}),
                doc_md=_or_null("string"),
                dagrun_timeout=_or_null("number"),
                isolation=_STRING,
                coalesce={"type": "boolean"},
                cache=_or_null("number"),
            ),
        ]
    },
    "Event": _object(
        "id event run_id time data",
        id=_INTEGER,
        event={
            "type": "string",
            "enum": ["accepted", "task", "chunk", "rollback", "callback", "xcom", "cancel", "result", "failure", "end"],
        },
        time={"type": "string", "format": "date-time"},
        data={},
    ),
    "AirflowError": _object("detail", detail={"description": "A sentence, or FastAPI's list of what is wrong."}),
}

_HEADERS: dict[str, tuple[str, JsonSchema]] = {
    "Dagcall-Run-Id": ("The run; percent-encoded where it is not ASCII.", _STRING),
    "Dagcall-Outcome": (
        "What is known of the answer. A 5xx without this header is the server's own.",
        {"type": "string", "enum": ["success", "failed", "deadline", "cancelled", "running"]},
    ),
    "Dagcall-Run-State": (
        "The state of the whole run, cleanup included.",
        {"type": "string", "enum": ["queued", "running", "success", "failed"]},
    ),
    "Dagcall-Shared": (
        "Only where another call began this run: why it answers this one.",
        {"type": "string", "enum": ["key", "coalesced", "cache"]},
    ),
    "Location": ("Path of the run: attach here.", _STRING),
    "Preference-Applied": ("Which preferences were followed, such as `wait=30`.", _STRING),
    "Server-Timing": ("Milliseconds, at least of `queue`, `run` and `total`.", _STRING),
    "Retry-After": ("Seconds.", {"type": "integer", "minimum": 1}),
    "Link": ('Assets that the result tasks have updated: `rel="asset"`.', _STRING),
    "Accept-Ranges": ("`bytes`.", _STRING),
    "ETag": ("The SHA-256 of the whole value, in quotes.", _STRING),
    "Repr-Digest": ("The same, as RFC 9530 writes it.", _STRING),
    "Content-Disposition": ("`attachment`, with a file name.", _STRING),
    "Content-Range": ("Which bytes of how many; of several ranges, each part says so.", _STRING),
    "Allow": ("The methods that this path has.", _STRING),
    "WWW-Authenticate": ("`Bearer`.", _STRING),
}

_RUN = ("Dagcall-Run-Id", "Dagcall-Outcome", "Location", "Preference-Applied", "Server-Timing")


def _headers(always: Iterable[str] = (), sometimes: Iterable[str] = ()) -> dict[str, Any]:
    both = dict.fromkeys(always, True) | dict.fromkeys(sometimes, False)
    return {
        name: {"description": _HEADERS[name][0], "required": required, "schema": _HEADERS[name][1]}
        for name, required in both.items()
    }


def described(
    description: str,
    schema: JsonSchema | None = None,
    media_types: Iterable[str] = (JSON,),
    always: Iterable[str] = (),
    sometimes: Iterable[str] = (),
) -> dict[str, Any]:
    """A response object. `schema` None: no body. `always`, `sometimes`: names of headers."""
    answer: dict[str, Any] = {"description": description}
    if headers := _headers(always, sometimes):
        answer["headers"] = headers
    if schema is not None:
        answer["content"] = {media_type: {"schema": schema} for media_type in media_types}
    return answer


STREAMS: dict[str, Any] = {
    NDJSON: {
        "schema": {
            "type": "string",
            "description": "One Event a line; an empty line now and then while nothing happens.",
            "contentMediaType": JSON,
            "contentSchema": schema_ref("Event"),
        }
    },
    SSE: {
        "schema": {
            "type": "string",
            "description": "`id:`, `event:` and `data:` of each Event, `data` being the whole of it.",
            "contentMediaType": JSON,
            "contentSchema": schema_ref("Event"),
        }
    },
}


def value_answer(value: JsonSchema) -> dict[str, Any]:
    """200 of a call: the value, and what may be sent in its stead."""
    schema = {"anyOf": [value, schema_ref("Reference")]} if value and value != REFERENCE else value
    answer = described(
        "The value of the result task, or an object of values by result task",
        schema,
        (JSON,),
        _RUN,
        ("Dagcall-Run-State", "Dagcall-Shared", "Link"),
    )
    answer["content"] |= STREAMS
    return answer


_OF_BYTES = (*_RUN, "Dagcall-Run-State", "Accept-Ranges", "ETag", "Repr-Digest", "Content-Disposition")


def _bytes(description: str, media_type: str, *sometimes: str) -> dict[str, Any]:
    return described(description, {}, (media_type,), _OF_BYTES, sometimes)


def _problems(status: int) -> dict[str, Any]:
    """An error of this surface, with the types of problem that have this status."""
    types = [kind().type for slug, kind in PROBLEM_TYPES.items() if kind.status == status and slug not in _NEVER_SENT]
    if status in _AUTHORS_CHOICE:
        types.append(PROBLEM_TYPES["rejected"]().type)
    sometimes = (
        [*_RUN, "Dagcall-Run-State", "Dagcall-Shared"] if status in (404, 409, 410, 422, 500, 501, 503, 504) else []
    )
    sometimes += [*_OF_BYTES, "Content-Range"] if status == 416 else []
    sometimes += {401: ["WWW-Authenticate"], 405: ["Allow"], 429: ["Retry-After"], 503: ["Retry-After"]}.get(status, [])
    schema = {"allOf": [schema_ref("Problem"), {"properties": {"type": {"enum": sorted(set(types))}}}]}
    return described(HTTPStatus(status).phrase, schema, (PROBLEM_JSON,), (), sometimes)


PROBLEM_STATUSES = (400, 401, 403, 404, 405, 406, 409, 410, 413, 415, 416, 421, 422, 429, 500, 501, 503, 504)

RESPONSES: dict[str, Any] = {
    "Value": value_answer({}),
    "NoValue": described(
        "The run has succeeded and has no value; or, of a stream, there is nothing after Last-Event-ID",
        None,
        (),
        _RUN,
        ("Dagcall-Run-State", "Dagcall-Shared"),
    ),
    "Running": described(
        "Not finished within the wait: where to go on",
        schema_ref("Accepted"),
        (JSON,),
        (*_RUN, "Retry-After"),
        ("Dagcall-Run-State", "Dagcall-Shared"),
    ),
    "Ended": described(
        "The run had ended already",
        schema_ref("Accepted"),
        (JSON,),
        (*_RUN, "Dagcall-Run-State"),
    ),
    "CriticalPath": described(
        "The run, and what its answer waited for",
        schema_ref("CriticalPath"),
        (JSON,),
        (*_RUN, "Dagcall-Run-State"),
    ),
    "Bytes": _bytes("The value", "*/*"),
    "PartOfBytes": _bytes("The range asked for, or several", "*/*", "Content-Range"),
    "SameBytes": described("The value is the one that the client has", None, (), _OF_BYTES),
    "Events": {
        "description": "The run's events",
        "headers": _headers(_RUN, ("Dagcall-Run-State", "Dagcall-Shared")),
        "content": STREAMS,
    },
    **{f"Problem{status}": _problems(status) for status in PROBLEM_STATUSES},
    "AirflowError": described(
        "As in Airflow's own API", schema_ref("AirflowError"), (JSON,), (), ("Retry-After", "WWW-Authenticate", "Allow")
    ),
}


def problems(*statuses: int) -> dict[str, Any]:
    """Answers of a route of `/call`, by status."""
    return {str(status): answer_ref(f"Problem{status}") for status in statuses}


def airflow_errors(*statuses: int) -> dict[str, Any]:
    return {str(status): answer_ref("AirflowError") for status in statuses}
