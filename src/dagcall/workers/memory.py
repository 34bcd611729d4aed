"""How much memory there is for this server and all that it has started, and how much of it they use.

The limit is what the server is told, else its container's (cgroup). Without either nothing is watched: the machine's
memory is also others'.
"""

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from dagcall.workers import processes

_GROUPS = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60
"""What version 1 of cgroups says where there is no limit is near the greatest integer."""


@dataclass(frozen=True)
class Budget:
    """`limit`: bytes. `used`: bytes, now; reads files under /proc or /sys."""

    limit: int
    used: Callable[[], int]


def budget(told: int | None, root: Path = _GROUPS, group: str | None = None) -> Budget | None:
    """`told`: bytes that the server may use with all its processes; None: what its container may."""
    container = _of_container(root, _groups() if group is None else group)
    if told is not None and (container is None or told < container.limit):
        return Budget(told, _used_by_family)
    return container


def private(pid: int) -> int:
    """Bytes that would be free without this process: 0 when it is gone."""
    return sum(_rollup(pid, (b"Private_Clean:", b"Private_Dirty:")))


def _used_by_family() -> int:
    """Pages that several processes share are counted once: zygotes and workers have most of theirs in common."""
    return sum(sum(_rollup(pid, (b"Pss:",))) for pid in (os.getpid(), *processes.descendants_of(os.getpid())))


def _rollup(pid: int, names: tuple[bytes, ...]) -> Iterable[int]:
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:
            return [int(line.split()[1]) * 1024 for line in file if line.startswith(names)]
    except OSError:
        return ()


def _groups() -> str:
    return Path("/proc/self/cgroup").read_text()


def _of_container(root: Path, groups: str) -> Budget | None:
    """The narrowest limit of this process's group and those above it."""
    found: list[Budget] = []
    for line in groups.splitlines():
        _, controllers, path = line.split(":", 2)
        if not controllers:
            base, names = root, ("memory.max", "memory.current", "inactive_file")
        elif "memory" in controllers.split(","):
            base, names = root / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
        else:
            continue
        folder = base / path.lstrip("/")
        while folder.is_relative_to(base):
            limit = _number(folder / names[0])
            if limit is not None and limit < _UNLIMITED:
                found.append(Budget(limit, partial(_used_by_group, folder, *names[1:])))
            folder = folder.parent
    return min(found, key=lambda one: one.limit, default=None)


def _used_by_group(folder: Path, usage: str, inactive: str) -> int:
    """Without what the kernel only keeps while nobody needs the memory."""
    used = _number(folder / usage) or 0
    try:
        for line in (folder / "memory.stat").read_text().splitlines():
            name, _, value = line.partition(" ")
            if name == inactive:
                return used - int(value)
    except OSError:
        pass
    return used


def _number(path: Path) -> int | None:
    try:
        text = path.read_text().strip()
    except OSError:
        return None
    return int(text) if text.isdecimal() else None
