"""Processes that run DAG files know neither the metadata database's address nor a signing key, however these are given."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from ..serving import Server

DAGS = Path(__file__).parent / "dags"
DATABASE = "sqlite:////nowhere/canary-database.db"


def _in_file(home: Path) -> dict[str, str]:
    (home / "airflow.cfg").write_text(
        f'[database]\nsql_alchemy_conn = {DATABASE}\nsql_alchemy_engine_args = {{"a": "canary-args"}}\n'
        "[api_auth]\njwt_secret = canary-jwt\n[api]\nsecret_key = canary-secret\n"
        "[celery]\nbroker_url = redis://:canary-broker@localhost\n"
    )
    return {}


def _in_environment(home: Path) -> dict[str, str]:
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": DATABASE,
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": DATABASE,
        "AIRFLOW__API_AUTH__JWT_SECRET": "canary-jwt",
        "AIRFLOW__API__SECRET_KEY": "canary-secret",
        "AIRFLOW__CELERY__BROKER_URL": "redis://:canary-broker@localhost",
        "AIRFLOW__DAGCALL__JOURNAL": "postgresql://dagcall:canary-journal@localhost/dagcall",
        "PGPASSWORD": "canary-pg",
        "DAGCALL_TOKEN": "canary-token",
    }


def _by_command_in_file(home: Path) -> dict[str, str]:
    (home / "airflow.cfg").write_text(
        f"[database]\nsql_alchemy_conn_cmd = echo {DATABASE}\n"
        "[api_auth]\njwt_secret_cmd = echo canary-jwt\n[api]\nsecret_key_cmd = echo canary-secret\n"
    )
    return {}


def _by_command_in_environment(home: Path) -> dict[str, str]:
    return {
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_CMD": f"echo {DATABASE}",
        "AIRFLOW__API_AUTH__JWT_SECRET_CMD": "echo canary-jwt",
        "AIRFLOW__API__SECRET_KEY_CMD": "echo canary-secret",
    }


def _by_name_in_a_secrets_backend(home: Path) -> dict[str, str]:
    (home / "secrets.json").write_text(json.dumps({}))
    (home / "airflow.cfg").write_text(
        "[database]\nsql_alchemy_conn_secret = canary-name-of-database\n[api_auth]\njwt_secret_secret = canary-name-of-jwt\n"
    )
    return {"AIRFLOW__API__SECRET_KEY_SECRET": "canary-name-of-key"}


@pytest.mark.parametrize(
    "given",
    [
        _in_file,
        _in_environment,
        _by_command_in_file,
        _by_command_in_environment,
        _by_name_in_a_secrets_backend,
    ],
)
def test_nothing_of_it_is_there(given: Callable[[Path], dict[str, str]], tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    server = Server(home, DAGS, workers=1, environment=given(home))
    try:
        server.wait_until_loaded()
        asked = {"ask_airflow": given is _in_file}  # a program that reads the file for itself; slow
        answer = server.http.post("/call/tells_everything", params={"wait": 90}, json=asked)
        assert answer.status_code == 200, answer.text
        told = answer.json()
        assert "canary" not in answer.text, _where(told)
        assert told["configuration"]["core database.sql_alchemy_conn"] == "airflow-db-not-allowed:///"
        assert told["configuration"]["sdk database.sql_alchemy_conn"] == "airflow-db-not-allowed:///"
        assert told["while parsing"]["configuration"]["core database.sql_alchemy_conn"] == "airflow-db-not-allowed:///"
        assert len(told["ancestors"]) >= 3
        assert not server.processes("airflow")
        assert not server.processes("recorder")
        server.stop()
    finally:
        server.end()


def _where(told: object, path: str = "") -> list[str]:
    """Where it was found, without telling all the rest."""
    if isinstance(told, dict):
        return [found for key, value in told.items() for found in _where(value, f"{path}/{key}")]
    at = str(told).find("canary")
    return [f"{path}: ...{str(told)[max(0, at - 40) : at + 40]}"] if at >= 0 else []
