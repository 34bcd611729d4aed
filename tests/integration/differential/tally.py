"""What generated DAGs have shown, counted after execution: a rule that never fired was not compared."""

from collections import Counter
from typing import Any

from specs import RULES, Spec, sources_of, tasks_of, walk, xcoms_in

STATES = ("success", "failed", "skipped", "upstream_failed", "none")


class Tally:
    """Of what stock Airflow made of the specs."""

    def __init__(self) -> None:
        self.rules = Counter[tuple[str, str]]()
        self.shapes = Counter[str]()

    def add(self, spec: Spec, result: dict[str, Any]) -> None:
        rows: dict[str, list[tuple[int, str, int]]] = {}
        for task_id, map_index, state, try_number in result["instances"]:
            rows.setdefault(task_id, []).append((map_index, state, try_number))
        self._of_run(spec, result)
        mapped_over = {
            name for node, _ in walk(spec["nodes"]) for source in sources_of(node) for name in xcoms_in(source)
        }
        for task in tasks_of(spec):
            for _, state, try_number in rows[task["task_id"]]:
                self.rules[task["rule"], state] += bool(task["upstream"])
                self.shapes["tried again"] += try_number > 1
            self._of_task(spec, task, rows, task["task_id"] in mapped_over)
        for node, groups in walk(spec["nodes"]):
            if node.get("mapped"):
                inner = any(group["mapped"] for group in groups)
                for task in tasks_of({"nodes": node["nodes"]}):
                    name = "task in nested mapped groups" if inner else "task in a mapped group"
                    self._expansion(name, rows[task["task_id"]])

    def _of_run(self, spec: Spec, result: dict[str, Any]) -> None:
        states = Counter(state for _, _, state, _ in result["instances"])
        self.shapes[f"run {result['state']}"] += 1
        self.shapes["run deadlocked"] += states["none"] > 0
        self.shapes["run stopped by fail_fast"] += spec["fail_fast"] and states["failed"] > 0 and states["skipped"] > 0
        self.shapes["run succeeded with a failed task"] += result["state"] == "success" and states["failed"] > 0
        self.shapes["XCom rows compared"] += len(result["xcoms"])

    def _of_task(self, spec: Spec, task: Spec, rows: dict[str, list[tuple[int, str, int]]], mapped_over: bool) -> None:
        own = rows[task["task_id"]]
        states = {state for _, state, _ in own}
        for kind in ("setup", "teardown"):
            if task[kind]:
                for _, state, _ in own:
                    self.shapes[f"{kind} {state}"] += 1
        if sources := sources_of(task):
            self._expansion("mapped task", own)
            for form in ("dict", "map", "zip", "concat", "xcom"):
                self.shapes[f"expanded over {form}"] += own[0][0] >= 0 and any(form in source for source in sources)
            self.shapes["expanded with expand_kwargs"] += bool(task["kwargs"]) and own[0][0] >= 0
            upstream = {name for source in sources for name in xcoms_in(source)}
            is_mapped = any(sources_of(up) for up in tasks_of(spec) if up["task_id"] in upstream)
            self.shapes["mapped over mapped"] += is_mapped and own[0][0] >= 0
        if mapped_over and "failed" in states:
            if task["length"] > 3 and task["returns"] in ("list", "dict", "dicts"):
                self.shapes["over max_map_length or failed"] += 1
            self.shapes["failed, mapped over"] += 1
        if task["kind"] in ("branch", "short_circuit") and "success" in states:
            downs = [down["task_id"] for down in tasks_of(spec) if task["task_id"] in down["upstream"]]
            skipped = any(state == "skipped" for down in downs for _, state, _ in rows[down])
            self.shapes[f"{task['kind']} with a skipped downstream"] += skipped

    def _expansion(self, what: str, own: list[tuple[int, str, int]]) -> None:
        for map_index, state, _ in own[:1]:
            self.shapes[f"{what}: " + ("expanded" if map_index >= 0 else f"not expanded, {state}")] += 1

    def __str__(self) -> str:
        width = max(map(len, RULES))
        lines = [f"{'rule (instances by end)':{width}}" + "".join(f"{state:>17}" for state in STATES)]
        lines += [f"{rule:{width}}" + "".join(f"{self.rules[rule, state]:17}" for state in STATES) for rule in RULES]
        lines += ["", *(f"{count:8} {shape}" for shape, count in sorted(self.shapes.items()) if count)]
        return "\n".join(lines)
