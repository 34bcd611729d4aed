"""A task that looks for what is none of its business."""

import os
from pathlib import Path

from airflow.sdk import dag, result, task


@dag(schedule=None)
def pries() -> None:
    @result
    @task
    def look() -> str:
        """Its own environment, and what /proc tells of the processes above it."""
        seen = [repr(dict(os.environ))]
        pid = os.getpid()
        while pid > 1:
            process = Path(f"/proc/{pid}")
            seen += [(process / name).read_bytes().decode(errors="replace") for name in ("cmdline", "environ")]
            if "dagcall: server" in seen[-2]:
                break
            pid = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        return "\n".join(seen)

    look()


pries()
