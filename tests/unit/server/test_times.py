"""Times as callers write them."""

import pytest

from dagcall.server.times import iso, parse_aware_time, parse_time


@pytest.mark.parametrize("text", ["2026-01-31T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"])
def test_what_is_taken_is_shown_again(text: str) -> None:
    assert iso(parse_time(text)) == iso(parse_aware_time(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0001-01-01T00:00:00+01:00",
        "9999-12-31T23:59:59-01:00",
        "9999-12-31T23:59:59.999999Z",
        "2026-13-01T00:00:00Z",
    ],
)
def test_what_could_not_be_shown_is_not_taken(text: str) -> None:
    for parse in (parse_time, parse_aware_time):
        with pytest.raises((ValueError, OverflowError)):
            parse(text)


def test_an_offset_that_is_missing() -> None:
    assert parse_time("2026-01-31T00:00:00") == parse_time("2026-01-31T00:00:00Z")
    with pytest.raises(ValueError, match="timezone"):
        parse_aware_time("2026-01-31T00:00:00")
