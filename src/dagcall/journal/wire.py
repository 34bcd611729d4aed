"""What servers that share a journal say to each other through its database: short texts, to one server or to all.

Guarantees. Texts of one sender arrive in the order in which they were sent, at servers that listen then. A text whose
sending failed, or that was on its way when a connection was lost, is lost without a word: whoever sends counts on no
text, only on answers, and `connected` says when something may have been missed. Nothing is sent while `send` waits, so
what becomes known meanwhile can be said in fewer texts.

**Not secret, not authentic.** Whoever may connect to the database hears what is sent, and can send anything: PostgreSQL
asks for no right to do so. So a text must never be acted upon as if a server had sent it: it may only cause one to look
into the journal. What has to be believed, or is not for others, is kept there.

States: new -> `open` -> connected <-> lost -> `close` -> closed.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from dagcall.model.ids import RunKey

EVERYBODY = 0
"""All servers of the journal, in place of an epoch."""
LONGEST = 7900
"""Bytes of a text in UTF-8, at most."""

Sent = tuple[int, str]
"""To whom, by epoch or `EVERYBODY`, and what."""


class Wire(Protocol):
    """See the module's text."""

    async def open(self, epoch: int, received: Callable[[str], None], connected: Callable[[], None]) -> None:
        """Listen as the server of this epoch, now and whenever the connection is there again. Raises nothing: a
        database that is away is tried again without end."""
        ...

    async def send(self, texts: Sequence[Sent]) -> None:
        """Send these, in this order. Returns when they were sent, or cannot be."""
        ...

    async def owner(self, key: RunKey) -> int | None:
        """The epoch of the server that drives the run, or drove it last; None: there is no such run. Raises
        JournalError."""
        ...

    async def close(self) -> None: ...
