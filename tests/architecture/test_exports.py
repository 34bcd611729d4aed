"""What `import` brings: all that is promised, and nothing that the client-only installation does not have."""

import json
import subprocess
import sys

import pytest

import dagcall

# The extra `server` and what it is known by; the client-only installation has none of them.
SERVER_ONLY = {
    "airflow", "fastapi", "httptools", "jsonschema", "msgspec", "psutil", "pydantic", "rich", "setproctitle", "sqlalchemy",
    "starlette", "structlog", "typer", "uvicorn", "uvloop", "watchfiles",
}  # fmt: skip


def imported_by(module: str) -> set[str]:
    """The top-level packages that a fresh interpreter holds after importing the module."""
    code = f"import sys, json, {module}; print(json.dumps(sorted({{name.partition('.')[0] for name in sys.modules}})))"
    finished = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(finished.stdout))


def test_public_names_are_sorted_and_importable() -> None:
    assert dagcall.__all__ == sorted(dagcall.__all__)
    assert [name for name in dagcall.__all__ if getattr(dagcall, name, None) is None] == []


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = dagcall.no_such_name  # type: ignore[attr-defined]


@pytest.mark.parametrize("module", ["dagcall", "dagcall.client", "dagcall.cli.main"])
def test_the_client_needs_httpx_only(module: str) -> None:
    by_httpx = imported_by("httpx")  # its own command line brings rich, where there is one
    assert (imported_by(module) - by_httpx) & SERVER_ONLY == set()


@pytest.mark.parametrize("module", ["dagcall.coordinator", "dagcall.server", "dagcall.compose"])
def test_the_server_does_not_import_airflow(module: str) -> None:
    assert "airflow" not in imported_by(module)
