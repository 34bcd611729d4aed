"""A spec as a real DAG of real operators: the same for stock Airflow and for dagcall.

What a task returns is a digest of what it was given, so that equal XComs mean equal arguments, all the way up.
"""

import contextlib
import hashlib
import json
import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator
from airflow.providers.standard.operators.python import ShortCircuitOperator
from airflow.sdk import DAG, BaseOperator, TaskGroup, task_group
from airflow.sdk.bases.branch import BaseBranchOperator
from airflow.sdk.definitions.retry_policy import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException


def plain(value: Any) -> Any:
    """As JSON: lazy sequences as lists."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (str, int, float)):
        return value
    return [plain(item) for item in value]


def act(script: dict[str, Any], context: Any) -> None:
    """What this try is told to do, if it is not to succeed."""
    ti = context["ti"]
    acts = script["acts"].get(str(ti.map_index), script["acts"]["default"])
    match acts[min(ti.try_number, len(acts)) - 1]:
        case "fail":
            raise RuntimeError("told to fail")
        case "fail_otherwise":
            raise LookupError("told to fail")
        case "fail_for_good":
            raise AirflowFailException("told to fail for good")
        case "skip":
            raise AirflowSkipException("told to skip")
        case "timeout":
            threading.Event().wait(5)
        case "none":
            raise ReturnNothing


class ReturnNothing(Exception):
    pass


def value_of(script: dict[str, Any], given: Any) -> Any:
    digest = hashlib.md5(json.dumps(plain(given)).encode(), usedforsecurity=False).hexdigest()[:6]
    words = [f"{script['task_id']}.{number}:{digest}" for number in range(script["length"])]
    match script["returns"]:
        case "list":
            return words
        case "tuple":
            return tuple(words)
        case "dict":
            return {f"key {number}": word for number, word in enumerate(words)}
        case "dicts":
            return [{"item": word} for word in words]
        case "int":
            return len(words)
        case "text":
            return digest
        case "generator":
            return (word for word in words)
    raise AssertionError(script["returns"])


class Scripted(BaseOperator):
    template_fields = ("item", "more", "inputs")

    def __init__(
        self, *, script: dict[str, Any], item: Any = None, more: Any = None, inputs: Any = (), **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.script = script
        self.item = item
        self.more = more
        self.inputs = inputs

    def execute(self, context: Any) -> Any:
        try:
            act(self.script, context)
        except ReturnNothing:
            return None
        return value_of(self.script, [self.item, self.more, self.inputs])


class ScriptedBranch(BaseBranchOperator):
    template_fields = ("item", "more")

    def __init__(self, *, script: dict[str, Any], item: Any = None, more: Any = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.script = script
        self.item = item
        self.more = more

    def choose_branch(self, context: Any) -> Any:
        try:
            act(self.script, context)
        except ReturnNothing:
            return None
        return self.script["follow"]


class ScriptedShortCircuit(ShortCircuitOperator):
    def __init__(self, *, script: dict[str, Any], **kwargs: Any) -> None:
        super().__init__(python_callable=lambda: script["follow"], **kwargs)
        self.script = script

    def execute(self, context: Any) -> Any:
        with contextlib.suppress(ReturnNothing):
            act(self.script, context)
        return super().execute(context)


def as_kwargs(value: Any) -> Any:
    return {"item": plain(value), "a": plain(value), "b": 0}


def twice(value: Any) -> Any:
    return [plain(value), plain(value)]


def not_second(value: Any) -> Any:
    if ".1:" in str(value):
        raise ValueError("told not to map the second one")
    return value


FUNCTIONS: dict[str, Callable[[Any], Any]] = {"as_kwargs": as_kwargs, "twice": twice, "not_second": not_second}


def build(spec: dict[str, Any]) -> DAG:
    with DAG(spec["dag_id"], start_date=datetime(2024, 1, 1), schedule=None, fail_fast=spec["fail_fast"]) as dag:
        _Builder().nodes(spec["nodes"], {})
    return dag


class _Builder:
    def __init__(self) -> None:
        self._built: dict[str, Any] = {}

    def nodes(self, nodes: list[dict[str, Any]], arguments: dict[str, Any]) -> None:
        for node in nodes:
            if "task_id" in node:
                self._task(node, arguments)
            else:
                self._group(node, arguments)

    def _group(self, node: dict[str, Any], arguments: dict[str, Any]) -> None:
        if not node["mapped"]:
            with TaskGroup(node["group_id"], prefix_group_id=False):
                self.nodes(node["nodes"], arguments)
            return

        def body(a: Any = None, b: Any = None) -> None:
            self.nodes(node["nodes"], {"a": a, "b": b})

        group = task_group(group_id=node["group_id"], prefix_group_id=False)(body)
        if node["kwargs"]:
            group.expand_kwargs(self._source(node["kwargs"], "a", "b"))
        else:
            group.expand(**{name: self._source(source) for name, source in node["expand"].items()})

    def _task(self, task: dict[str, Any], arguments: dict[str, Any]) -> None:
        common: dict[str, Any] = {
            "task_id": task["task_id"],
            "retries": task["retries"],
            "retry_delay": timedelta(0),
        }
        if not task["teardown"]:
            common["trigger_rule"] = task["rule"]
        if any("timeout" in acts for acts in task["acts"].values()):
            common["execution_timeout"] = timedelta(seconds=0.4)
        if task["policy"]:
            common["retry_policy"] = ExceptionRetryPolicy(
                rules=[
                    RetryRule(exception=RuntimeError, action=RetryAction.FAIL),
                    RetryRule(exception=LookupError, action=RetryAction.RETRY, retry_delay=timedelta(0)),
                ]
            )
        script = {name: task[name] for name in ("task_id", "acts", "length", "returns")}
        script["follow"] = task.get("follow")
        match task["kind"]:
            case "empty":
                operator: Any = EmptyOperator(**common)
            case "short_circuit":
                ignore = task["ignore_rules"]
                operator = ScriptedShortCircuit(script=script, ignore_downstream_trigger_rules=ignore, **common)
            case kind:
                operator_class = ScriptedBranch if kind == "branch" else Scripted
                operator = self._scripted(operator_class, task, arguments, {"script": script, **common})
        self._built[task["task_id"]] = operator
        if task["setup"]:
            operator.as_setup()
        for up in task["upstream"]:
            self._built[up] >> operator
        if task["teardown"]:
            operator.as_teardown(on_failure_fail_dagrun=task["on_failure_fail_dagrun"])

    def _scripted(
        self, operator_class: Any, task: dict[str, Any], arguments: dict[str, Any], common: dict[str, Any]
    ) -> Any:
        if task["inputs"]:
            common["inputs"] = [self._built[up].output for up in task["inputs"]]
        if task["kwargs"]:
            return operator_class.partial(**common).expand_kwargs(self._source(task["kwargs"], "item"))
        if task["expand"]:
            expanded = {name: self._source(source) for name, source in task["expand"].items()}
            return operator_class.partial(**common).expand(**expanded)
        if task["argument"] and arguments:
            common["item"] = arguments[task["argument"]]
        return operator_class(**common)

    def _source(self, source: dict[str, Any], *keys: str) -> Any:
        """`keys`: a literal is a list of dicts that have them."""
        match source:
            case {"literal": length}:
                return [dict.fromkeys(keys, number) if keys else number for number in range(length)]
            case {"dict": length}:
                return {f"key {number}": number for number in range(length)}
            case {"xcom": task_id}:
                return self._built[task_id].output
            case {"map": of, "function": name}:
                return self._source(of).map(FUNCTIONS[name])
            case {"zip": [first, *others], "fill": fill}:
                filling = {"fillvalue": None} if fill else {}
                return self._source(first).zip(*(self._source(other) for other in others), **filling)
            case {"concat": [first, *others]}:
                return self._source(first).concat(*(self._source(other) for other in others))
        raise AssertionError(source)
