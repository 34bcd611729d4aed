"""What `make bench` prints."""

from figures import results
from report import number, table
from samples import Phase


def test_each_side_has_its_column_with_the_ratio(full_run: dict[str, Phase]) -> None:
    text = "\n".join(table(results(full_run, [5.0])))
    row = next(line for line in text.splitlines() if line.startswith("one_task"))
    assert " ".join(row.split()) == "one_task 2 / 4 3 / 6 (1.5 x) 100 / 200 (20 x) 900 / 1,800 (300 x)"
    assert "dagcall, as time went by" in text


def test_what_was_not_measured_has_no_column(quick_run: dict[str, Phase]) -> None:
    text = "\n".join(table(results(quick_run, [5.0])))
    assert "bare runner" in text
    assert "stock" not in text


def test_numbers_have_the_digits_that_count() -> None:
    assert [number(value) for value in (0.01234, 2.345, 99.96, 123.4, 41_259.0)] == [
        "0.0123",
        "2.35",
        "100",
        "123",
        "41,259",
    ]
