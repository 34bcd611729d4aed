"""When an Airflow's metadata database counts as existing; nothing is made by looking."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from dagcall import metadata_database
from dagcall.airflow_cfg import AirflowConfig
from dagcall.metadata_database import TABLES, judge, shown


def with_tables(path: Path, *tables: str) -> str:
    with closing(sqlite3.connect(path)) as database:
        for table in tables:
            database.execute(f'CREATE TABLE "{table}" (id INTEGER)')
        database.commit()
    return f"sqlite:///{path}"


def test_a_file_counts_when_it_has_airflows_tables(tmp_path: Path) -> None:
    assert judge(with_tables(tmp_path / "a b.db", *TABLES)).exists
    partial = judge(with_tables(tmp_path / "partial.db", *sorted(TABLES - {"variable"})))
    assert not partial.exists
    assert "'variable' is missing: run `airflow db migrate`" in partial.why
    assert not judge(with_tables(tmp_path / "other.db", "something")).exists
    (tmp_path / "text.db").write_text("no database at all, but long enough to have a header")
    assert not judge(f"sqlite:///{tmp_path}/text.db").exists


def test_a_file_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    assert not judge(f"sqlite:///{tmp_path}/absent.db").exists
    assert not judge("sqlite://").exists
    assert list(tmp_path.iterdir()) == []


def test_a_server_counts_unasked_and_is_shown_without_credentials() -> None:
    found = judge("postgresql+psycopg2://user:canary@db.example:5432/airflow?sslmode=require&password=canary")
    assert found.exists
    assert found.where == "postgresql+psycopg2://db.example:5432/airflow"
    assert shown("mysql://u:canary@h/d") == "mysql://h/d"
    assert "canary" not in shown("postgresql://u:canary@h:port/d")
    assert not judge("airflow-db-not-allowed:///").exists


def test_without_configuration_it_is_the_file_in_airflows_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    assert not metadata_database.find(AirflowConfig()).exists
    with_tables(tmp_path / "airflow.db", *TABLES)
    assert metadata_database.find(AirflowConfig()).exists
    monkeypatch.setenv("AIRFLOW__DAGCALL__METADATA_DATABASE", "ignored")
    assert not metadata_database.find(AirflowConfig()).exists
