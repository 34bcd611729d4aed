"""From samples to the figures and ratios of `bench/results/latest.json`."""

import json

import pytest
from figures import PROMISED, any_number_of_callers, compare, figures, mean, p95, results
from plan import CRITICAL_PATH_MS, FULL, MANY_CALLERS, QUICK, Plan
from samples import Phase, Sample

CPU = [{"server": 1.0}]


def test_a_load_gives_median_p95_and_rate() -> None:
    measured = {
        ("one_task", 1): Sample([1.0, 3.0, 2.0], [9.0, 10.0, 12.0], CPU),
        ("nine", 8): Sample([5.0], [7.0], CPU),
    }
    assert figures(measured) == {
        "one_task_p50_ms": 2.0,
        "one_task_p95_ms": 3.0,
        "one_task_runs_per_s_1": 10.0,
        "nine_p50_ms_8": 5.0,
        "nine_p95_ms_8": 5.0,
        "nine_runs_per_s_8": 7.0,
    }


def test_p95_is_not_exceeded_by_95_percent() -> None:
    assert p95([float(value) for value in range(100, 0, -1)]) == 96
    assert p95([7.0, 9.0]) == 9.0


def test_above_one_is_faster_for_times_and_for_rates() -> None:
    ours = {"a_p50_ms": 2.0, "a_runs_per_s_1": 500.0, "b_p50_ms": 1.0}
    theirs = {"a_p50_ms": 8.0, "a_runs_per_s_1": 125.0}
    assert compare(ours, theirs, "stock") == {"a_p50_ms_vs_stock": 4.0, "a_runs_per_s_1_vs_stock": 4.0}


def test_ours_around_a_time_is_the_mean_where_both_have_it() -> None:
    assert mean({"a": 1.0, "b": 5.0}, {"a": 3.0, "c": 7.0}) == {"a": 2.0, "b": 5.0, "c": 7.0}


def test_the_bare_runner_is_as_fast_for_many_callers_as_for_one() -> None:
    assert any_number_of_callers({"a_runs_per_s_1": 9.0, "a_p50_ms": 1.0}) == {
        "a_p50_ms": 1.0,
        "a_runs_per_s_1": 9.0,
        "a_runs_per_s_8": 9.0,
        "a_runs_per_s_32": 9.0,
    }


def test_ratios_are_to_ours_nearest_in_time(full_run: dict[str, Phase]) -> None:
    ratios = results(full_run, [5.0])["ratios"]
    assert ratios["one_task_p50_ms_vs_sdk_runner"] == 3 / 2
    assert ratios["one_task_p50_ms_vs_stock"] == 900 / ((2 + 4) / 2)
    assert ratios["one_task_p50_ms_vs_tuned"] == 100 / ((4 + 6) / 2)
    assert ratios["one_task_runs_per_s_32_vs_tuned"] == pytest.approx((32 / 4 + 32 / 6) / 2 / (32 / 100), rel=0.01)
    assert {f"{figure}_vs_{side}" for figure in PROMISED for side in ("sdk_runner", "stock", "tuned")} <= set(ratios)


def test_a_quick_run_has_what_it_measured_and_nothing_of_stock(quick_run: dict[str, Phase]) -> None:
    found = results(quick_run, [5.0])
    assert set(found["ours"]) == set(PROMISED)
    assert {figure.rpartition("_vs_")[2] for figure in found["ratios"]} == {"sdk_runner"}
    assert found["details"]["drift"] == {}


def test_what_only_ours_is_measured_for(quick_run: dict[str, Phase]) -> None:
    quick_run["crowds"]["fanout_200", 1].ms = [2.0]
    quick_run["crowds"]["fanout_2000", 1].ms = [18.0]
    quick_run["crowds"]["realistic", MANY_CALLERS].ms = [CRITICAL_PATH_MS + 50.0]
    details = results(quick_run, [5.0, 9.0, 6.0])["details"]
    assert details["fanout"]["cost_ratio"] == 9.0
    assert details["cold_file"] == {"files": 3, "p50_ms": 6.0, "max_ms": 9.0}
    assert details["realistic"]["p95_ms_above_critical_path"] == 50.0


def test_what_a_level_of_durability_costs(quick_run: dict[str, Phase]) -> None:
    found = results(quick_run, [5.0])["details"]["durability"]
    assert found["process"] == {"one_task_p50_ms": 3.0, "ask_astro_p50_ms": 3.0}
    assert found["over_none"]["process"] == {"one_task_p50_ms": 0.5, "ask_astro_p50_ms": 0.5}
    assert found["over_none"]["power"]["one_task_p50_ms"] == 1.0


def test_results_are_json(full_run: dict[str, Phase]) -> None:
    found = results(full_run, [5.0])
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("plan", [QUICK, FULL], ids=["quick", "full"])
def test_a_plan_measures_what_is_computed(plan: Plan) -> None:
    first = {(load.name, load.callers): Sample([1.0], [1.0], CPU) for load in (*plan.turns, *plan.crowds)}
    assert set(PROMISED) <= set(figures(first))
    assert {("realistic", MANY_CALLERS), ("fanout_200", 1), ("fanout_2000", 1)} <= {
        (load.name, load.callers) for load in plan.crowds
    }


def test_stock_is_compared_in_all_that_it_is_measured_for() -> None:
    again = {(load.dag_id, load.callers) for load in FULL.control}
    for loads in (FULL.stock, FULL.tuned):
        measured = {(load.dag_id, load.callers) for load in loads}
        assert measured <= again
        assert set(PROMISED) <= set(figures({(load.name, load.callers): Sample([1.0], [1.0], CPU) for load in loads}))
