"""A caller's params against a DAG's schema, before any work is done.

As `ParamsDict.validate` does: each param alone, its default standing in when the caller sent none, by JSON Schema
2020-12 with format checks; keys that are no params are allowed, as they are in `dag_run.conf`.
"""

from typing import Any

from jsonschema import Draft202012Validator, FormatChecker

from dagcall.error_details import ParamProblem
from dagcall.errors import InvalidParams
from dagcall.model.plan import DagPlan


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
