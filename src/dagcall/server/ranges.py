"""Which part of a representation is asked for (RFC 9110, 14): `Range` and `If-Range`."""

import re

Range = tuple[int, int]
"""First byte, and the one after the last."""

MOST_RANGES = 32
"""In one request; more are ignored, as the RFC suggests for requests that cost more than they ask for."""

_SPECIFIER = re.compile(r"(\d{0,18})-(\d{0,18})", re.ASCII)


def ranges_of(header: str | None, if_range: str | None, etag: str, size: int) -> list[Range] | None:
    """The ranges to answer with, in the order of the request; None: the whole. Empty: none of them can be (416).

    A header that is malformed, of another unit than bytes, or bound to another entity tag is as if it were not there.
    """
    if header is None or (if_range is not None and if_range.strip() != etag):
        return None
    unit, _, specifiers = header.partition("=")
    if unit.strip().lower() != "bytes":
        return None
    found: list[Range] = []
    parts = [part.strip() for part in specifiers.split(",") if part.strip()]
    if not 0 < len(parts) <= MOST_RANGES:
        return None
    for part in parts:
        match = _SPECIFIER.fullmatch(part)
        if match is None or part == "-":
            return None
        first, last = match.groups()
        if not first:
            begin, end = max(0, size - int(last)), size
        else:
            begin, end = int(first), min(size, int(last) + 1) if last else size
            if last and int(last) < begin:
                return None
        if begin < end:
            found.append((begin, end))
    # Overlapping ranges would make the server send more than there is.
    return found if sum(end - begin for begin, end in found) <= size else None
