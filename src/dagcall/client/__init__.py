"""The client: `Client` and `AsyncClient`, one behaviour (`_flow`) driven by two kinds of I/O. Needs httpx only."""

from dagcall.client._async import AsyncClient, AsyncRunHandle
from dagcall.client._chunks import Chunk, Rollback
from dagcall.client._options import OptionChanges
from dagcall.client._references import AsyncReference, Reference
from dagcall.client._sync import Client, RunHandle
from dagcall.client._wire import RunEvent

__all__ = [
    "AsyncClient",
    "AsyncReference",
    "AsyncRunHandle",
    "Chunk",
    "Client",
    "OptionChanges",
    "Reference",
    "Rollback",
    "RunEvent",
    "RunHandle",
]
