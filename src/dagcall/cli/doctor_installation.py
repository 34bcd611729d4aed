"""What `dagcall doctor` says of an installation: its Airflow, its configuration, its journal, who is let in.

Reads only. Airflow is asked in a process of its own, which imports it.
"""

import ipaddress
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from urllib.parse import urlsplit, urlunsplit

from dagcall.airflow_cfg import AirflowConfig
from dagcall.cli.version import installed
from dagcall.errors import ConfigError

Finding = tuple[str, str, str]
"""What was looked at, `ok`, `warn` or `fail`, and what was found."""

_CHECK = "dagcall.airflow_bridge.private_names"
_LIMIT = 120.0
"""Seconds for Airflow's import, on a machine that has other things to do."""


def findings() -> Iterator[Finding]:
    if installed("apache-airflow") is not None:
        yield _private_names()
    yield from _configuration()


def _private_names() -> Finding:
    """Whether this Airflow has what dagcall uses of it beyond its public API (docs/versions.md)."""
    check = "private names"
    try:
        done = subprocess.run(
            [sys.executable, "-m", _CHECK], capture_output=True, text=True, timeout=_LIMIT, check=False
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return check, "fail", "Airflow could not be asked for them: `python -m dagcall.airflow_bridge.private_names`"
    if found["missing"]:
        return check, "fail", f"this Airflow does not have {', '.join(found['missing'])}: no server starts with it"
    if found["slower"]:
        return check, "warn", f"slower, for want of what dagcall's shortcuts need: {', '.join(found['slower'])}"
    return check, "ok", f"all {found['checked']} of Airflow's that dagcall uses are as expected"


def _configuration() -> Iterator[Finding]:
    config = AirflowConfig()
    file = config.home / "airflow.cfg"
    yield "airflow.cfg", "ok", str(file) if file.is_file() else f"{file} does not exist: defaults, and the environment"
    try:
        launch = config.launch()
        auth = config.get("dagcall", "auth") or "none"
    except ConfigError as error:
        yield "configuration", "fail", str(error)
        return
    yield "journal", "ok", _journal(launch.journal, str(config.home / "dagcall" / "journal.db"))
    if auth != "none":
        yield "access", "ok", f"[dagcall] auth = {auth}"
    elif _is_loopback(launch.host):
        yield "access", "ok", f"auth = none: whoever can log in to this machine may do everything at {launch.host}"
    else:
        yield "access", "fail", f"auth = none, and host = {launch.host} is no loopback address: no server starts so"


def _journal(configured: str | None, default: str) -> str:
    """Never with the password that its address may have."""
    if configured is None:
        return f"{default} ({'exists' if os.path.exists(default) else 'made by the first start'})"
    parts = urlsplit(configured)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
