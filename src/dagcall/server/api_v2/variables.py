"""variables: list, get, post, patch, delete. Values under sensitive names are hidden, as Airflow hides them."""

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from dagcall.coordinator.variables import Variable
from dagcall.journal.store import ItemExists
from dagcall.server.api_v2.bodies import optional_text, read_object, refuse_team, required_text
from dagcall.server.api_v2.query import PAGING, AirflowQuery, invalid, patterns
from dagcall.server.context import Context
from dagcall.server.policy import Caller
from dagcall.server.problems import AirflowError, encode
from dagcall.server.redaction import Redaction

JSON = "application/json"
_LONGEST_KEY = 250
_FIELDS = ("key", "value", "description", "team_name")
SORT_KEYS = {
    "id": lambda variable: variable.number,
    "key": lambda variable: variable.key,
    "description": lambda variable: variable.description,
    "is_encrypted": lambda variable: variable.is_encrypted,
    "team_name": lambda variable: None,
}


async def list_variables(context: Context, request: Request, caller: Caller) -> Response:
    query = AirflowQuery(request, (*PAGING, *patterns("variable_key")), context.coordinator.settings)
    matches = query.text_matcher("variable_key")
    variables = [one for one in await context.coordinator.kept.variables.all() if matches(one.key)]
    page, total = query.page(variables, SORT_KEYS, ("id",))
    document = {"variables": [_document(context, one) for one in page], "total_entries": total}
    return Response(encode(document), media_type=JSON)


async def get_variable(context: Context, request: Request, caller: Caller) -> Response:
    return _answer(context, await _find(context, request))


async def post_variable(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.kept.variables.refuse_changes()
    key, value, description, _ = await _read(context, request)
    try:
        await context.coordinator.kept.variables.put(key, value, description, only_new=True)
    except ItemExists:
        raise AirflowError(409, f"The Variable with key: `{key}` already exists") from None
    return _answer(context, await context.coordinator.kept.variables.get(key), 201)


async def patch_variable(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.kept.variables.refuse_changes()
    mask = AirflowQuery(request, ("update_mask",), context.coordinator.settings).many("update_mask")
    key, value, description, given = await _read(context, request)
    if key != request.path_params["variable_key"]:
        raise AirflowError(400, "Invalid body, key from request body doesn't match uri parameter")
    known = await _find(context, request)
    changes = given & set(mask) if mask else given
    await context.coordinator.kept.variables.put(
        key,
        value if "value" in changes or known.value is None else known.value,
        description if "description" in changes else known.description,
    )
    return _answer(context, await context.coordinator.kept.variables.get(key))


async def delete_variable(context: Context, request: Request, caller: Caller) -> Response:
    context.coordinator.kept.variables.refuse_changes()
    key = request.path_params["variable_key"]
    if not await context.coordinator.kept.variables.remove(key):
        raise _not_found(key)
    return Response(status_code=204)


async def _read(context: Context, request: Request) -> tuple[str, str, str | None, set[str]]:
    """Key, value as it is stored, description, and which fields were given."""
    body = await read_object(request, context.settings.body_limit, _FIELDS)
    key = required_text(body, "key", _LONGEST_KEY)
    if "value" not in body:
        raise invalid("body", "value", "missing", "Field required", {"key": key})
    refuse_team(body)
    value = body["value"]
    return (
        key,
        value if isinstance(value, str) else json.dumps(value, indent=2),
        optional_text(body, "description"),
        set(body),
    )


async def _find(context: Context, request: Request) -> Variable:
    key = request.path_params["variable_key"]
    found = await context.coordinator.kept.variables.get(key)
    if found is None:
        raise _not_found(key)
    return found


def _not_found(key: str) -> AirflowError:
    return AirflowError(404, f"The Variable with key: `{key}` was not found")


def _answer(context: Context, variable: Variable | None, status: int = 200) -> Response:
    if variable is None:  # somebody else removed it meanwhile
        raise AirflowError(404, "The Variable was removed")
    return Response(encode(_document(context, variable)), status, media_type=JSON)


def _document(context: Context, variable: Variable) -> dict[str, Any]:
    return {
        "key": variable.key,
        "value": _shown(variable, Redaction(context.coordinator.settings.get("sensitive_names", ()))),
        "description": variable.description,
        "is_encrypted": variable.is_encrypted,
        "team_name": None,
    }


def _shown(variable: Variable, redaction: Redaction) -> str | None:
    if variable.value is None:
        return None
    try:
        return json.dumps(redaction.redacted(json.loads(variable.value), variable.key))
    except (ValueError, RecursionError):  # a text that is no JSON, or too deep for anybody to read as such
        return str(redaction.redacted(variable.value, variable.key))
