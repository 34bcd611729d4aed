import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def root() -> Path:
    return Path(__file__).parents[2]


@pytest.fixture(scope="session")
def texts(root: Path) -> Mapping[Path, str]:
    """The text files of the project (path from its root: content): committed ones, and new ones that are not ignored."""
    listing = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
    try:
        listed = subprocess.run(listing, cwd=root, capture_output=True, text=True, check=True).stdout.split("\0")
    except (FileNotFoundError, subprocess.CalledProcessError):  # an unpacked archive: what hides is not the project
        listed = [str(path.relative_to(root)) for path in root.rglob("*")]
        listed = [name for name in listed if not any(part.startswith(".") for part in Path(name).parts)]
    found = {}
    for name in listed:
        path = root / name
        if name and path.is_file():
            content = path.read_bytes()
            if b"\0" not in content:
                found[Path(name)] = content.decode()
    return found
