"""What a conformance suite needs of an engine: how its journals are made, and how their lock is broken."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from dagcall.journal.base import Journal


class JournalStorage:
    """`make` and `break_lock` are an engine's part."""

    def make(self, storage: Path) -> Journal:
        """A new journal, not opened, over what is kept at `storage` (an empty directory at first). Two calls with
        the same directory give two journals over the same storage, as two servers would have."""
        raise NotImplementedError

    def break_lock(self, storage: Path) -> None:
        """Let a journal that is opened next take over, although the one before is open still: what an accident does."""
        raise NotImplementedError

    def run(self, storage: Path, test: Callable[[Journal], Awaitable[None]]) -> None:
        """Run `test` on an opened journal, in an event loop of its own."""

        async def main() -> None:
            async with self.opened(storage) as journal:
                await test(journal)

        asyncio.run(main())

    @asynccontextmanager
    async def opened(self, storage: Path) -> AsyncIterator[Journal]:
        journal = self.make(storage)
        await journal.open()
        try:
            yield journal
        finally:
            await journal.close()
