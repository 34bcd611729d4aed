"""References: values that are answered by where they are instead of by themselves.

The bytes are in a store (or wherever the task's author has put them), never in a message or in the journal. What is
here is authoritative for what `href` streams: a value that merely looks like a reference is none.
"""

import json
import re
from dataclasses import dataclass
from hashlib import sha256
from typing import Final
from urllib.parse import quote

STORED_XCOM: Final = 1
"""Type of the MessagePack extension that takes the place of an XCom's value which is too large for a message; its data
is the URI under which the value, as MessagePack, is stored. No value that Airflow serializes contains an extension."""

EPHEMERAL: Final = "_DAGCALL_RESULTS"
"""Environment of the workers: the folder for values of runs that end with their server."""

LOCAL: Final = "file://"
"""What the URIs of files on this machine begin with; the path follows as it is, not percent-encoded."""


@dataclass(frozen=True)
class Reference:
    """Bytes that a task's result refers to. `size` and `sha256` (hex) are theirs; both are unknown (None), and nothing
    is streamed, where there was no such object, or no single one, when the task ended."""

    uri: str
    media_type: str
    size: int | None = None
    sha256: str | None = None
    part: int = 0
    """0: the whole result. 1, 2, ...: values within it."""
    modified: int | None = None
    """Of a local file, its modification time in nanoseconds: by it one that has been changed since is recognised."""


def href_of(dag_id: str, run_id: str, task_id: str, map_index: int, part: int) -> str:
    """The path, without host, that streams a reference."""
    path = "/".join(quote(name, safe="") for name in (dag_id, run_id))
    query = "&".join([f"map_index={map_index}"] * (map_index >= 0) + [f"part={part}"] * (part > 0))
    return f"/call/{path}/value/{quote(task_id, safe='')}{'?' if query else ''}{query}"


def as_json(reference: Reference, href: str) -> dict[str, object]:
    """As callers see it."""
    return {
        "reference": {
            "uri": reference.uri,
            "href": None if reference.sha256 is None else href,
            "media_type": reference.media_type,
            "size": reference.size,
            "sha256": reference.sha256,
        }
    }


def encoded(reference: Reference, href: str) -> bytes:
    """`as_json`, as JSON text."""
    return json.dumps(as_json(reference, href), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def folder_of(dag_id: str, run_id: str) -> str:
    """Where a run's stored values are, below the store's root: deleted whole, with the run."""
    return f"{safe_name(dag_id)}/{safe_name(run_id)}"


def safe_name(text: str) -> str:
    """One path segment for any id: readable, unique, of bounded length, and never a way to another folder."""
    return (
        f"{re.sub('[^A-Za-z0-9_-]', '-', text)[:80]}-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:16]}"
    )
