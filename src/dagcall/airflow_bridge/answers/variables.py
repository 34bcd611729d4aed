"""Variables and Connections. Asked after the environment and the secrets backends, which the Task SDK searches first.

Also answered while a DAG file is parsed: what it saw is noted then, so that the file is parsed again when that changes.
"""

from typing import Any

from airflow.sdk.exceptions import ErrorType
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.conversation import Asker, Handler


def _variable(talk: Asker, msg: sdk.GetVariable) -> Any:
    value, mark = talk.ask("variable", msg.key) or (None, "")
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
    fields, mark = talk.ask("connection", msg.conn_id) or (None, "")
    talk.note(f"connection:{msg.conn_id}", mark)
    if fields is None:
        return sdk.ErrorResponse(error=ErrorType.CONNECTION_NOT_FOUND, detail={"conn_id": msg.conn_id})
    return sdk.ConnectionResult(**fields)


HANDLERS: dict[type, Handler] = {
    sdk.GetVariable: _variable,
    sdk.PutVariable: _put_variable,
    sdk.DeleteVariable: _delete_variable,
    sdk.GetVariableKeys: _variable_keys,
    sdk.GetConnection: _connection,
}
