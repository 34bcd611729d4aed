"""A command line without process and socket: real commands, real client, a server made of httpx's mock transport."""

import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from dagcall.cli.main import main
from dagcall.cli.terminal import Terminal
from dagcall.errors import NotFound, Problem

Answer = httpx.Response | Problem | Exception | Callable[[httpx.Request], httpx.Response]


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@dataclass
class CommandLine:
    """Runs commands against canned answers, by `METHOD /path`; keeps what was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[httpx.Request] = field(default_factory=list)
    is_terminal: bool = False
    out: str = ""
    err: str = ""

    def __call__(self, *argv: str, stdin: str = "") -> int:
        kind = Screen if self.is_terminal else io.StringIO
        stdout, stderr = kind(), kind()
        terminal = Terminal(io.StringIO(stdin), stdout, stderr, httpx.MockTransport(self._answer))
        try:
            return main(argv, terminal)
        finally:
            self.out, self.err = stdout.getvalue(), stderr.getvalue()

    def accepts(self, dag_id: str, run_id: str, outcome: Answer) -> None:
        """A DAG whose calls are accepted with this id and end with this answer."""
        head = {"Dagcall-Run-Id": run_id}
        self.answers[f"POST /call/{dag_id}"] = httpx.Response(202, json={"run_id": run_id}, headers=head)
        self.answers[f"GET /call/{dag_id}/{run_id}"] = outcome

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers.get(f"{request.method} {request.url.path}", NotFound())
        if isinstance(answer, Problem):
            headers = {} if answer.retry_after is None else {"Retry-After": str(int(answer.retry_after))}
            return httpx.Response(answer.status, json=answer.document(), headers=headers)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, httpx.Response):
            return httpx.Response(answer.status_code, content=answer.content, headers=answer.headers)
        return answer(request)


@pytest.fixture
def dagcall(monkeypatch: pytest.MonkeyPatch) -> CommandLine:
    for name in ("DAGCALL_URL", "DAGCALL_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    # It asks Airflow in a process of its own.
    monkeypatch.setattr("dagcall.cli.doctor_installation._private_names", lambda: ("private names", "ok", "all"))
    return CommandLine()


def page(name: str, rows: list[dict[str, Any]], total: int | None = None) -> httpx.Response:
    """A list as Airflow's API sends it."""
    return httpx.Response(200, json={name: rows, "total_entries": len(rows) if total is None else total})
