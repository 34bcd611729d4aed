"""The package's public face."""

import tomllib
from pathlib import Path

import pytest

import dagcall
from dagcall.emit import set_hook
from dagcall.reject import Reject

ROOT = Path(dagcall.__file__).parents[2]


def test_all_is_sorted_and_complete() -> None:
    assert sorted(dagcall.__all__) == dagcall.__all__
    lazy_elsewhere = {"Engine"}  # needs the server extra
    for name in set(dagcall.__all__) - lazy_elsewhere:
        assert getattr(dagcall, name) is not None
    assert set(dagcall.__all__) <= set(dir(dagcall))


def test_unknown_attributes_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="nothing_here"):
        _ = dagcall.nothing_here  # type: ignore[attr-defined]


def test_the_version_is_that_of_the_project() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"] == dagcall.__version__


def test_emit_does_nothing_until_a_runtime_listens() -> None:
    dagcall.emit("lost")
    heard: list[object] = []
    set_hook(heard.append)
    try:
        dagcall.emit("kept")
    finally:
        set_hook(None)
    dagcall.emit("lost again")
    assert heard == ["kept"]


def test_a_rejection_takes_only_statuses_about_the_callers_input() -> None:
    assert str(Reject(status=404, detail="no such hotel")) == "no such hotel"
    with pytest.raises(ValueError, match="404, 409, 422"):
        Reject(status=500)


def test_reject_is_what_airflow_does_not_retry() -> None:
    exceptions = pytest.importorskip("airflow.sdk.exceptions")
    assert issubclass(dagcall.Reject, exceptions.AirflowFailException)
    assert issubclass(dagcall.Reject, Reject)
