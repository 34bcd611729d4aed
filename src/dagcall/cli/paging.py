"""Lists of `/api/v2`, whole: the server gives a page at a time (Airflow's `[api] maximum_page_limit`)."""

from collections.abc import Iterator
from typing import Any

from dagcall.client import Client

_PAGE = 100


def all_of(client: Client, path: str, name: str) -> Iterator[Any]:
    """The entries under `name`, page after page."""
    given = 0
    while True:
        page = client.get(path, limit=_PAGE, offset=given)
        yield from page[name]
        given += len(page[name])
        if not page[name] or given >= page["total_entries"]:
            return
