"""A caller's params against a DAG's schema, before any work is done.

As `ParamsDict.validate` does: each param alone, its default standing in when the caller sent none, by JSON Schema
2020-12 with format checks; keys that are no params are allowed, as they are in `dag_run.conf`.

That takes 5 to 15 us for each value, so many of them are looked at in a thread, where the event loop gets its turns. All
share one thread: several would share the interpreter with it, and it would have less than half.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from dagcall.error_details import ParamProblem
from dagcall.errors import InvalidParams
from dagcall.model.plan import DagPlan

LARGE = 500
"""Values."""
_aside = ThreadPoolExecutor(1, thread_name_prefix="dagcall-params")


def is_large(conf: dict[str, Any]) -> bool:
    """Whether checking it takes longer than others should wait for."""
    count = 0
    todo: list[Any] = [conf]
    while todo:
        one = todo.pop()
        count += len(one)
        if count > LARGE:
            return True
        todo += [value for value in (one.values() if isinstance(one, dict) else one) if isinstance(value, dict | list)]
    return False


class ParamsValidator:
    """Validators of one plan, compiled once."""

    def __init__(self, plan: DagPlan) -> None:
        self._dag_id = plan.dag_id
        self._required = frozenset(plan.params_schema.get("required", ()))
        checker = FormatChecker()
        self._fields: list[tuple[str, dict[str, Any], Draft202012Validator | None]] = []
        for name, schema in plan.params_schema.get("properties", {}).items():
            rules = {key: value for key, value in schema.items() if key not in ("default", "description", "title")}
            self._fields.append((name, schema, Draft202012Validator(schema, format_checker=checker) if rules else None))

    async def check_aside(self, conf: dict[str, Any]) -> None:
        """The same as `check`, while the event loop goes on."""
        await asyncio.get_running_loop().run_in_executor(_aside, self.check, conf)

    def check(self, conf: dict[str, Any]) -> None:
        """Raises InvalidParams naming every field that does not fit, and why."""
        problems: list[ParamProblem] = []
        for name, schema, validator in self._fields:
            if name in conf:
                value = conf[name]
            elif name in self._required:
                problems.append(ParamProblem(name, "is required"))
                continue
            else:
                value = schema.get("default")
            if validator is not None:
                problems.extend(
                    ParamProblem(_path(name, error.absolute_path), error.message)
                    for error in validator.iter_errors(value)
                )
        if problems:
            raise InvalidParams(dag_id=self._dag_id, errors=tuple(problems))


def _path(name: str, parts: Any) -> str:
    return "".join([name, *(f"[{part}]" if isinstance(part, int) else f".{part}" for part in parts)])
