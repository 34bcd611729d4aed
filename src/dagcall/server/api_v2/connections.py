"""connections: list, get, post, patch, delete. Passwords and sensitive extras are hidden, as Airflow hides them.

A field that is sent back as it was shown, hidden, keeps its value.
"""

import json
import re
from dataclasses import replace
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.connections import Connection
from dagcall.journal.store import ItemExists
from dagcall.server.api_v2.bodies import integer, optional_text, read_object, refuse_team, required_text
from dagcall.server.api_v2.query import PAGING, AirflowQuery, invalid, patterns
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.redaction import Redaction
from dagcall.server.requests import MAX_DEPTH, is_deeper

JSON = "application/json"
_LONGEST_ID = 200
_ID = re.compile(r"^[\w.-]+$")
_FIELDS = (
    "connection_id",
    "conn_type",
    "description",
    "host",
    "login",
    "schema",
    "port",
    "password",
    "extra",
    "team_name",
)
SORT_KEYS = {
    "id": lambda connection: connection.number,
    "conn_id": lambda connection: connection.conn_id,
    "connection_id": lambda connection: connection.conn_id,
    "conn_type": lambda connection: connection.conn_type,
    "description": lambda connection: connection.description,
    "host": lambda connection: connection.host,
    "port": lambda connection: connection.port,
    "team_name": lambda connection: None,
}


async def list_connections(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(request, (*PAGING, *patterns("connection_id")), context.coordinator.settings)
    matches = query.text_matcher("connection_id")
    connections = [one for one in await context.coordinator.kept.connections.all() if matches(one.conn_id)]
    page, total = query.page(connections, SORT_KEYS, ("id",))
    document = {"connections": [_document(context, one) for one in page], "total_entries": total}
    return Response(encode(document), media_type=JSON)


async def get_connection(context: Context, request: Request, caller: Caller) -> Response:
    return _answer(context, await _find(context, request))


async def post_connection(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.kept.connections.refuse_changes()
    connection, _ = await _read(context, request)
    try:
        await context.coordinator.kept.connections.put(connection, only_new=True)
    except ItemExists as error:
        hidden = {"statement": "hidden", "orig_error": "hidden"}
        raise AirflowError(409, {"reason": "Unique constraint violation", **hidden, "message": str(error)}) from None
    return _answer(context, connection, 201)


async def patch_connection(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.kept.connections.refuse_changes()
    mask = AirflowQuery(request, ("update_mask",), context.coordinator.settings).many("update_mask")
    new, given = await _read(context, request)
    if new.conn_id != request.path_params["connection_id"]:
        raise AirflowError(400, "The connection_id in the request body does not match the URL parameter")
    old = await _find(context, request)
    changes = {name: getattr(new, name) for name in (given & set(mask) if mask else given) - {"team_name"}}
    redaction = _redaction(context)
    if changes.get("password") is not None:
        changes["password"] = redaction.restored(changes["password"], old.password, "password")
    if changes.get("extra") is not None and old.extra is not None:
        changes["extra"] = json.dumps(redaction.restored(json.loads(changes["extra"]), json.loads(old.extra)))
    connection = replace(old, **changes)
    await context.coordinator.kept.connections.put(connection)
    return _answer(context, connection)


async def delete_connection(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.kept.connections.refuse_changes()
    conn_id = request.path_params["connection_id"]
    if not await context.coordinator.kept.connections.remove(conn_id):
        raise _not_found(conn_id)
    return Response(status_code=204)


async def _read(context: Context, request: Request) -> tuple[Connection, set[str]]:
    """The Connection that a body describes, and the names of its fields that were given."""
    body = await read_object(request, context.settings.body_limit, _FIELDS)
    conn_id = required_text(body, "connection_id", _LONGEST_ID)
    if not _ID.fullmatch(conn_id):
        message = f"String should match pattern '{_ID.pattern}'"
        raise invalid("body", "connection_id", "string_pattern_mismatch", message, conn_id)
    refuse_team(body)
    port = None if body.get("port") is None else integer(body, "port")
    connection = Connection(
        conn_id,
        required_text(body, "conn_type"),
        description=optional_text(body, "description"),
        host=optional_text(body, "host"),
        login=optional_text(body, "login"),
        schema=optional_text(body, "schema"),
        port=port,
        password=optional_text(body, "password"),
        extra=_extra(body),
    )
    return connection, set(body) - {"connection_id"}


def _extra(body: dict[str, Any]) -> str | None:
    """Text that is a JSON object. An error does not repeat it: it may hold secrets."""
    text = optional_text(body, "extra")
    if not text:
        return "{}" if text == "" else None
    extra: object = text
    try:
        extra = json.loads(text)
        is_object = isinstance(extra, dict) and not is_deeper(extra, MAX_DEPTH)
    except (ValueError, RecursionError):
        is_object = False
    if not is_object:
        message = "Value error, The `extra` field must be a valid JSON object (e.g., {'key': 'value'})"
        if isinstance(extra, str):
            message += ", but encountered non-JSON in `extra` field"
        raise invalid("body", "extra", "value_error", message, "***")
    return text


async def _find(context: Context, request: Request) -> Connection:
    conn_id = request.path_params["connection_id"]
    found = await context.coordinator.kept.connections.get(conn_id)
    if found is None:
        raise _not_found(conn_id)
    return found


def _not_found(conn_id: str) -> AirflowError:
    return AirflowError(404, f"The Connection with connection_id: `{conn_id}` was not found")


def _redaction(context: Context) -> Redaction:
    return Redaction(context.coordinator.settings.get("sensitive_names", ()))


def _answer(context: Context, connection: Connection, status: int = 200) -> Response:
    return Response(encode(_document(context, connection)), status, media_type=JSON)


def _document(context: Context, connection: Connection) -> dict[str, Any]:
    redaction = _redaction(context)
    extra = connection.extra
    return {
        "connection_id": connection.conn_id,
        "conn_type": connection.conn_type,
        "description": connection.description,
        "host": connection.host,
        "login": connection.login,
        "schema": connection.schema,
        "port": connection.port,
        "password": redaction.redacted(connection.password, "password"),
        "extra": json.dumps(redaction.redacted(json.loads(extra))) if extra else extra,
        "team_name": None,
    }
