"""The compatibility table is complete, and the page written from it is current."""

import importlib
import inspect
import subprocess
import sys
from pathlib import Path

import attrs
import pytest

pytest.importorskip("airflow.sdk")

from airflow.sdk import DAG, BaseOperator
from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS
from airflow.task.trigger_rule import TriggerRule

PROJECT = Path(__file__).parents[3]
table = importlib.import_module("dagcall.airflow_bridge.features")
notes = importlib.import_module("dagcall.airflow_bridge.notes")


def names(section: str) -> list[str]:
    return [feature.name for feature in table.TABLE[section]]


def test_every_argument_of_dag_is_in_it() -> None:
    arguments = {field.name for field in attrs.fields(DAG) if field.init}
    assert set(names("Arguments of DAG and @dag")) == arguments


def test_every_argument_of_an_operator_is_in_it() -> None:
    parameters = inspect.signature(BaseOperator.__init__).parameters.values()
    arguments = {one.name for one in parameters if one.kind is one.KEYWORD_ONLY}
    assert set(names("Arguments of operators, @task and partial")) == arguments


def test_every_name_in_a_context_is_in_it() -> None:
    assert set(names("Names in templates and in a task's context")) == KNOWN_CONTEXT_KEYS


def test_every_trigger_rule_and_decorator_is_in_it() -> None:
    assert {str(rule.value) for rule in TriggerRule} <= set(names("Trigger rules, setup and teardown, branches"))
    listed = " ".join(names("Decorators"))
    from airflow.providers.standard.get_provider_info import get_provider_info

    for decorator in get_provider_info()["task-decorators"]:
        assert decorator["name"] in ("python",) or f"@task.{decorator['name']}" in listed
    for name in ("skip_if", "run_if"):
        assert f"@task.{name}" in listed


def test_names_are_unique_and_rows_have_words() -> None:
    for title, features in table.TABLE.items():
        assert len({feature.name for feature in features}) == len(features), title
        for feature in features:
            if feature.verdict in (table.Verdict.DIFFERS, table.Verdict.IGNORED):
                assert feature.text.endswith("."), feature.name


def test_arguments_that_are_noted_have_words_in_it() -> None:
    ignored = {
        feature.name
        for feature in (*table.DAG_ARGUMENTS, *table.TASK_ARGUMENTS)
        if feature.verdict is table.Verdict.IGNORED
    }
    assert {*notes._IGNORED_OF_DAG, *notes._IGNORED_OF_TASK} <= ignored


def test_page_is_current() -> None:
    script = PROJECT / "scripts" / "compatibility_page.py"
    checked = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
