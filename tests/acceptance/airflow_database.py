"""A metadata database of a stock Airflow in an SQLite file, and what an operator of that Airflow does with it."""

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

KEY = Fernet.generate_key().decode()


class AirflowDatabase:
    """`environment`: of everybody who uses it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.environment = {
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{path}",
            "AIRFLOW__CORE__FERNET_KEY": KEY,
            "AIRFLOW__DAGCALL__AIRFLOW_REFRESH": "0.5",
        }

    def copy(self, path: Path) -> "AirflowDatabase":
        shutil.copy(self.path, path)
        return AirflowDatabase(path)

    def run(self, statement: str, *values: Any) -> None:
        with closing(sqlite3.connect(self.path, timeout=30)) as database, database:
            database.execute(statement, values)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=30)) as database:
            return database.execute(query, values).fetchall()

    def set_variable(self, key: str, value: str) -> None:
        self.run("DELETE FROM variable WHERE key = ?", key)
        self.run("INSERT INTO variable (key, val, is_encrypted) VALUES (?, ?, 1)", key, encrypted(value))

    def add_connection(self, conn_id: str, password: str, **fields: Any) -> None:
        row = {"conn_id": conn_id, "conn_type": "http", "password": encrypted(password), "is_encrypted": 1} | fields
        row = {"is_extra_encrypted": 0} | row
        names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" * len(row))
        self.run(f"INSERT INTO connection ({names}) VALUES ({marks})", *row.values())

    def set_pool(self, name: str, slots: int) -> None:
        self.run("DELETE FROM slot_pool WHERE pool = ?", name)
        self.run(
            "INSERT INTO slot_pool (pool, slots, description, include_deferred) VALUES (?, ?, 'a', 0)", name, slots
        )

    def set_paused(self, dag_id: str, paused: bool) -> None:
        """As if its DAG processor had parsed the DAG, and somebody had paused or unpaused it."""
        self.run("INSERT OR IGNORE INTO dag_bundle (name, active) VALUES ('dags-folder', 1)")
        row = {
            name: {"dag_id": dag_id, "bundle_name": "dags-folder"}.get(name, 0)
            for _, name, _, is_required, default, _ in self.rows("PRAGMA table_info(dag)")
            if is_required and default is None
        } | {"is_paused": int(paused)}
        self.run("DELETE FROM dag WHERE dag_id = ?", dag_id)
        self.run(f"INSERT INTO dag ({', '.join(row)}) VALUES ({', '.join('?' * len(row))})", *row.values())


def encrypted(value: str) -> str:
    return Fernet(KEY.encode()).encrypt(value.encode()).decode()


def migrated(folder: Path) -> AirflowDatabase:
    database = AirflowDatabase(folder / "airflow.db")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AIRFLOW")}
    subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"],
        env=inherited | database.environment | {"AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"},
        check=True,
        capture_output=True,
    )
    return database
