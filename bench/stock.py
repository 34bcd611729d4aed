"""Stock Airflow as its documentation has one start it: api-server, scheduler with LocalExecutor, dag-processor.

Nothing of dagcall is imported. A call is what a user can write today: trigger a run, then wait for it and its result.
"""

import contextlib
import json
import secrets
import subprocess
import sys
import urllib.request
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from postgres import Postgres
from process import Process, answers, environment, free_port
from sides import DAGS, Answer, load

RESULT_TASKS = {"one_task": "answer", "nine": "answer", "fanout_200": "total", "realistic": "answer"}
"""DAG id to the task whose value is the result."""
ADMIN: Mapping[str, str] = MappingProxyType({"admin": "admin"})
AIRFLOW = [sys.executable, "-m", "airflow"]
ANSWER_LIMIT = 120.0
"""Seconds; its api-server has been seen to need 30 on a machine with other work."""


@dataclass(frozen=True)
class Tuning:
    """`interval`: seconds between two looks of Airflow's `/wait` at the run. `settings`: AIRFLOW__* variables."""

    name: str
    interval: float
    settings: dict[str, str]


DEFAULT = Tuning("stock", 0.1, {})

# bench/README.md has the reason of each.
TUNED = Tuning(
    "tuned",
    0.05,
    {
        "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.05",
        "AIRFLOW__SCHEDULER__MAX_TIS_PER_QUERY": "32",
        "AIRFLOW__SCHEDULER__MAX_DAGRUNS_PER_LOOP_TO_SCHEDULE": "64",
        "AIRFLOW__SCHEDULER__USE_ROW_LEVEL_LOCKING": "False",
        "AIRFLOW__CORE__PARALLELISM": "32",
        "AIRFLOW__CORE__MAX_ACTIVE_TASKS_PER_DAG": "32",
        "AIRFLOW__CORE__MAX_ACTIVE_RUNS_PER_DAG": "64",
        "AIRFLOW__CORE__NUM_DAG_RUNS_TO_RETAIN_RENDERED_FIELDS": "0",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "1",
        "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "600",
        "AIRFLOW__DAG_PROCESSOR__PARSING_PROCESSES": "1",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_PRE_PING": "False",
        "AIRFLOW__API__WORKERS": "2",
    },
)


class Installation:
    """An AIRFLOW_HOME and a metadata database."""

    def __init__(self, folder: Path, messages: Path, users: Mapping[str, str] = ADMIN, *database: str) -> None:
        """`users`: the role of each, in Airflow's simple auth manager. `database`: settings such as `fsync=off`."""
        self.messages = messages
        self.home = folder / "airflow-stock"
        self.home.mkdir()
        self.passwords = {user: secrets.token_hex() for user in users}
        passwords = self.home / "passwords.json"
        passwords.write_text(json.dumps(self.passwords))
        self._postgres = Postgres(messages, *database)
        self.environment = environment(self.home) | {
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{user}:{role}" for user, role in users.items()),
            "AIRFLOW__CORE__DAGS_FOLDER": str(DAGS),
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__API__SECRET_KEY": secrets.token_hex(),
            "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": self._postgres.url,
            "AIRFLOW__DATABASE__SQL_ALCHEMY_POOL_SIZE": "10",
            "AIRFLOW__DATABASE__SQL_ALCHEMY_MAX_OVERFLOW": "20",
        }

    def migrate(self) -> None:
        with open(self.messages / "migrate.txt", "ab") as said:
            done = subprocess.run(
                [*AIRFLOW, "db", "migrate"], env=self.environment, cwd=self.home, stdout=said, stderr=said, timeout=300
            )
        if done.returncode:
            raise SystemExit("airflow db migrate failed")

    def database_cpu(self) -> float:
        """CPU seconds so far."""
        return self._postgres.cpu()

    def stop(self) -> None:
        self._postgres.stop()


class Stock:
    """The components, on a migrated installation. Implements `sides.Side`."""

    def __init__(self, installation: Installation, tuning: Tuning, dag_ids: Collection[str] = RESULT_TASKS) -> None:
        """`dag_ids`: the DAGs of its folder, at most 100."""
        self._installation = installation
        self._dag_ids = frozenset(dag_ids)
        self._interval = tuning.interval
        self._token = ""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.environment = installation.environment | {
            "AIRFLOW__API__BASE_URL": self.url,
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{self.url}/execution/",
            **tuning.settings,
        }

        def start(component: str, *arguments: str) -> Process:
            name, command = f"{tuning.name}-{component}", [*AIRFLOW, component, *arguments]
            return Process(name, command, self.environment, installation.messages, cwd=installation.home)

        self._api_server = start("api-server", "--host", "127.0.0.1", "--port", str(port))
        self._dag_processor = start("dag-processor")
        # Its log server would listen on all interfaces; the api-server reads the logs from the folder that they share.
        self._scheduler = start("scheduler", "--skip-serve-logs")

    def wait_ready(self) -> None:
        """The components are well, and all DAGs known."""
        self._api_server.wait_until(lambda: answers(f"{self.url}/api/v2/version"))
        self._token = self.token_of("admin")
        self._scheduler.wait_until(lambda: self._is_healthy("scheduler"))
        self._dag_processor.wait_until(lambda: self._is_healthy("dag_processor"))
        self._dag_processor.wait_until(self._knows_all_dags)

    def token_of(self, user: str) -> str:
        """Log in."""
        credentials = {"username": user, "password": self._installation.passwords[user]}
        token: str = self.ask("/auth/token", credentials)["access_token"]
        return token

    def _is_healthy(self, component: str) -> bool:
        return bool(self.ask("/api/v2/monitor/health")[component]["status"] == "healthy")

    def _knows_all_dags(self) -> bool:
        return {dag["dag_id"] for dag in self.ask("/api/v2/dags?limit=100")["dags"]} >= self._dag_ids

    def ask(self, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """The answer of the api-server. With a body it is a POST."""
        request = urllib.request.Request(
            self.url + path,
            None if body is None else json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"},
        )
        with urllib.request.urlopen(request, timeout=ANSWER_LIMIT) as response:
            answer: dict[str, Any] = json.load(response)
        return answer

    def run(self, dag_id: str, callers: int, seconds: float) -> Answer:
        how = [self.url, dag_id, RESULT_TASKS[dag_id], str(callers), str(seconds), str(self._interval)]
        return load("stock_load.py", how, seconds, token=self._token)

    def cpu(self) -> dict[str, float]:
        scheduler, tasks = self._scheduler.cpu()
        return {
            "api_server": sum(self._api_server.cpu()),
            "scheduler": scheduler,
            "tasks": tasks,
            "dag_processor": sum(self._dag_processor.cpu()),
            "postgres": self._installation.database_cpu(),
        }

    def stop(self) -> None:
        # Tasks need the API server as long as they run, so it is the last to go.
        with contextlib.ExitStack() as stack:
            for process in (self._api_server, self._dag_processor, self._scheduler):
                stack.callback(process.stop)
