"""The options of `[dagcall]`."""

import pytest

from dagcall.errors import ConfigError
from dagcall.options import NAMES, Launch, Options


def test_what_is_not_said_is_the_default() -> None:
    assert Options.read({}) == Options.read(dict.fromkeys(NAMES)) == Options.read({"keep_runs": " "}) == Options()


def test_an_authentication_that_is_not_there_is_no_option() -> None:
    with pytest.raises(ConfigError, match=r"\[dagcall\] auth must be none or airflow or token, not 'tokens'"):
        Launch.read({"auth": "tokens"})


def test_each_kind_of_value() -> None:
    read = Options.read({"keep_runs": "3600", "memoise": "False", "inherit_airflow_limits": "1", "isolation": "task"})
    assert read == Options(keep_runs=3600.0, memoise=False, inherit_airflow_limits=True, isolation="task")


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("keep_runs", "soon", "a number of seconds above 0"),
        ("keep_runs", "0", "a number of seconds above 0"),
        ("keep_runs", "-1", "a number of seconds above 0"),
        ("keep_runs", "nan", "a number of seconds above 0"),
        ("keep_runs", "inf", "a number of seconds above 0"),
        ("memoise", "maybe", "True or False"),
        ("isolation", "cold", "warm or task"),
        ("max_wait", "0", "a number of seconds above 0"),
    ],
)
def test_what_is_no_value_is_refused_by_name(name: str, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[dagcall\] {name} must be {expected}, not '{text}'"):
        Options.read({name: text})
