"""Compare what random runs tell, and when, with all that can still happen to them.

    python run.py N            seeds 0 to N-1
    python run.py FIRST:LAST   these seeds, the last not included

A seed whose DAG has too many states to look at all of them is passed over. Prints how often each rule and shape was
there, and each violation with the smallest DAG that could be found for it; exits with 1 when there was one.
"""

import argparse
import concurrent.futures
import gc
import itertools
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from cases import random_case
from check import Findings, check
from continuations import Case, TooLarge

from dagcall.core.graph import graph_of
from dagcall.model.plan import Retry
from dagcall.model.states import TriggerRule

CHUNK = 25
SHOWN = 5


@dataclass
class Totals:
    """Of many cases."""

    shapes: Counter[str] = field(default_factory=Counter)
    numbers: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[int, str]] = field(default_factory=list)

    def add(self, other: "Totals") -> None:
        self.shapes += other.shapes
        self.numbers += other.numbers
        self.violations += other.violations


def look_at(seeds: range, most_states: int) -> Totals:
    totals = Totals()
    gc.disable()  # machines are freed with their last reference; collections take a third of the time
    for seed in seeds:
        case = random_case(seed)
        found = findings(case, most_states)
        if found is None:
            totals.numbers["too large"] += 1
            continue
        totals.numbers.update(
            {"cases": 1, "states": found.states, "failed": found.told_failed, "success": found.told_success}
        )
        totals.numbers.update({f"late, because {reason}": count for reason, count in found.excused.items()})
        totals.numbers.update({"early": len(found.early), "late": len(found.late), "wrong": len(found.wrong)})
        totals.numbers.update({"DAGs with a failure told before the end": found.told_failed > 0})
        totals.shapes.update(shapes_of(case))
        if found.violations():
            totals.violations.append((seed, found.violations()[0]))
    gc.collect()
    return totals


def findings(case: Case, most_states: int) -> Findings | None:
    try:
        return check(case, most_states)
    except TooLarge:
        return None


def shapes_of(case: Case) -> set[str]:
    """What a case has to offer, each named once."""
    plan = case.plan
    found = {f"rule {task.trigger_rule.value}" for task in plan.tasks if task.upstream}
    found |= {f"{kind}" for kind in case.branches.values()} | {f"{kind.value}" for kind in case.suspends.values()}
    flags = ("is_setup", "is_teardown", "on_failure_fail_dagrun", "is_empty", "start_trigger")
    found |= {flag for flag in flags for task in plan.tasks if getattr(task, flag)}
    found |= {"retries" for task in plan.tasks if task.retry.retries}
    found |= {f"mapped task over {source.kind}" for t in plan.tasks if t.mapping for source in t.mapping.sources}
    found |= {"mapped with references" for task in plan.tasks if task.mapping and task.mapping.references}
    found |= {f"mapped groups around it: {len(task.mapped_groups)}" for task in plan.tasks if task.mapped_groups}
    found |= {"mapped result" for name in case.designated if plan.by_id[name].needs_expansion}
    found |= {f"result tasks: {len(case.designated)}"} | ({"results chosen by the caller"} if case.results else set())
    return found | ({"fail_fast"} if plan.fail_fast else set())


def smaller(case: Case) -> Iterator[Case]:
    """The case with one thing less."""
    tasks = case.plan.tasks
    mappings = [*case.plan.mappings.values(), *(task.mapping for task in tasks if task.mapping)]
    for dropped in tasks:
        name = dropped.task_id
        if name in case.results or any(name in mapping.upstreams for mapping in mappings):
            continue
        left = (task for task in tasks if task is not dropped)
        fewer = [replace(task, upstream=tuple(up for up in task.upstream if up != name)) for task in left]
        branches = {task: kind for task, kind in case.branches.items() if task != name}
        if fewer:
            yield replace(case, plan=replace(case.plan, tasks=tuple(fewer)), branches=branches)
    for index, task in enumerate(tasks):
        plainer = [replace(task, retry=Retry()), replace(task, is_result=False), replace(task, start_trigger=None)]
        plainer += [replace(task, trigger_rule=TriggerRule.ALL_SUCCESS)] if not task.is_teardown else []
        plainer += [replace(task, upstream=tuple(up for up in task.upstream if up != gone)) for gone in task.upstream]
        for other in plainer:
            if other != task:
                yield replace(case, plan=replace(case.plan, tasks=(*tasks[:index], other, *tasks[index + 1 :])))
    if case.suspends and not case.plan.fail_fast:
        yield replace(case, suspends={})


def is_whole(case: Case) -> bool:
    """What a task is mapped over is upstream of it."""
    graph = graph_of(case.plan)
    return all(graph.with_ancestors([node.task.task_id]).issuperset(node.sources) for node in graph.nodes)


def smallest(case: Case, most_states: int) -> tuple[Case, Findings | None]:
    found = findings(case, most_states)
    progress = True
    while progress:
        progress = False
        for other in smaller(case):
            again = findings(other, most_states) if is_whole(other) else None
            if again is not None and again.violations():
                case, found, progress = other, again, True
                break
    return case, found


def describe(case: Case) -> str:
    lines = []
    for task in case.plan.tasks:
        flags = [name for name in ("is_setup", "is_teardown", "is_empty", "is_result") if getattr(task, name)]
        flags += [str(task.mapping)] if task.mapping else []
        flags += [case.branches[task.task_id]] if task.task_id in case.branches else []
        flags += [f"in {task.mapped_groups}"] if task.mapped_groups else []
        flags += [f"{task.retry.retries} retries"] if task.retry.retries else []
        flags += ["start_trigger"] if task.start_trigger else []
        lines.append(f"  {task.task_id}: {', '.join([task.trigger_rule.value, *task.upstream, *flags])}")
    lines.append(f"  groups {case.plan.mapped_groups}" if case.plan.mapped_groups else "")
    lines.append(f"  results {case.results}, suspends {case.suspends}, fail_fast {case.plan.fail_fast}")
    return "\n".join(line for line in lines if line)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("seeds", help="N, or FIRST:LAST")
    parser.add_argument("--states", type=int, default=800, help="look at no DAG that has more (default 800)")
    args = parser.parse_args()
    first, _, last = args.seeds.rpartition(":")
    seeds = range(int(first or 0), int(last))
    begin, totals = time.monotonic(), Totals()
    chunks = [seeds[start : start + CHUNK] for start in range(0, len(seeds), CHUNK)]
    with concurrent.futures.ProcessPoolExecutor(min(os.cpu_count() or 1, len(chunks))) as pool:
        for done, one in enumerate(pool.map(look_at, chunks, itertools.repeat(args.states)), 1):
            totals.add(one)
            if done % 20 == 0:
                print(f"{done * CHUNK} seeds, violations: {totals.violations}", file=sys.stderr, flush=True)
    for shape, count in sorted(totals.shapes.items()):
        print(f"{count:8}  {shape}")
    for number, count in totals.numbers.items():
        print(f"{count:8}  {number}")
    for seed, text in totals.violations[:SHOWN]:
        case, found = smallest(random_case(seed), args.states)
        print(f"\nseed {seed}\n{describe(case)}\n{found.violations()[0] if found else text}")
    print(
        f"\n{totals.numbers['cases']} DAGs, {len(totals.violations)} with violations, {time.monotonic() - begin:.0f} s"
    )
    return bool(totals.violations)


if __name__ == "__main__":
    sys.exit(main())
