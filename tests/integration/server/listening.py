"""The application under the real HTTP server, on a port of its own."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn

from dagcall.server.app import create_app
from dagcall.server.settings import ServerSettings

from ...unit.server.scripted import ScriptedCoordinator


@asynccontextmanager
async def listening(coordinator: ScriptedCoordinator, **config: Any) -> AsyncIterator[int]:
    """Its port. `config`: of uvicorn."""
    app = create_app(coordinator, ServerSettings(body_limit=1_000_000))
    server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", **config))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.ensure_future(server.serve([listener]))
        try:
            yield listener.getsockname()[1]
        finally:
            server.should_exit = True
            await serving
