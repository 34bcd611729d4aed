"""W3C's trace contexts, and ids that are derived. OpenTelemetry's own propagator is the judge of the former."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.trace import get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from dagcall.model.ids import RunKey
from dagcall.model.trace import of_run, of_try, parsed

HEX = "0123456789abcdef"
GOOD = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
NEAR = st.one_of(
    st.text(max_size=60),
    st.builds(
        lambda *parts: "-".join(parts),
        st.sampled_from(["00", "01", "cc", "ff", "0", "0G"]),
        st.text(HEX, min_size=31, max_size=33),
        st.text(HEX, min_size=15, max_size=17),
        st.text(HEX, min_size=1, max_size=3),
    ),
    st.sampled_from(
        [GOOD, f"{GOOD}-more", GOOD.replace("00-", "01-") + "-more", GOOD.upper(), f"00-{'0' * 32}-{'1' * 16}-01"]
    ),
)


@given(NEAR)
def test_what_opentelemetry_takes_is_taken(header: str) -> None:
    theirs = get_current_span(TraceContextTextMapPropagator().extract({"traceparent": header})).get_span_context()
    ours = parsed(header)
    assert (ours is not None) == theirs.is_valid
    if ours is not None:
        assert (ours.trace_id, ours.span_id) == (f"{theirs.trace_id:032x}", f"{theirs.span_id:016x}")
        assert ours.sampled == bool(theirs.trace_flags.sampled)
        assert parsed(ours.traceparent) == ours


@pytest.mark.parametrize("header", [None, "", "x" * 20_000])
def test_none_is_no_context(header: str | None) -> None:
    assert parsed(header, "a=b") is None


def test_a_state_that_is_too_long_is_not_passed_on() -> None:
    for state, kept in (("a=b", "a=b"), ("a=" + "b" * 600, ""), (None, "")):
        context = parsed(GOOD, state)
        assert context is not None
        assert context.state == kept


def test_derived_ids_are_those_of_one_thing() -> None:
    carrier = parsed(GOOD, "a=b")
    assert carrier is not None
    tries = [("t", -1, 1), ("t", -1, 2), ("t", 0, 1), ("u", -1, 1), ("t-1", 1, 1)]
    keys = [RunKey("d", "r"), RunKey("d", "s"), RunKey("dr", "")]
    ids = [of_run(carrier, key).span_id for key in keys] + [
        of_try(carrier, key, *one).span_id for key in keys for one in tries
    ]
    assert len(set(ids)) == len(ids) == 18
    again = of_try(carrier, keys[0], *tries[0])
    assert again.span_id == ids[3]
    assert (again.trace_id, again.sampled, again.state) == (carrier.trace_id, True, "a=b")
    assert parsed(again.traceparent, again.state) == again
