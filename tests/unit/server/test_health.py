"""What load balancers ask."""

import httpx
import pytest

from .scripted import ScriptedCoordinator

pytestmark = pytest.mark.anyio


async def test_ready_says_why_not(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    ready = await http.get("/health/ready")
    assert (ready.status_code, ready.json()) == (200, {"ready": True, "reasons": []})
    coordinator.reasons = ["the server is stopping", "the journal cannot be written: disk full"]
    ready = await http.get("/health/ready")
    assert (ready.status_code, ready.json()) == (503, {"ready": False, "reasons": coordinator.reasons})


async def test_live_whatever_happens(http: httpx.AsyncClient, coordinator: ScriptedCoordinator) -> None:
    coordinator.reasons, coordinator.catalog.is_loaded = ["the server is stopping"], False
    live = await http.get("/health/live")
    assert (live.status_code, live.json()) == (200, {"live": True})
    assert (await http.get("/health/ready")).status_code == 503
