"""Request bodies as Airflow takes them: strict, with FastAPI's errors."""

from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request

from dagcall.errors import NotSupported
from dagcall.journal.store import LAST
from dagcall.server.api_v2.query import invalid, parsed_integer
from dagcall.server.problems import AirflowError
from dagcall.server.requests import decode_json, read_body
from dagcall.server.times import is_naive, parse_time


@dataclass(frozen=True)
class Trigger:
    """`TriggerDAGRunPostBody`. Times: seconds since the epoch."""

    dag_run_id: str | None
    logical_date: float | None
    run_after: float | None
    note: str | None
    conf: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class NewAssetEvent:
    """`CreateAssetEventsBody`."""

    asset_id: int
    extra: dict[str, Any]
    partition_key: str | None


@dataclass(frozen=True)
class Patch:
    """`DAGRunPatchBody`."""

    state: str | None
    note: str | None
    note_given: bool


@dataclass(frozen=True)
class InstancePatch:
    """`PatchTaskInstanceBody`."""

    note: str | None
    note_given: bool
    state_given: bool


SOON = 1.0
"""Seconds. How far `run_after` may lie ahead and still mean now: clocks of callers differ."""
_ID_LENGTH = 250
_NOTE_LENGTH = 1000
_NEW_STATES = ["success", "failed", "skipped"]
_TOO_LARGE = 1 << 63
"""What the journal's store takes no integer from."""


@dataclass(frozen=True)
class Answer:
    """`UpdateHITLDetailPayload`."""

    chosen_options: list[str]
    params_input: dict[str, Any]


_TRIGGER_FIELDS = (
    "dag_run_id",
    "data_interval_start",
    "data_interval_end",
    "logical_date",
    "run_after",
    "conf",
    "note",
    "partition_key",
)


async def read_trigger(request: Request, limit: int) -> Trigger:
    body = await read_object(request, limit, _TRIGGER_FIELDS)
    if "logical_date" not in body:
        raise invalid("body", "logical_date", "missing", "Field required", body)
    return _trigger(body)


async def read_materialize(request: Request, limit: int) -> Trigger:
    """`MaterializeAssetBody`; there need be none."""
    return _trigger(await read_object(request, limit, _TRIGGER_FIELDS, optional=True))


async def read_asset_event(request: Request, limit: int) -> NewAssetEvent:
    body = await read_object(request, limit, ("asset_id", "partition_key", "extra", "access_control"))
    if "asset_id" not in body:
        raise invalid("body", "asset_id", "missing", "Field required", body)
    asset_id = integer(body, "asset_id")
    extra = body.get("extra", {})
    if not isinstance(extra, dict):
        raise invalid("body", "extra", "dict_type", "Input should be a valid dictionary", extra)
    partition_key = stored_text(body, "partition_key")
    if partition_key is not None and not partition_key.strip():
        raise invalid(
            "body", "partition_key", "string_pattern_mismatch", "String should match pattern '\\S'", partition_key
        )
    if partition_key is not None and len(partition_key) > _ID_LENGTH:
        message = f"String should have at most {_ID_LENGTH} characters"
        raise invalid("body", "partition_key", "string_too_long", message, partition_key)
    if not isinstance(body.get("access_control"), dict | None):  # of teams, which Airflow has off by default
        raise invalid(
            "body", "access_control", "dict_type", "Input should be a valid dictionary", body["access_control"]
        )
    return NewAssetEvent(asset_id, extra, partition_key)


def _trigger(body: dict[str, Any]) -> Trigger:
    for name in ("data_interval_start", "data_interval_end", "partition_key"):
        if body.get(name) is not None:
            raise NotSupported(
                f"dagcall does not support {name}: a run's data interval follows from its logical date, and it has no "
                "partition."
            )
    conf = body.get("conf")
    if not isinstance(conf, dict | None):
        raise invalid("body", "conf", "dict_type", "Input should be a valid dictionary", conf)
    return Trigger(
        dag_run_id=stored_text(body, "dag_run_id"),
        logical_date=_time(body, "logical_date", aware=True),
        run_after=_time(body, "run_after", aware=False),
        note=stored_text(body, "note"),
        conf=conf or {},
    )


async def read_patch(request: Request, limit: int) -> Patch:
    body = await read_object(request, limit, ("state", "note"))
    state = optional_text(body, "state")
    if state not in (None, "queued", "success", "failed"):
        raise invalid("body", "state", "enum", "Input should be 'queued', 'success' or 'failed'", state)
    return Patch(state, _note(body), "note" in body)


async def read_instance_patch(request: Request, limit: int) -> InstancePatch:
    flags = ("include_upstream", "include_downstream", "include_future", "include_past")
    body = await read_object(request, limit, ("new_state", "note", *flags))
    if "new_state" in body:
        state = optional_text(body, "new_state")
        if state is None:
            raise invalid("body", "new_state", "value_error", "Value error, 'new_state' should not be empty", state)
        if state.lower() not in _NEW_STATES:
            message = f"Value error, '{state.lower()}' is not one of {_NEW_STATES}"
            raise invalid("body", "new_state", "value_error", message, state)
    for name in flags:
        if not isinstance(body.get(name, False), bool):
            raise invalid("body", name, "bool_type", "Input should be a valid boolean", body[name])
    return InstancePatch(_note(body), "note" in body, "new_state" in body)


def _note(body: dict[str, Any]) -> str | None:
    note = stored_text(body, "note")
    if note is not None and len(note) > _NOTE_LENGTH:
        message = f"String should have at most {_NOTE_LENGTH} characters"
        raise invalid("body", "note", "string_too_long", message, note)
    return note


async def read_answer(request: Request, limit: int) -> Answer:
    body = await read_object(request, limit, None)
    if "chosen_options" not in body:
        raise invalid("body", "chosen_options", "missing", "Field required", body)
    chosen, params_input = body["chosen_options"], body.get("params_input", {})
    if not isinstance(chosen, list):
        raise invalid("body", "chosen_options", "list_type", "Input should be a valid list", chosen)
    for option in chosen:
        if not isinstance(option, str):
            raise invalid("body", "chosen_options", "string_type", "Input should be a valid string", option)
    if not chosen:
        message = "List should have at least 1 item after validation, not 0"
        raise invalid("body", "chosen_options", "too_short", message, chosen)
    if not isinstance(params_input, dict):
        raise invalid("body", "params_input", "mapping_type", "Input should be a valid mapping", params_input)
    return Answer(chosen, params_input)


async def read_object(
    request: Request, limit: int, known: tuple[str, ...] | None, *, optional: bool = False
) -> dict[str, Any]:
    """A body that is an object with no fields but the known ones (None: others are ignored); where it is `optional`,
    there need be none."""
    raw = await read_body(request, limit)
    if optional and raw in (b"", b"null"):
        return {}
    if not raw:
        raise AirflowError(422, [{"type": "missing", "loc": ["body"], "msg": "Field required", "input": None}])
    body = decode_json(raw)
    if not isinstance(body, dict):
        message = "Input should be a valid dictionary or object to extract fields from"
        raise AirflowError(422, [{"type": "model_attributes_type", "loc": ["body"], "msg": message, "input": body}])
    for name in body:
        if known is not None and name not in known:
            raise invalid("body", name, "extra_forbidden", "Extra inputs are not permitted", body[name])
    return body


def integer(body: dict[str, Any], name: str) -> int:
    """A number that is whole, or the text of one: `3.0` is, as in Airflow; true and false are none."""
    value = body[name]
    if isinstance(value, str):
        return parsed_integer("body", name, value, None)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise invalid("body", name, "int_type", "Input should be a valid integer", value)
    if int(value) != value:
        message = "Input should be a valid integer, got a number with a fractional part"
        raise invalid("body", name, "int_from_float", message, value)
    if abs(value) >= _TOO_LARGE:
        raise invalid("body", name, "int_parsing_size", "Unable to parse input as an integer, exceeded size", value)
    return int(value)


def optional_text(body: dict[str, Any], name: str) -> str | None:
    value = body.get(name)
    if not isinstance(value, str | None):
        raise invalid("body", name, "string_type", "Input should be a valid string", value)
    return value


def stored_text(body: dict[str, Any], name: str) -> str | None:
    """One that the journal keeps as text, by which it may be looked for: not all that JSON has can be."""
    value = optional_text(body, name)
    if value is not None and ("\0" in value or LAST in value):
        message = "Value error, a text with NUL or U+10FFFF cannot be stored"
        raise invalid("body", name, "value_error", message, value)
    return value


def required_text(body: dict[str, Any], name: str, longest: int | None = None) -> str:
    if name not in body:
        raise invalid("body", name, "missing", "Field required", body)
    value = stored_text(body, name)
    if value is None:
        raise invalid("body", name, "string_type", "Input should be a valid string", value)
    if longest is not None and len(value) > longest:
        raise invalid("body", name, "string_too_long", f"String should have at most {longest} characters", value)
    return value


def refuse_team(body: dict[str, Any]) -> None:
    """There is one team here, as in an Airflow without `[core] multi_team`."""
    if optional_text(body, "team_name") is not None:
        message = "Value error, team_name cannot be set when multi_team mode is disabled."
        raise invalid("body", "team_name", "value_error", message, body["team_name"])


def _time(body: dict[str, Any], name: str, *, aware: bool) -> float | None:
    text = optional_text(body, name)
    if text is None:
        return None
    try:
        if aware and is_naive(text):
            raise invalid("body", name, "timezone_aware", "Input should have timezone info", text)
        return parse_time(text)
    except (ValueError, OverflowError) as error:
        raise invalid("body", name, "datetime_parsing", f"Input should be a valid datetime, {error}", text) from None
