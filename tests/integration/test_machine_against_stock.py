"""Stock Airflow as the oracle: random DAGs must end here as they end there.

A *spec* is a DAG as plain JSON: tasks with upstreams, rule, retries, setup/teardown, `expand` (argument -> length of a
literal, or the task whose output is mapped over), `follow` (a branch, and what it chooses), and `acts`: by map index
what each try of it does. From one spec the oracle builds a real DAG of real operators and runs it with `dag.test()`
(`stock_oracle.py`), and this test builds a plan and drives the machine. State and try number of every task instance
and the state of the run are compared.

With mixed skips and failures the end depends on when the scheduler looks. `dag.test()` judges once, runs all that is
scheduled, then judges again; `Lockstep` has the machine do the same.
"""

import json
import os
import random
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dagcall.core.machine import RunMachine
from dagcall.model.events import (
    AttemptEnded,
    AttemptStarted,
    EndKind,
    ErrorInfo,
    Event,
    RetryDue,
    RunAccepted,
    XComItem,
)
from dagcall.model.ids import RunKey
from dagcall.model.plan import RETURN_VALUE, DagPlan, Mapping, MapSource, Retry, TaskPlan
from dagcall.model.states import TaskState, TriggerRule

SEEDS = range(int(os.environ.get("DIFFERENTIAL_SEEDS", "40")))

EARLY_RULES = {"always", "one_success", "one_failed", "one_done"}
"""Tasks that may start before all of their upstreams ended. `dag.test()` runs what it has scheduled even when a branch
or `fail_fast` skipped it meanwhile, which no real scheduler does: not combined with those."""


def a_task(task_id: str, **fields: Any) -> dict[str, Any]:
    return {
        "task_id": task_id,
        "upstream": [],
        "rule": "all_success",
        "acts": {"default": ["success"]},
        "retries": 0,
        "setup": False,
        "teardown": False,
        "on_failure_fail_dagrun": False,
        "expand": None,
        "length": 2,
        "follow": None,
    } | fields


def some_acts(rng: random.Random, retries: int) -> list[str]:
    return [
        rng.choices(["success", "fail", "skip", "fail_for_good", "none"], [10, 5, 3, 1, 1])[0]
        for _ in range(retries + 1)
    ]


def random_spec(seed: int) -> dict[str, Any]:
    """A DAG of 3 to 8 tasks. Every fifth is a fail_fast chain."""
    rng = random.Random(seed)
    fail_fast = seed % 5 == 4
    tasks: list[dict[str, Any]] = []
    below_branch: set[str] = set()
    for number in range(rng.randint(3, 8)):
        names = [task["task_id"] for task in tasks]
        upstream = names[-1:] if fail_fast else rng.sample(names, min(len(names), rng.choice([0, 1, 1, 2, 2, 3])))
        task = a_task(f"t{number}", upstream=upstream, retries=rng.choice([0, 0, 0, 1, 2]))
        task["acts"] = {"default": some_acts(rng, task["retries"])}
        if below_branch.intersection(upstream):
            below_branch.add(task["task_id"])
        if not fail_fast:
            rules = [rule.value for rule in TriggerRule if rule.value != "all_done_setup_success"]
            if task["task_id"] in below_branch:
                rules = [rule for rule in rules if rule not in EARLY_RULES]
            task["rule"] = rng.choice([*["all_success"] * 10, *rules])
        setups = [up["task_id"] for up in tasks if up["setup"] and up["task_id"] in upstream]
        kind = rng.random()
        if not tasks or (kind < 0.25 and not fail_fast):
            task["setup"] = rng.random() < 0.6
            task["rule"] = "all_success" if task["setup"] else task["rule"]
        elif setups and kind < 0.7:
            task |= {"teardown": True, "on_failure_fail_dagrun": rng.random() < 0.3, "rule": "all_done_setup_success"}
        elif kind < 0.6 and not fail_fast:
            plain = [up for up in upstream if not find(tasks, up)["setup"] and not find(tasks, up)["teardown"]]
            source = rng.choice([*plain, *plain, rng.choice([0, 1, 2, 3])])
            task["expand"] = {"item": source}
            if rng.random() < 0.3:
                task["expand"]["more"] = rng.choice([1, 2])
            for index in range(3):
                task["acts"][str(index)] = some_acts(rng, task["retries"])
        if setups and not task["teardown"]:
            task["rule"] = "all_success"  # Airflow allows no other right after a setup
        task["length"] = rng.choice([0, 1, 2, 3])
        tasks.append(task)
        if kind > 0.85 and not fail_fast and not task["setup"]:
            below_branch.add(task["task_id"])
            task["follow"] = []  # chosen below, when its downstreams are known
    for task in tasks:
        if task["follow"] is not None:
            downs = [down["task_id"] for down in tasks if task["task_id"] in down["upstream"]]
            mapped_over = any(task["task_id"] in (down["expand"] or {}).values() for down in tasks)
            task["follow"] = None if mapped_over else rng.sample(downs, rng.randint(0, len(downs)))
    # A task whose output is mapped over must return a list: returning nothing is a failure of its own.
    for task in tasks:
        if any(task["task_id"] in (down["expand"] or {}).values() for down in tasks) and not task["expand"]:
            task["acts"] = {
                key: ["fail" if act == "none" else act for act in acts] for key, acts in task["acts"].items()
            }
    return {"dag_id": f"random_{seed}", "fail_fast": fail_fast, "tasks": tasks}


def find(tasks: list[dict[str, Any]], task_id: str) -> dict[str, Any]:
    return next(task for task in tasks if task["task_id"] == task_id)


def plan_of(spec: dict[str, Any]) -> DagPlan:
    def mapping(expand: dict[str, Any] | None) -> Mapping | None:
        if expand is None:
            return None
        return Mapping(
            tuple(
                MapSource("literal", length=source) if isinstance(source, int) else MapSource("xcom", task_id=source)
                for source in expand.values()
            )
        )

    tasks = tuple(
        TaskPlan(
            task["task_id"],
            operator="Scripted",
            upstream=tuple(task["upstream"]),
            downstream=tuple(t["task_id"] for t in spec["tasks"] if task["task_id"] in t["upstream"]),
            trigger_rule=TriggerRule(task["rule"]),
            mapping=mapping(task["expand"]),
            retry=Retry(task["retries"], delay=0.0),
            is_setup=task["setup"],
            is_teardown=task["teardown"],
            on_failure_fail_dagrun=task["on_failure_fail_dagrun"],
            can_skip_downstream=task["follow"] is not None,
        )
        for task in spec["tasks"]
    )
    return DagPlan(spec["dag_id"], "1", "f.py", "f.py", tasks, fail_fast=spec["fail_fast"])


class Lockstep(RunMachine):
    """Judges only when told to: once a wave, as the loop of `dag.test()` does."""

    def take(self, event: Event) -> None:
        self._board.begin_step(event, 0.0)
        assert self._take(event)

    def judge_once(self) -> None:
        self._board.begin_step(RetryDue(""), 0.0)
        self._round()

    def rest(self) -> None:
        self._board.setback = True
        self._settle()
        self._conclude()


def drive(spec: dict[str, Any]) -> Lockstep:
    """Run a spec to its end."""
    scripts = {task["task_id"]: task for task in spec["tasks"]}
    machine = Lockstep(plan_of(spec), RunKey(spec["dag_id"], "r"))
    machine.take(RunAccepted(spec["dag_id"], "r", "1"))
    while machine._board.dirty or machine._board.unfinished > machine._board.waiting:
        machine.judge_once()
        for ti in machine.instances():
            if ti.state is TaskState.UP_FOR_RETRY:
                machine.take(RetryDue(*ti.key, ti.try_number))
        for attempt, _, key, _ in machine.open_attempts():
            instance = machine.instance(key)
            if instance is None or instance.attempt != attempt:
                continue  # stopped by one that ended before it in this wave
            machine.take(AttemptStarted(attempt, epoch=1))
            machine.take(ended(attempt, instance.map_index, instance.try_number, scripts[key.task_id], scripts))
    machine.rest()
    return machine


def ended(
    attempt: int, map_index: int, try_number: int, script: dict[str, Any], scripts: dict[str, Any]
) -> AttemptEnded:
    """What a worker reports of one try, as the Task SDK's runner decides it."""
    acts = script["acts"].get(str(map_index), script["acts"]["default"])
    act = acts[min(try_number, len(acts)) - 1]
    error = ErrorInfo("RuntimeError", act)
    if act == "fail":
        return AttemptEnded(attempt, 1, EndKind.RETRY if try_number <= script["retries"] else EndKind.FAILED, error)
    if act == "fail_for_good":
        return AttemptEnded(attempt, 1, EndKind.FAILED, error)
    if act == "skip":
        return AttemptEnded(attempt, 1, EndKind.SKIPPED)
    if script["follow"] is not None:
        followed = set(script["follow"])
        for task_id in script["follow"]:
            followed |= below(task_id, scripts)
        downs = [task_id for task_id, task in scripts.items() if script["task_id"] in task["upstream"]]
        skipped = tuple((task_id, map_index) for task_id in downs if task_id not in followed)
        return AttemptEnded(attempt, 1, EndKind.SUCCESS, skip=skipped)
    if act == "none":
        return AttemptEnded(attempt, 1, EndKind.SUCCESS)
    mapped_over = any(script["task_id"] in (task["expand"] or {}).values() for task in scripts.values())
    length = script["length"] if mapped_over and not script["expand"] else None
    return AttemptEnded(attempt, 1, EndKind.SUCCESS, xcoms=(XComItem(RETURN_VALUE, b"", length),))


def below(task_id: str, scripts: dict[str, Any]) -> set[str]:
    found = set()
    for down, task in scripts.items():
        if task_id in task["upstream"]:
            found |= {down} | below(down, scripts)
    return found


def test_random_dags_end_as_in_stock_airflow(tmp_path: Path) -> None:
    specs = [random_spec(seed) for seed in SEEDS]
    (tmp_path / "specs.json").write_text(json.dumps(specs))
    oracle = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("stock_oracle.py")), "specs.json", "results.json"],
        cwd=tmp_path,
        env=os.environ
        | {
            "AIRFLOW_HOME": str(tmp_path / "airflow"),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "AIRFLOW__LOGGING__LOGGING_LEVEL": "ERROR",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert oracle.returncode == 0, oracle.stdout[-2000:] + oracle.stderr[-4000:]
    stock = json.loads((tmp_path / "results.json").read_text())
    assert sorted(stock) == sorted(spec["dag_id"] for spec in specs)

    mismatches, fired = [], Counter[str]()
    for spec in specs:
        machine = drive(spec)
        ours = sorted([*ti.key, ti.state.value, ti.try_number] for ti in machine.instances())
        theirs = stock[spec["dag_id"]]
        fired.update(state for _, _, state, _ in ours)
        if ours != theirs["instances"] or machine.state.value != theirs["state"]:
            different = [(a, b) for a, b in zip(ours, theirs["instances"], strict=False) if a != b]
            mismatches.append((spec, machine.state.value, theirs["state"], different))
    assert not mismatches, f"{len(mismatches)} of {len(specs)} differ; (spec, ours, stock, instances): {mismatches[0]}"
    # The comparison is worth something only if more than the happy path was seen.
    assert {"success", "failed", "skipped", "upstream_failed"} <= set(fired), fired


@pytest.mark.parametrize("seed", SEEDS)
def test_lockstep_and_stepwise_machine_agree_on_what_must_end(seed: int) -> None:
    """The way `drive` looks into the machine does not hide a run that would hang."""
    machine = drive(random_spec(seed))
    assert machine.state.is_final
    assert machine.outcome is not None
    assert not machine.open_attempts()
