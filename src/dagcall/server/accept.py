"""Which media type to answer with (RFC 9110, `Accept`)."""

from dagcall.errors import NotAcceptable

JSON = "application/json"
NDJSON = "application/x-ndjson"
SSE = "text/event-stream"


def negotiate(accept: str, offers: tuple[str, ...]) -> str:
    """The offer that the client likes best; among equals a type it names goes before one a wildcard covers, then the
    first one offered. Nothing asked for: the first offer. Raises `NotAcceptable`."""
    if not accept or accept in ("*/*", offers[0]):
        return offers[0]
    ranges = _ranges(accept)
    best, best_rank = None, (0.0, 0)
    for offer in offers:
        rank = _rank(offer, ranges)
        if rank[0] > 0 and rank > best_rank:
            best, best_rank = offer, rank
    if best is None:
        raise NotAcceptable(f"None of the media types in Accept can be sent here; these can: {', '.join(offers)}.")
    return best


def _ranges(accept: str) -> list[tuple[str, float]]:
    ranges = []
    for part in accept.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        quality = 1.0
        for parameter in parameters:
            if parameter.startswith("q="):
                try:
                    quality = float(parameter[2:])
                except ValueError:
                    quality = 0.0
        ranges.append((name, quality))
    return ranges


def _rank(offer: str, ranges: list[tuple[str, float]]) -> tuple[float, int]:
    """(quality, specificity) that the most specific matching range gives."""
    found = (0.0, 0)
    group = offer.partition("/")[0] + "/*"
    for name, quality in ranges:
        specificity = 3 if name == offer else 2 if name == group else 1 if name in ("*/*", "*") else 0
        if specificity > found[1]:
            found = (quality, specificity)
    return found
