"""The project names no package index and no place of the machine that it was made on."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

# Whose index is used is the user's choice (pip's own settings). Written in pieces, so that this file is not one of
# those that name them.
DOTTED = ("pypi org", "pythonhosted org", "registry npmjs org", "registry yarnpkg com", "deb debian org", "ghcr io",
          "archive ubuntu com", "anaconda org", "crates io", "proxy golang org", "repo1 maven org", "docker io")  # fmt: skip
FORBIDDEN = [re.escape(".".join(name.split())) for name in DOTTED] + [
    r"\.\./shar" r"ed\b",
    r"/wor" r"k/",
    r"/tmp/" r"w/",
]
PATTERN = re.compile("|".join(FORBIDDEN))


def test_no_file_names_an_index_or_a_place_outside(texts: Mapping[Path, str]) -> None:
    found = [
        f"{path}:{number}: {line.strip()[:100]}"
        for path, text in texts.items()
        for number, line in enumerate(text.splitlines(), 1)
        if PATTERN.search(line)
    ]
    assert found == []


def test_locks_are_names_and_hashes(root: Path) -> None:
    locks = sorted((root / "requirements").glob("*.txt"))
    assert [lock.name for lock in locks] == ["bootstrap.txt", "dev.txt", "server.txt"]
    pinned = re.compile(r"[a-z0-9-]+==[\w.+!]+( ; .+)? \\")
    hashed = re.compile(r" {4}--hash=sha256:[0-9a-f]{64}( \\)?")
    for lock in locks:
        strange = [
            line for line in lock.read_text().splitlines() if not (pinned.fullmatch(line) or hashed.fullmatch(line))
        ]
        assert strange == [], lock.name


def test_the_browser_is_locked_by_hashes_too(root: Path) -> None:
    lock = json.loads((root / "tests" / "acceptance" / "browser" / "package-lock.json").read_text())
    packages = {name: package for name, package in lock["packages"].items() if name}
    assert packages
    assert [name for name, package in packages.items() if "integrity" not in package or "resolved" in package] == []
