"""Times as the API shows and takes them: ISO 8601; inside, seconds since the epoch, UTC."""

from datetime import UTC, datetime, timedelta


def iso(time: float) -> str:
    """As Airflow's API writes it: `2026-01-31T12:00:00.123456Z`."""
    return datetime.fromtimestamp(time, UTC).isoformat().replace("+00:00", "Z")


def iso_or_none(time: float | None) -> str | None:
    return None if time is None else iso(time)


def parse_time(text: str) -> float:
    """Without an offset it is UTC, as in Airflow's filters. Raises ValueError, OverflowError."""
    parsed = datetime.fromisoformat(text.strip().replace(" ", "+"))  # `+` of a query that was not encoded
    return _seconds(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))


def is_naive(text: str) -> bool:
    """Whether it is a time without an offset. Raises ValueError."""
    return datetime.fromisoformat(text).tzinfo is None


def parse_aware_time(text: str) -> float:
    """Raises ValueError, OverflowError; also when the offset is missing."""
    parsed = datetime.fromisoformat(text)
    if parsed.tzinfo is None:
        raise ValueError("Input should have timezone info")
    return _seconds(parsed)


def _seconds(moment: datetime) -> float:
    """What could not be shown again is not taken: with its offset, a moment may lie before year 1 or after 9999."""
    time = moment.timestamp()
    datetime.fromtimestamp(time, UTC)
    return time


def duration(start: float | None, end: float | None) -> float | None:
    """Seconds, once both are known."""
    return None if start is None or end is None else max(0.0, end - start)


def iso_duration(seconds: float | None) -> str | None:
    return None if seconds is None else f"PT{seconds:g}S"


def time_delta(seconds: float | None) -> dict[str, object] | None:
    """Airflow's `TimeDelta` object."""
    if seconds is None:
        return None
    delta = timedelta(seconds=seconds)
    return {"__type": "TimeDelta", "days": delta.days, "seconds": delta.seconds, "microseconds": delta.microseconds}
