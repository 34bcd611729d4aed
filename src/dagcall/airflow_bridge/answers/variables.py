"""Variables and Connections. Asked after the environment and the secrets backend, which the Task SDK searches first.

Also answered while a DAG file is parsed: what it saw is noted then, so that the file is parsed again when that changes.
"""

from dataclasses import dataclass
from typing import Any

from airflow.sdk.exceptions import AirflowRuntimeError, AirflowSecretsBackendAccessDenied, ErrorType
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.conversation import Asker, Handler


class SecretUnavailable(AirflowSecretsBackendAccessDenied):
    """It is not known whether there is such a Variable or Connection, or what is in it.

    Of all errors the Task SDK passes on only those of this base: any other would be taken for "there is none", and a
    default, or another backend's value, for the answer."""


@dataclass(frozen=True)
class FromBackend:
    """What Airflow's secrets backend has by this name. Asked by `backend_stand_in`, not by the Task SDK."""

    kind: str
    name: str


def _from_backend(talk: Asker, msg: FromBackend) -> Any:
    try:
        found, mark = talk.ask(f"secret_{msg.kind}", msg.name) or (None, "")
    except AirflowRuntimeError as error:
        talk.unread[msg.kind, msg.name] = _sentence(error)
        return None
    talk.unread.pop((msg.kind, msg.name), None)
    if found is None:
        return None
    talk.note(f"{msg.kind}:{msg.name}", mark)
    return sdk.VariableResult(key=msg.name, value=found) if msg.kind == "variable" else sdk.ConnectionResult(**found)


def _variable(talk: Asker, msg: sdk.GetVariable) -> Any:
    value, mark = _asked(talk, "variable", msg.key) or (None, "")
    talk.note(f"variable:{msg.key}", mark)
    if value is None:
        return sdk.ErrorResponse(error=ErrorType.VARIABLE_NOT_FOUND, detail={"key": msg.key})
    return sdk.VariableResult(key=msg.key, value=value)


def _put_variable(talk: Asker, msg: sdk.PutVariable) -> None:
    # As the execution API does with null (airflow/models/variable.py `Variable.set`).
    talk.ask("put_variable", msg.key, str(msg.value), msg.description)


def _delete_variable(talk: Asker, msg: sdk.DeleteVariable) -> Any:
    talk.ask("remove_variable", msg.key)
    return sdk.OKResponse(ok=True)


def _variable_keys(talk: Asker, msg: sdk.GetVariableKeys) -> Any:
    keys, total = talk.ask("variable_keys", msg.prefix, msg.limit, msg.offset)
    return sdk.VariableKeysResult(keys=keys, total_entries=total)


def _connection(talk: Asker, msg: sdk.GetConnection) -> Any:
    fields, mark = _asked(talk, "connection", msg.conn_id) or (None, "")
    talk.note(f"connection:{msg.conn_id}", mark)
    if fields is None:
        return sdk.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id})
    return sdk.ConnectionResult(**fields)


def _asked(talk: Asker, what: str, name: str) -> Any:
    try:
        found = talk.ask(what, name)
    except AirflowRuntimeError as error:
        raise SecretUnavailable(_sentence(error)) from None
    if found is None and (what, name) in talk.unread:
        raise SecretUnavailable(talk.unread[what, name])
    return found


def _sentence(error: AirflowRuntimeError) -> str:
    detail = error.error.detail or {}
    return str(detail.get("message") or error)


HANDLERS: dict[type, Handler] = {
    FromBackend: _from_backend,
    sdk.GetVariable: _variable,
    sdk.PutVariable: _put_variable,
    sdk.DeleteVariable: _delete_variable,
    sdk.GetVariableKeys: _variable_keys,
    sdk.GetConnection: _connection,
}
