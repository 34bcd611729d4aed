"""References in a value, and reading what one refers to: which request to send, and when all of it is there. No I/O.

Guarantee: the bytes that were handed out to the end are those that the reference promises, in number and checksum, over
any number of broken connections: a reconnect asks for what follows, of the same whole. It gives up when for
`Options.retry` seconds no connection has brought any further.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from dagcall.client._flow import json_of, problem_of
from dagcall.client._wire import Request, Response
from dagcall.errors import ServerError, Unavailable, Unreachable, ValueGone

MEMBERS = frozenset({"uri", "href", "media_type", "size", "sha256"})
SILENCE = 60.0
"""Seconds after which a connection is given up."""
_PAUSE = 0.2

Document = dict[str, Any]


def decode(response: Response, refer: Callable[[Document], Document]) -> Any:
    """The value that an answer holds, with `refer(document)` in the place of each reference."""
    if b'"reference"' not in response.content:
        return json_of(response)
    try:
        return json.loads(response.content, object_hook=lambda one: refer(one) if is_reference(one) else one)
    except ValueError:
        return json_of(response)  # raises, and says why


def is_reference(document: Document) -> bool:
    inner = document.get("reference")
    if len(document) != 1 or not isinstance(inner, dict) or inner.keys() != MEMBERS:
        return False
    # Nothing but this server's own paths is ever asked for on a value's say-so.
    return inner["href"] is None or str(inner["href"]).startswith("/call/")


class Reading:
    """State of reading one reference once."""

    def __init__(self, reference: Mapping[str, Any], retry: float) -> None:
        if reference["href"] is None:
            raise ValueGone(f"There was nothing to read at {reference['uri']} when its task ended.")
        self._reference = reference
        self._retry = retry
        self._size = int(reference["size"])
        self._digest = hashlib.sha256()
        self._read = 0
        self._stuck_since: float | None = None
        self._is_over = False

    def is_over(self) -> bool:
        return self._is_over

    def request(self) -> Request:
        headers = {"accept-encoding": "identity"}
        if self._read:
            headers |= {"range": f"bytes={self._read}-", "if-range": f'"{self._reference["sha256"]}"'}
        return Request("GET", self._reference["href"], headers, read_timeout=SILENCE)

    def opened(self, response: Response) -> bool:
        """The head of an answer, with its content unless that is the value's bytes. False: try again later."""
        if response.status == (206 if self._read else 200):
            return True
        if response.status < 400:
            raise ServerError(f"The server answered HTTP {response.status} instead of the rest of the value.")
        problem = problem_of(response)
        if isinstance(problem, Unavailable):
            return False
        raise problem

    def took(self, chunk: bytes) -> bytes:
        self._digest.update(chunk)
        self._read += len(chunk)
        self._stuck_since = None
        return chunk

    def closed(self, at: float, reason: str = "The server closed the connection") -> float:
        """The connection has ended; seconds until the next one. Raises ServerError when what came is not what was
        promised, Unreachable when there is no going on."""
        if self._read >= self._size:
            self._is_over = True
            if (self._read, self._digest.hexdigest()) != (self._size, self._reference["sha256"]):
                raise ServerError("The bytes that were read are not those that the reference promises.")
            return 0.0
        self._stuck_since = at if self._stuck_since is None else self._stuck_since
        if at - self._stuck_since >= self._retry:
            raise Unreachable(f"{reason}. {self._read} of {self._size} bytes have been read.")
        return _PAUSE
