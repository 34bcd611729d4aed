"""Random DAGs as plain JSON: what the differential test runs under stock Airflow and here. One seed, one DAG.

A spec is `{dag_id, fail_fast, nodes}`; a node is a task or a group of nodes, in topological order. Both sides build the
same real DAG of it (`dags.py`). Of a task: `upstream`, `rule`, `retries`, `setup`/`teardown`, what it is mapped over
(`expand`: argument -> source, or `kwargs`: one source), the tasks whose outputs it takes (`inputs`), what it returns,
and `acts`: by map index, what each try does. A source is `{literal: n}`, `{dict: n}`, `{xcom: task}`, `{map: source}`,
`{zip: [...], fill: bool}` or `{concat: [...]}`. Of a group: whether it is mapped, over what, and its nodes.

Left out is only what Airflow refuses to load: another rule than all_success after a setup or under fail_fast, a mapped
task in a mapped group, a group mapped over the argument of another one.
"""

import random
from collections.abc import Iterator
from typing import Any

RULES = (
    "all_success",
    "all_failed",
    "all_done",
    "all_done_min_one_success",
    "all_done_setup_success",
    "one_success",
    "one_failed",
    "one_done",
    "none_failed",
    "none_failed_min_one_success",
    "none_skipped",
    "all_skipped",
    "always",
)
MAX_MAP_LENGTH = 3
"""Of both sides, so small that it is met."""

Spec = dict[str, Any]


def tasks_of(spec: Spec) -> list[Spec]:
    """All tasks, in order."""
    return [node for node, _ in walk(spec["nodes"]) if "task_id" in node]


def walk(nodes: list[Spec], groups: tuple[Spec, ...] = ()) -> Iterator[tuple[Spec, tuple[Spec, ...]]]:
    """All tasks and groups, each with the groups around it, innermost first."""
    for node in nodes:
        yield node, groups
        if "group_id" in node:
            yield from walk(node["nodes"], (node, *groups))


def sources_of(node: Spec) -> list[Spec]:
    """What a mapped task or group is expanded over."""
    return [*(node["expand"] or {}).values(), *([node["kwargs"]] if node["kwargs"] else [])]


def xcoms_in(source: Spec) -> Iterator[str]:
    """The tasks whose output a source is made of."""
    if "xcom" in source:
        yield source["xcom"]
    for part in [*source.get("zip", ()), *source.get("concat", ()), *([source["map"]] if "map" in source else ())]:
        yield from xcoms_in(part)


def random_spec(seed: int) -> Spec:
    return _Maker(random.Random(seed)).make(f"random_{seed}")


class _Maker:
    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._tasks: dict[str, Spec] = {}
        self._groups = 0
        self._left = rng.randint(3, 11)
        self._fail_fast = rng.random() < 0.12
        self._calm = rng.choice([60, 200, 600])
        """How much more often than all else a try succeeds."""

    def make(self, dag_id: str) -> Spec:
        nodes: list[Spec] = []
        while self._left > 0:
            nodes.append(self._node(()))
        self._choose_branches()
        return {"dag_id": dag_id, "fail_fast": self._fail_fast, "nodes": nodes}

    def _node(self, groups: tuple[Spec, ...]) -> Spec:
        nested = 0.12 if len(groups) < 2 else 0.0
        if self._left > 1 and self._tasks and self._rng.random() < (0.22 if not groups else nested):
            return self._group(groups)
        return self._task(groups)

    def _group(self, groups: tuple[Spec, ...]) -> Spec:
        rng = self._rng
        self._groups += 1
        group: Spec = {"group_id": f"g{self._groups}", "mapped": rng.random() < 0.85, "expand": None, "kwargs": None}
        if group["mapped"]:
            self._map_over(group, ("a", "b"))
        group["nodes"] = []
        for _ in range(rng.randint(1, 4)):
            if self._left > 0:
                group["nodes"].append(self._node((group, *groups)))
        return group

    def _task(self, groups: tuple[Spec, ...]) -> Spec:
        rng = self._rng
        self._left -= 1
        task: Spec = {
            "task_id": f"t{len(self._tasks):02}",  # SQLite gives the scheduler its rows in the order of their names
            "kind": "plain",
            "upstream": self._upstream(groups),
            "rule": "all_success",
            "retries": rng.choice([0, 0, 0, 0, 1, 2]),
            "policy": rng.random() < 0.1,
            "setup": False,
            "teardown": False,
            "on_failure_fail_dagrun": False,
            "expand": None,
            "kwargs": None,
            "inputs": [],
            "argument": None,
            "returns": rng.choices(
                ["list", "dict", "dicts", "tuple", "int", "text", "generator"], [60, 8, 8, 4, 3, 2, 2]
            )[0],
            "length": rng.choices([0, 1, 2, 3, 4], [15, 25, 35, 20, 5])[0],
            "groups": [group["group_id"] for group in groups],
        }
        in_mapped_group = next((group for group in groups if group["mapped"]), None)
        if in_mapped_group is not None and rng.random() < 0.7:
            task["argument"] = "a"
        ups = [self._tasks[up] for up in task["upstream"]]
        setups = [up["task_id"] for up in ups if up["setup"]]
        self._choose_kind(task, setups, may_map=in_mapped_group is None)
        if not self._fail_fast and not setups and not task["teardown"] and rng.random() < 0.55:
            task["rule"] = rng.choice(RULES)
        if in_mapped_group is not None and task["rule"] == "always":
            task["rule"] = "all_done"
        if task["teardown"]:
            task["rule"] = "all_done_setup_success"
        if task["kind"] == "plain":
            task["inputs"] = [up for up in task["upstream"] if rng.random() < 0.35]
        wide = bool(task["expand"] or task["kwargs"] or in_mapped_group)
        task["acts"] = {
            key: self._acts(task) for key in ("default", *(str(index) for index in range(4 if wide else 0)))
        }
        self._tasks[task["task_id"]] = task
        return task

    def _upstream(self, groups: tuple[Spec, ...]) -> list[str]:
        rng = self._rng
        names = list(self._tasks)
        count = min(len(names), rng.choice([0, 1, 1, 1, 2, 2, 3]))
        here = [name for name in names if groups and groups[0]["group_id"] in self._tasks[name]["groups"]]
        chosen = dict.fromkeys(rng.sample(here, min(len(here), count))) if rng.random() < 0.8 else {}
        chosen |= dict.fromkeys(rng.sample(names, count)[: count - len(chosen)])
        return list(chosen)

    def _choose_kind(self, task: Spec, setups: list[str], *, may_map: bool) -> None:
        rng = self._rng
        if setups and rng.random() < 0.5:
            task |= {"teardown": True, "on_failure_fail_dagrun": rng.random() < 0.3}
            if may_map and rng.random() < 0.15:
                self._map_over(task, ("item", "more"))
            return
        kind = rng.choices(["plain", "setup", "map", "branch", "short_circuit", "empty"], [50, 10, 25, 8, 4, 3])[0]
        if kind == "setup" or (not self._tasks and kind != "map"):
            task["setup"] = kind == "setup" or rng.random() < 0.3
            if may_map and rng.random() < 0.2:
                self._map_over(task, ("item", "more"))
        elif kind == "map" and may_map:
            self._map_over(task, ("item", "more"))
        elif kind in ("branch", "short_circuit", "empty"):
            task["kind"] = kind
            task["ignore_rules"] = rng.random() < 0.5
            if kind == "branch" and may_map and rng.random() < 0.25:
                self._map_over(task, ("item", "more"))

    def _map_over(self, node: Spec, names: tuple[str, str]) -> None:
        rng = self._rng
        if rng.random() < 0.2:
            source = rng.choice([{"literal": rng.choice([0, 1, 2, 3])}, self._xcom("dicts")])
            # What the values are is not known here: made dicts by a function.
            node["kwargs"] = source if "literal" in source else {"map": source, "function": "as_kwargs"}
            return
        node["expand"] = {names[0]: self._source(2)}
        if rng.random() < 0.25:
            node["expand"][names[1]] = self._source(1)

    def _source(self, depth: int) -> Spec:
        rng = self._rng
        kind = rng.choices(["literal", "dict", "xcom", "map", "zip", "concat"], [20, 5, 55, 8, 6, 6])[0]
        if kind == "literal":
            return {"literal": rng.choice([0, 1, 2, 2, 3])}
        if kind == "dict":
            return {"dict": rng.choice([1, 2])}
        source = self._xcom("list")
        if depth == 0 or "xcom" not in source or kind == "xcom":
            return source
        if kind == "map":
            return {"map": source, "function": rng.choice(["twice", "twice", "not_second"])}
        other = self._xcom("list")
        if "xcom" not in other:
            return source
        return {"zip": [source, other], "fill": rng.random() < 0.5} if kind == "zip" else {"concat": [source, other]}

    def _xcom(self, returns: str) -> Spec:
        """The output of an earlier task, mostly of one that returns what can be mapped over."""
        rng = self._rng
        plain = [task for task in self._tasks.values() if not task["setup"] and not task["teardown"]]
        plain = [task for task in plain if task["kind"] == "plain"]
        outside = [task for task in plain if not task["groups"]]
        if not plain:
            return {"literal": 2}
        task = rng.choice(outside if outside and rng.random() < 0.85 else plain)
        if rng.random() < 0.85 and task["returns"] not in ("dict", "tuple"):
            task["returns"] = returns
        return {"xcom": task["task_id"]}

    def _acts(self, task: Spec) -> list[str]:
        rng = self._rng
        acts = ["success", "fail", "skip", "fail_for_good", "none", "fail_otherwise", "timeout"]
        return [rng.choices(acts, [self._calm, 24, 16, 4, 6, 6, 1])[0] for _ in range(task["retries"] + 1)]

    def _choose_branches(self) -> None:
        rng = self._rng
        for task in self._tasks.values():
            if task["kind"] == "branch":
                downs = [down["task_id"] for down in self._tasks.values() if task["task_id"] in down["upstream"]]
                task["follow"] = rng.sample(downs, rng.randint(0, len(downs)))
            elif task["kind"] == "short_circuit":
                task["follow"] = rng.random() < 0.3


def describe(spec: Spec) -> str:
    """A spec for people to read."""
    lines = [f"dag {spec['dag_id']}{' fail_fast' if spec['fail_fast'] else ''}"]
    for node, groups in walk(spec["nodes"]):
        over = f" mapped over {node['expand'] or node['kwargs']}" if node["expand"] or node["kwargs"] else ""
        if "group_id" in node:
            text = f"group {node['group_id']}{over}"
        else:
            names = ("kind", "upstream", "rule", "retries", "inputs", "argument", "follow", "ignore_rules", "policy")
            shown = {name: node[name] for name in names if node.get(name)}
            shown |= {name: True for name in ("setup", "teardown", "on_failure_fail_dagrun") if node[name]}
            returns = f" -> {node['returns']}[{node['length']}]"
            text = f"{node['task_id']}{over} {shown} {node['acts']}{returns}"
        lines.append("  " * (len(groups) + 1) + text)
    return "\n".join(lines)
