"""The README's table of options is the code's; so is what Airflow is told of them."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import Field
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from dagcall.cli.main import build_parser
from dagcall.options import NAMES, SENSITIVE, described
from dagcall.provider.get_provider_info import get_provider_info


def row(one: Field[Any]) -> str:
    default = one.metadata["unset"] if one.default is None else f"`{one.default}`"
    return f"| `{one.name}` | {default} | {one.metadata['what']} |"


def test_the_readme_has_each_option_as_the_code_tells_it(texts: Mapping[Path, str]) -> None:
    section = texts[Path("README.md")].partition("in the section `[dagcall]`")[2].partition("\n## ")[0]
    shown = [line for line in section.splitlines() if line.startswith("| `")]
    assert shown == [row(one) for one in described()], "the README's table is this one, line by line"


def test_airflow_is_told_each_option() -> None:
    told = get_provider_info()["config"]["dagcall"]["options"]
    assert tuple(told) == NAMES
    assert {name for name, one in told.items() if one.get("sensitive")} == SENSITIVE
    for one in described():
        assert told[one.name]["default"] == (None if one.default is None else str(one.default))
        assert told[one.name]["description"].strip()
        if one.default is not None:
            assert one.metadata["read"](told[one.name]["default"]) == one.default


def test_every_flag_of_serve_has_an_option() -> None:
    commands = next(one for one in build_parser()._actions if isinstance(one, argparse._SubParsersAction))
    flags = {one.dest for one in commands.choices["serve"]._actions if one.option_strings} - {"help"}
    assert flags
    assert flags <= set(NAMES)


def test_the_provider_is_what_airflow_takes() -> None:
    airflow = pytest.importorskip("airflow")
    schema = json.loads(files(airflow).joinpath("provider_info.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    jsonschema.validate(get_provider_info(), schema)
