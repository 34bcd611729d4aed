"""What callers are told when the journal fails: what it means for them, and nothing about the server's files."""

import httpx
import pytest

from dagcall.errors import JournalAway, JournalCorrupt, JournalError

from .scripted import ScriptedCoordinator

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (JournalError("/var/j.db is full"), 503, "unavailable"),
        (JournalAway("/var/run/postgresql is away"), 503, "unavailable"),
        (JournalCorrupt("/var/j.db: run r"), 500, "server-error"),
    ],
)
async def test_a_journal_that_fails(
    http: httpx.AsyncClient, coordinator: ScriptedCoordinator, error: JournalError, status: int, kind: str
) -> None:
    coordinator.refusal = error  # type: ignore[assignment] # whatever the call raises
    answer = await http.post("/call/simple", json={})
    assert (answer.status_code, answer.json()["type"]) == (status, f"/problems/{kind}")
    assert "/var" not in answer.text
    assert answer.headers.get("Retry-After") == ("2" if status == 503 else None)
