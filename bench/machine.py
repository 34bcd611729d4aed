"""What was measured, and on what."""

import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import psutil


def machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "cpu": platform.processor() or platform.machine(),
        "memory_gb": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
        "airflow": importlib.metadata.version("apache-airflow-core"),
        "task_sdk": importlib.metadata.version("apache-airflow-task-sdk"),
        "load_average": [round(load, 2) for load in os.getloadavg()],
    }


def commit() -> str | None:
    """The commit that was measured, `-dirty` when files differ from it; None outside a checkout."""
    git = shutil.which("git")
    if git is None:
        return None
    done = subprocess.run(
        [git, "describe", "--always", "--dirty", "--abbrev=40"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
    )
    return done.stdout.strip() or None
