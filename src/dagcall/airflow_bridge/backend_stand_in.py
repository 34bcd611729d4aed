"""In place of the secrets backend that Airflow is configured with, in processes that run DAG files: one that asks.

The Task SDK searches it first, as it would the real one, so the order is stock Airflow's: backend, environment, then what
Airflow's API server would find. The real backend is in the Airflow side (`secrets.from_backend`): one client of a vault for
all workers, which is not forked and whose credentials no DAG file's process has to use.
"""

from typing import Any

from airflow.sdk.bases.secrets_backend import BaseSecretsBackend
from airflow.sdk.execution_time import comms as sdk

from dagcall.airflow_bridge.answers.variables import FromBackend
from dagcall.airflow_bridge.settings import has_secrets_backend


class AskedBackend(BaseSecretsBackend):
    """Returns None for what the backend does not have, and while it cannot be asked: then, if nobody else has it either,
    the answer is an error (`answers.variables`)."""

    def get_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        return _connection(_comms().send(FromBackend("connection", conn_id)))

    def get_variable(self, key: str, team_name: str | None = None) -> Any:
        return _value(_comms().send(FromBackend("variable", key)))

    async def aget_connection(self, conn_id: str, team_name: str | None = None) -> Any:
        return _connection(await _comms().asend(FromBackend("connection", conn_id)))

    async def aget_variable(self, key: str, team_name: str | None = None) -> Any:
        return _value(await _comms().asend(FromBackend("variable", key)))


def install() -> None:
    """Once, in the root zygote."""
    if not has_secrets_backend():
        return
    from airflow.sdk import configuration

    configuration.get_custom_secret_backend = lambda worker_mode=False: AskedBackend()
    configuration.clear_secrets_backends_cache()


def _comms() -> Any:
    from airflow.sdk.execution_time import task_runner

    return task_runner.SUPERVISOR_COMMS


def _connection(answer: sdk.ConnectionResult | None) -> Any:
    from airflow.sdk.execution_time.context import _process_connection_result_conn

    return None if answer is None else _process_connection_result_conn(answer)


def _value(answer: sdk.VariableResult | None) -> Any:
    return None if answer is None else answer.value
