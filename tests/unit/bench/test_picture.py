"""`bench/results/latency.svg`."""

import itertools
from xml.etree import ElementTree

import pytest
from figures import results
from picture import SHAPES, SIDES, duration, medians, picture
from samples import Phase

SVG = "{http://www.w3.org/2000/svg}"
OF_ONE = {"ours": 2.0, "sdk_runner": 20.0, "tuned": 200.0, "stock": 2000.0}


def bars(svg: str) -> list[float]:
    return [float(bar.attrib["width"]) for bar in ElementTree.fromstring(svg).iter(f"{SVG}rect")]


def same(of_one: dict[str, float]) -> dict[str, dict[str, float]]:
    return dict.fromkeys(SHAPES, of_one)


def test_equal_ratios_are_equal_lengths() -> None:
    lengths = bars(picture(same(OF_ONE)))
    assert len(lengths) == len(SHAPES) * len(SIDES)
    steps = [after - before for before, after in itertools.pairwise(lengths[: len(SIDES)])]
    assert steps == pytest.approx([steps[0]] * 3, abs=0.2)
    assert steps[0] > 0


def test_one_decade_is_enough() -> None:
    assert all(length >= 0 for length in bars(picture(same({"ours": 1.0, "stock": 1.0}))))


def test_nothing_leaves_the_picture() -> None:
    svg = ElementTree.fromstring(picture(same({**OF_ONE, "stock": 99_999.0})))
    width, height = (float(size) for size in svg.attrib["viewBox"].split()[2:])
    for text in svg.iter(f"{SVG}text"):
        assert 0 <= float(text.attrib["x"]) <= width - 40
        assert 0 <= float(text.attrib["y"]) <= height


def test_it_is_told_in_words_too(full_run: dict[str, Phase]) -> None:
    svg = picture(medians(results(full_run, [5.0])))
    root = ElementTree.fromstring(svg)
    assert root.attrib["role"] == "img"
    assert [part.attrib["id"] for part in (root[0], root[1])] == root.attrib["aria-labelledby"].split()
    assert "dagcall, over HTTP 2 ms, bare task runner 3 ms, stock Airflow, tuned 100 ms" in (root[1].text or "")
    assert len(svg.encode()) < 10_000


def test_medians_are_of_one_caller_and_leave_out_the_runs_that_check_for_drift(full_run: dict[str, Phase]) -> None:
    assert medians(results(full_run, [5.0]))["fanout_200"] == {
        "ours": 2.0,
        "sdk_runner": 3.0,
        "tuned": 100.0,
        "stock": 900.0,
    }


def test_durations_have_a_unit_that_fits() -> None:
    assert [duration(ms) for ms in (0.5, 2.345, 99.9, 123.4, 1000, 41_259)] == [
        "0.5 ms",
        "2.35 ms",
        "99.9 ms",
        "123 ms",
        "1 s",
        "41.3 s",
    ]
