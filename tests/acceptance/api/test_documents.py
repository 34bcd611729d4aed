"""schemathesis over the OpenAPI documents, against a real server: nothing that they allow is refused, nothing that they
do not tell is answered, and nothing is the server's own failure. `make test-api` asks much more."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ..serving import Server

HERE = Path(__file__).parent
EXAMPLES = os.environ.get("DAGCALL_API_EXAMPLES")
"""How many requests are made up for each operation; unset: few, of some operations."""
KNOWN = ("known", "manual__known+1:00")
SOME = r"^(/call/\{dag_id\}(/\{run_id\}(/events)?)?|/call/order|/api/v2/dags/\{dag_id\}/dagRuns|/api/v2/(variables|pools))$"


@pytest.fixture(scope="module")
def with_runs(described: Server) -> Server:
    """Runs that the configuration of schemathesis knows."""
    for dag_id in ("order", "echo", "points", "breaks", "silent"):
        for run_id in KNOWN:
            described.http.post(f"/call/{dag_id}", params={"run_id": run_id}, json={"customer": "x", "what": 1})
    return described


def ask(server: Server, document: str, *options: str) -> None:
    command = [sys.executable, "-m", "schemathesis.cli", "--config-file", str(HERE / "schemathesis.toml"), "run"]
    done = subprocess.run(
        [*command, server.url + document, *options],
        env=os.environ | {"SCHEMATHESIS_HOOKS": "fuzzing", "PYTHONPATH": str(HERE)},
        cwd=server.home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    assert not [line for line in server.messages.read_text().splitlines() if line.startswith("ERROR")]
    assert server.http.get("/call").status_code == 200


def cases() -> list[tuple[str, ...]]:
    """A document, and what is asked of it."""
    if EXAMPLES is not None:
        phases = ("--phases", "examples,coverage,fuzzing,stateful", "-n", EXAMPLES)
        return [
            ("/openapi.json", *phases),
            *((f"/call/{dag_id}/openapi.json", *phases) for dag_id in ("order", "points")),
        ]
    return [
        (
            "/openapi.json",
            "--phases",
            "examples,coverage,fuzzing",
            "-n",
            "5",
            "--seed",
            "1",
            "--include-path-regex",
            SOME,
        )
    ]


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("case", cases(), ids=lambda case: " ".join(case[:3]))
def test_the_server_keeps_to_its_documents(with_runs: Server, case: tuple[str, ...]) -> None:
    ask(with_runs, *case)
