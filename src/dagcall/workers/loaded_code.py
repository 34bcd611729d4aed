"""One version of a DAG file as the pool keeps it: its processes, its idle workers, the jobs that wait for one.

Values only; `pool` is authoritative. It has no process until it is opened, and may lose them all and be opened again.
"""

import asyncio
import math
import os
from dataclasses import dataclass, field
from functools import cached_property

from dagcall.model.plan import DagPlan
from dagcall.workers.aside import SideLane
from dagcall.workers.demand import CpuDemand
from dagcall.workers.file_zygote import FileZygote, LoadedFile
from dagcall.workers.frames import Dependency
from dagcall.workers.job_line import JobLine
from dagcall.workers.triggerers import Triggerer
from dagcall.workers.worker import Worker


@dataclass(eq=False)
class LoadedCode:
    """One version of a file, and its processes while it has any. Implements `base.Code`."""

    loaded: LoadedFile
    zygote: FileZygote | None = None
    opening: "asyncio.Task[LoadedCode] | None" = None
    workers: dict[int, Worker] = field(default_factory=dict)
    idle: list[Worker] = field(default_factory=list)
    waiting: JobLine = field(default_factory=JobLine)
    aside: SideLane | None = None
    triggerer: Triggerer | None = None
    demand: CpuDemand = field(default_factory=lambda: CpuDemand(len(os.sched_getaffinity(0))))
    starting: int = 0
    failures: int = 0
    closing: bool = False
    is_gone: bool = False
    """When its zygote was last asked for, the file had changed."""
    last_used: float = 0.0

    @property
    def path(self) -> str:
        return self.loaded.path

    @property
    def version(self) -> str:
        return self.loaded.version

    @property
    def plans(self) -> dict[str, DagPlan]:
        return self.loaded.plans

    @property
    def errors(self) -> list[tuple[str, str]]:
        return self.loaded.errors

    @property
    def dependencies(self) -> list[Dependency]:
        return self.loaded.dependencies

    @property
    def is_open(self) -> bool:
        return self.zygote is not None

    @property
    def companions(self) -> "list[SideLane | Triggerer]":
        """Its processes beside the workers."""
        return [companion for companion in (self.aside, self.triggerer) if companion is not None]

    @cached_property
    def single_use(self) -> bool:
        return any(plan.isolation == "task" for plan in self.loaded.plans.values())

    @cached_property
    def most_workers(self) -> float:
        said = [plan.most_workers for plan in self.loaded.plans.values() if plan.most_workers is not None]
        return min(said, default=math.inf)

    @property
    def may_have_more(self) -> bool:
        return len(self.workers) + self.starting < self.most_workers


__all__ = ["LoadedCode"]
