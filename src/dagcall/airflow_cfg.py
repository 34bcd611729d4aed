"""Airflow's configuration for processes that have no Airflow: the server before it starts one, and client commands.

Guarantees Airflow's own order for a text: `AIRFLOW__SECTION__KEY`, its `_CMD` and `_SECRET`, then `key`, `key_cmd` and
`key_secret` of `airflow.cfg`; `~` and `$NAME` are expanded. As in Airflow, the last two forms are for sensitive options
only. Reading takes no import of Airflow, which is a second; only a `_SECRET`, which its secrets backends answer, is
asked of a child process.

Refuses to go on without what was configured: a command that fails, an `airflow.cfg` that cannot be parsed.
"""

import configparser
import json
import os
import shlex
import subprocess
import sys
from functools import cached_property
from pathlib import Path

from dagcall.errors import ConfigError
from dagcall.options import SENSITIVE, Launch, described

ASKED = "dagcall.airflow_bridge.one_option"
"""The program that prints an option as Airflow has it."""

_LAUNCH = tuple(one.name for one in described() if one.name in Launch.__dataclass_fields__)


class AirflowConfig:
    """The configuration that this process's environment leads to."""

    def launch(self) -> Launch:
        """The options of `[dagcall]` that are needed before there is an Airflow. Raises `ConfigError`."""
        return Launch.read({name: self.get("dagcall", name, sensitive=name in SENSITIVE) for name in _LAUNCH})

    def url(self) -> str:
        """Where clients find the server: `[dagcall] url`, else what `host` and `port` say."""
        launch = self.launch()
        host = f"[{launch.host}]" if ":" in launch.host else launch.host
        return launch.url or f"http://{host}:{launch.port}"

    def dags_folder(self) -> str:
        """`[core] dags_folder`."""
        return self.get("core", "dags_folder") or str(self.home / "dags")

    @property
    def home(self) -> Path:
        """`$AIRFLOW_HOME`, `~/airflow` by default."""
        return Path(_expand(os.environ.get("AIRFLOW_HOME") or "~/airflow")).absolute()

    def get(self, section: str, key: str, *, sensitive: bool = False) -> str | None:
        """The text of an option; None where nobody has set it. Raises `ConfigError`."""
        name = f"AIRFLOW__{section.upper()}__{key.upper()}"
        if name in os.environ:
            return _expand(os.environ[name])
        if sensitive and (command := os.environ.get(f"{name}_CMD")) is not None:
            return self._printed(command, f"{name}_CMD")
        if sensitive and f"{name}_SECRET" in os.environ:
            return self._secret(section, key)
        if not self._file.has_section(section):
            return None
        try:
            text = self._file[section].get(key)
            command = self._file[section].get(f"{key}_cmd")
        except configparser.Error as error:
            raise ConfigError(f"{self._path}: [{section}] {key}: {error}") from None
        if text is not None:
            return _expand(text)
        if sensitive and command is not None:
            return self._printed(command, f"{self._path}: [{section}] {key}_cmd")
        if sensitive and f"{key}_secret" in self._file[section]:
            return self._secret(section, key)
        return None

    @property
    def _path(self) -> Path:
        return Path(_expand(os.environ.get("AIRFLOW_CONFIG") or str(self.home / "airflow.cfg")))

    @cached_property
    def _file(self) -> configparser.ConfigParser:
        found = configparser.ConfigParser()
        found.optionxform = str  # type: ignore[assignment,method-assign] # as Airflow: names keep their case
        try:
            found.read(self._path, encoding="utf-8")
        except (configparser.Error, OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"{self._path} cannot be read: {error}") from None
        return found

    def _printed(self, command: str, where: str) -> str:
        """What a command prints. Neither that nor its complaints are told to anybody: they may hold the secret."""
        try:
            done = subprocess.run(shlex.split(command), capture_output=True, check=True)
        except (OSError, ValueError, subprocess.CalledProcessError) as error:
            code = f"exit code {error.returncode}" if isinstance(error, subprocess.CalledProcessError) else str(error)
            raise ConfigError(f"{where}: the command failed: {code}") from None
        return done.stdout.decode(errors="ignore").strip()

    def _secret(self, section: str, key: str) -> str | None:
        command = [sys.executable, "-m", ASKED, section, key]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            last = (done.stderr.strip().splitlines() or ["no message"])[-1]
            raise ConfigError(f"[{section}] {key}: Airflow's secrets backend did not tell it: {last}")
        told: str | None = json.loads(done.stdout.splitlines()[-1])
        return told


def _expand(text: str) -> str:
    """As Airflow: again and again, until nothing is left to expand."""
    while (expanded := os.path.expanduser(os.path.expandvars(text))) != text:
        text = expanded
    return text
