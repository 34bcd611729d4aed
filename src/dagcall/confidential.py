"""Settings of Airflow that only the Airflow side and the server are told, never a process that runs DAG files.

The metadata database's address, the keys that sign tokens and sessions, and the brokers of other executors. What DAG
files may need stays: the Fernet key, a secrets backend's arguments, handlers of logs and mail.
"""

from collections.abc import Iterator, Mapping

from dagcall.options import SENSITIVE

SECTIONS = ("database", "api_auth", "celery", "celery_broker_transport_options", "keycloak_auth_manager")
"""All of it."""
OPTIONS = (
    ("core", "sql_alchemy_conn"),
    ("core", "simple_auth_manager_passwords_file"),
    ("core", "internal_api_secret_key"),
    ("api", "secret_key"),
    ("webserver", "secret_key"),
    *(("dagcall", name) for name in sorted(SENSITIVE)),
)
DATABASE = "airflow-db-not-allowed:///"
"""What stock Airflow shows to tasks in place of the database's address."""
DATABASE_NAMES = ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__SQL_ALCHEMY_CONN")
INSTEAD = {
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": "sqlite:////airflow-db-not-allowed",
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_ASYNC": "sqlite+aiosqlite:////airflow-db-not-allowed",
    # Airflow masks this one, and says on standard output that it masks no text as short as `{}`.
    "AIRFLOW__DATABASE__SQL_ALCHEMY_ENGINE_ARGS": "{     }",
    "AIRFLOW__API_AUTH__JWT_SECRET": "",
    "AIRFLOW__API__SECRET_KEY": "",
}
"""What Airflow reads while it is imported, before its configuration can be emptied: the environment goes before files,
commands and backends, so that none of them is even asked. Its engines need addresses whose drivers are there."""
FORMS = ("", "_cmd", "_secret")
"""Airflow's ways to give an option: itself, a command, a name in the secrets backend."""
OURS = ("DAGCALL_TOKEN", "PGPASSWORD", "PGPASSFILE")
"""The server's own: as whom its machine's clients speak, and what opens its journal."""

_PREFIXES = tuple(f"AIRFLOW__{section.upper()}__" for section in SECTIONS)
_NAMES = frozenset(
    (*OURS, *(f"AIRFLOW__{section}__{option}{form}".upper() for section, option in OPTIONS for form in FORMS))
)


def is_confidential(name: str) -> bool:
    """Of a variable of the environment."""
    return name in _NAMES or name.startswith(_PREFIXES)


def without(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment of processes below the root zygote."""
    return {name: value for name, value in environment.items() if not is_confidential(name)} | INSTEAD


def options_of(section: str, names: list[str]) -> Iterator[str]:
    """Those of a section, by their names in a configuration file, that are confidential, in any form."""
    for name in names:
        if section in SECTIONS or any(
            (section, name) == (where, what + form) for where, what in OPTIONS for form in FORMS
        ):
            yield name
