import re
import tomllib
from pathlib import Path


def test_the_version_has_its_entry(root: Path) -> None:
    version = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    entries = re.findall(r"^## \[(.+?)\] - (?:unreleased|\d{4}-\d\d-\d\d)$", (root / "CHANGELOG.md").read_text(), re.M)
    assert entries[:1] == [version]
