"""The README's table of options is the code's."""

from dataclasses import fields
from pathlib import Path

from dagcall.options import NAMES, Options


def test_the_readme_has_each_option_and_its_default() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    section = readme.partition("in the section `[dagcall]`")[2].partition("\n## ")[0]
    rows = [line.split(" | ") for line in section.splitlines() if line.startswith("| `")]
    shown = {name.strip("| `"): row[1].strip("`") for row in rows for name in row[0].split(", ")}
    assert sorted(shown) == sorted(NAMES)
    for one in fields(Options):
        if one.default is not None:
            assert shown[one.name] == str(one.default), one.name
