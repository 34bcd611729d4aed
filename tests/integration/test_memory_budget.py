"""How much memory there is: what the server is told, or what its container may use."""

import os
from pathlib import Path

import pytest

from dagcall.workers.memory import budget, private

MB = 1 << 20


def group(folder: Path, **files: object) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(f"{text}\n")


def test_nothing_is_watched_where_there_is_no_limit(tmp_path: Path) -> None:
    group(tmp_path / "a", memory__max="max", memory__current=5)
    group(tmp_path / "memory" / "b", memory__limit_in_bytes=9223372036854771712)
    assert budget(None, tmp_path, "0::/a\n4:memory:/b\n") is None
    assert budget(None, tmp_path, "0::/gone\n4:cpu:/\n") is None


def test_the_narrowest_limit_of_the_groups_above(tmp_path: Path) -> None:
    group(tmp_path / "pod", memory__max=500 * MB, memory__current=300 * MB, memory__stat="anon 1\ninactive_file 100")
    group(tmp_path / "pod" / "container", memory__max=900 * MB, memory__current=200 * MB)
    found = budget(None, tmp_path, "0::/pod/container\n")
    assert found is not None
    assert (found.limit, found.used()) == (500 * MB, 300 * MB - 100)


def test_version_1_of_cgroups(tmp_path: Path) -> None:
    files = {"memory__limit_in_bytes": 400 * MB, "memory__usage_in_bytes": 50 * MB}
    group(tmp_path / "memory" / "c", memory__stat="total_inactive_file 7", **files)
    found = budget(None, tmp_path, "4:memory:/c\n0::/\n")
    assert found is not None
    assert (found.limit, found.used()) == (400 * MB, 50 * MB - 7)


@pytest.mark.parametrize(("told", "limit"), [(100 * MB, 100 * MB), (900 * MB, 400 * MB)])
def test_what_the_server_is_told_goes_before_a_wider_container(tmp_path: Path, told: int, limit: int) -> None:
    group(tmp_path / "c", memory__max=400 * MB, memory__current=1)
    found = budget(told, tmp_path, "0::/c\n")
    assert found is not None
    assert found.limit == limit
    assert found.used() > 0


def test_a_process_that_is_gone_uses_nothing() -> None:
    assert private(os.getpid()) > MB
    assert private(2**22 - 1) == 0
