"""Numbers as Prometheus reads them: its own parser is the judge."""

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dagcall.model.measures import BUCKETS, Family, Histogram, prometheus_text

VALUES = st.lists(st.one_of(st.floats(0, 1000), st.sampled_from(BUCKETS)), max_size=50)


@given(VALUES)
def test_values_together_are_the_values_one_by_one(values: list[float]) -> None:
    one, all_ = Histogram(), Histogram()
    for value in values:
        one.add(value)
    all_.add_all(list(values))
    assert one.counts == all_.counts
    assert sum(one.counts) == one.count == len(values)
    for bound, count in zip(BUCKETS, one.counts, strict=False):
        before = max((b for b in BUCKETS if b < bound), default=-1.0)
        assert count == sum(before < value <= bound for value in values)


def test_a_copy_is_of_its_moment() -> None:
    histogram = Histogram()
    histogram.add(0.003)
    copy = histogram.copy()
    histogram.add(0.003)
    assert (copy.count, histogram.count) == (1, 2)


def read(*families: Family) -> dict[str, dict[tuple[str, tuple[tuple[str, str], ...]], float]]:
    text = prometheus_text(families).decode()
    return {
        family.name: {(one.name, tuple(sorted(one.labels.items()))): one.value for one in family.samples}
        for family in text_string_to_metric_families(text)
    }


@given(st.text(max_size=20), st.floats(0, 1e15))
def test_prometheus_reads_what_was_written(label: str, value: float) -> None:
    found = read(Family("dagcall_x_total", "counter", 'Some "help"\nwith \\ in it.', [((("dag_id", label),), value)]))
    assert found == {"dagcall_x": {("dagcall_x_total", (("dag_id", label),)): value}}


def test_prometheus_reads_histograms() -> None:
    histogram = Histogram((0.5, 1.0))
    histogram.add_all([0.5, 0.7, 7.0])
    for labels in ((), (("dag_id", "d"),)):
        found = read(Family("dagcall_t_seconds", "histogram", "Time.", [(labels, histogram)]))["dagcall_t_seconds"]
        assert found == {
            ("dagcall_t_seconds_bucket", (*labels, ("le", "0.5"))): 1,
            ("dagcall_t_seconds_bucket", (*labels, ("le", "1"))): 2,
            ("dagcall_t_seconds_bucket", (*labels, ("le", "+Inf"))): 3,
            ("dagcall_t_seconds_sum", labels): 8.2,
            ("dagcall_t_seconds_count", labels): 3,
        }


def test_a_family_has_its_name_and_unit_in_otlp() -> None:
    assert [
        (f.dotted, f.unit) for f in (Family(n, "gauge", "") for n in ("dagcall_ti_finish_total", "dagcall_a_seconds"))
    ] == [
        ("dagcall.ti_finish", ""),
        ("dagcall.a", "s"),
    ]
