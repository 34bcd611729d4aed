"""An Airflow with users, as far as its auth manager needs one: a configuration, passwords, the table of revoked tokens."""

import json
import sqlite3
import time
import uuid
from pathlib import Path
from typing import Any

import jwt

HERE = Path(__file__).parent
SECRET = "a-signing-key-of-these-tests-that-is-long-enough-for-hs512-xxxxxxxxxxxxxxxx"
DATABASE = "canary-metadata.db"
FERNET_KEY = "Y2FuYXJ5LWZlcm5ldC1rZXktb2YtMzItYnl0ZXMhISE="
IN_ENVIRONMENT = {
    "AIRFLOW_CONN_VAULT": "http://me:canary-connection-of-environment@vault.example",
    "AIRFLOW_VAR_API_SECRET": "canary-variable-of-environment",
    "DAGCALL_TOKEN": "canary-client-token",
    "PGPASSWORD": "canary-journal-password",
}
KEPT = {"kept_vault": "canary-connection-that-is-kept", "kept_secret": "canary-variable-that-is-kept"}
"""The password of a Connection, and a Variable, that are put through the API."""
CANARIES = (
    "canary-connection-of-environment",
    "canary-variable-of-environment",
    "canary-client-token",
    "canary-journal-password",
    "canary-metadata",
    *KEPT.values(),
    FERNET_KEY,
    SECRET,
)
ROLES = {"ada": "admin", "opa": "op", "una": "user", "uli": "user", "vic": "viewer"}
"""`una` is the one who may touch some DAGs only (`managers/per_dag.py`)."""
AUDIENCE = "apache-airflow"


def environment(home: Path) -> dict[str, str]:
    """Writes what Airflow reads. The tables of the metadata database are Airflow's, by its migrations; only one is read
    here."""
    database = home / DATABASE
    with sqlite3.connect(database) as connection:
        connection.execute("CREATE TABLE revoked_token (jti VARCHAR(32) PRIMARY KEY, exp TIMESTAMP NOT NULL)")
    passwords = home / "passwords.json"
    passwords.write_text(json.dumps({name: f"pw-of-{name}" for name in ROLES}))
    return {
        "AIRFLOW__DAGCALL__AUTH": "airflow",
        "AIRFLOW__DAGCALL__AUTH_CACHE": "0.2",
        "AIRFLOW__DAGCALL__AUDIT": "all",
        "AIRFLOW__CORE__AUTH_MANAGER": "per_dag.PerDagManager",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{name}:{role}" for name, role in ROLES.items()),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{database}",
        "AIRFLOW__API_AUTH__JWT_SECRET": SECRET,
        "AIRFLOW__CORE__FERNET_KEY": FERNET_KEY,
        **IN_ENVIRONMENT,
        "AIRFLOW__API_AUTH__JWT_ISSUER": "these-tests",
        "AIRFLOW__API_AUTH__JWT_LEEWAY": "0",
    }


def claims(user: str = "ada", role: str | None = None, **changed: Any) -> dict[str, Any]:
    """As Airflow writes them; what is None is left out."""
    now = int(time.time())
    written = {
        "sub": user,
        "role": (role or ROLES.get(user, "admin")).upper(),
        "teams": [],
        "jti": uuid.uuid4().hex,
        "iss": "these-tests",
        "aud": AUDIENCE,
        "nbf": now - 1,
        "iat": now - 1,
        "exp": now + 3600,
    }
    return {name: value for name, value in (written | changed).items() if value is not None}


def token(user: str = "ada", key: str = SECRET, algorithm: str = "HS512", **changed: Any) -> str:
    return jwt.encode(claims(user, **changed), key, algorithm=algorithm, headers={"kid": "not-used"})


def bearer(user: str = "ada", **changed: Any) -> dict[str, str]:
    return {"Authorization": f"Bearer {token(user, **changed)}"}
