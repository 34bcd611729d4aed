"""Large results: answered and downloaded, whole and by parts, while the server's memory stays as it was.

A value and a file of 50 MB; `make test-large` (DAGCALL_LARGE) makes the file 2 GB.
"""

import hashlib
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx

from .conftest import ServerFactory
from .serving import Server
from .test_results_by_reference import reference_in

MEGABYTE = 1 << 20
FILE_SIZE = int(os.environ.get("DAGCALL_LARGE", 50 * MEGABYTE))
MOST_GROWTH = 100 * 1000 * 1000
PARTS = 8


class Memory:
    """Of the server's own process, in bytes: how far it rose above where it was."""

    def __init__(self, server: Server) -> None:
        self._proc = Path(f"/proc/{server.process.pid}")
        (self._proc / "clear_refs").write_text("5")  # the peak is what it is now, see proc(5)
        self._before = self._status("VmRSS")

    def growth(self) -> int:
        return self._status("VmHWM") - self._before

    def _status(self, name: str) -> int:
        found = re.search(rf"{name}:\s+(\d+) kB", (self._proc / "status").read_text())
        assert found is not None
        return int(found[1]) * 1024


def digest_of_whole(server: Server, reference: dict[str, Any]) -> str:
    digest = hashlib.sha256()
    with server.http.stream("GET", reference["href"]) as answer:
        assert answer.headers["Content-Length"] == str(reference["size"])
        for chunk in answer.iter_raw():
            digest.update(chunk)
    return digest.hexdigest()


def digest_by_parts(server: Server, reference: dict[str, Any], copy: Path) -> str:
    """Several at once, each written to its place."""
    size = reference["size"]
    step = -(-size // PARTS)
    with copy.open("wb") as file:
        file.truncate(size)

    def fetch(begin: int) -> None:
        headers = {"Range": f"bytes={begin}-{begin + step - 1}", "If-Range": f'"{reference["sha256"]}"'}
        with (
            httpx.stream("GET", server.url + reference["href"], headers=headers, timeout=60) as answer,
            copy.open("r+b") as file,
        ):
            assert answer.status_code == 206
            file.seek(begin)
            for chunk in answer.iter_raw():
                file.write(chunk)

    with ThreadPoolExecutor(PARTS) as pool:
        list(pool.map(fetch, range(0, size, step)))
    with copy.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def test_large_results_take_no_memory_of_the_server(serve: ServerFactory, tmp_path: Path) -> None:
    server = serve(workers=2)
    server.value("returns", kind="text", size=1)  # its processes are there
    for kind, size, expected in (("text", 25 * MEGABYTE, 50 * MEGABYTE + 2), ("object", FILE_SIZE, FILE_SIZE)):
        memory = Memory(server)
        answer = server.http.post("/call/returns", json={"kind": kind, "size": size}, params={"wait": 300}, timeout=300)
        reference = reference_in(answer.json())
        assert reference["size"] == expected
        assert digest_of_whole(server, reference) == reference["sha256"]
        assert digest_by_parts(server, reference, tmp_path / "copy") == reference["sha256"]
        growth = memory.growth()
        print(f"{kind} of {expected} bytes: the server grew by {growth / 1e6:.1f} MB")
        assert growth < MOST_GROWTH
        for large in (tmp_path / "copy", Path(reference["uri"].removeprefix("file://"))):
            large.unlink()  # pytest keeps its folders for a while
