"""Which part of a value is asked for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dagcall.server.ranges import MOST_RANGES, ranges_of

ETAG = '"tag"'


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (None, None),
        ("bytes=0-0", [(0, 1)]),
        ("bytes=0-", [(0, 10)]),
        ("bytes=-3", [(7, 10)]),
        ("bytes=-30", [(0, 10)]),
        ("bytes=8-300", [(8, 10)]),
        ("bytes=10-", []),
        ("bytes=-0", []),
        ("BYTES = 1-2", [(1, 3)]),
        ("bytes=1-2,  4-4 ,-1", [(1, 3), (4, 5), (9, 10)]),
        ("bytes=20-, 1-2", [(1, 3)]),
        ("bytes=0-9,0-0", None),  # more than there is
        ("bytes=" + ",".join(f"{n}-{n}" for n in range(MOST_RANGES + 1)), None),
        ("bytes=2-1", None),
        ("bytes=-", None),
        ("bytes=", None),
        ("bytes", None),
        ("bytes=a-b", None),
        ("bytes=1-2-3", None),
        ("bytes=\u0661-2", None),
        (f"bytes=0-{'9' * 5000}", None),
        ("seconds=0-1", None),
    ],
)
def test_a_range_header(header: str | None, expected: list[tuple[int, int]] | None) -> None:
    assert ranges_of(header, None, ETAG, 10) == expected


@pytest.mark.parametrize(("if_range", "applies"), [(ETAG, True), ('"other"', False), ("W/" + ETAG, False)])
def test_if_range_names_the_value_that_the_range_is_of(if_range: str, applies: bool) -> None:
    assert (ranges_of("bytes=0-1", if_range, ETAG, 10) is not None) is applies


@given(header=st.text(max_size=40) | st.from_regex(r"bytes=[0-9, -]{0,20}", fullmatch=True), size=st.integers(0, 50))
def test_whatever_is_asked_for_is_within_the_value(header: str, size: int) -> None:
    for begin, end in ranges_of(header, None, ETAG, size) or []:
        assert 0 <= begin < end <= size
