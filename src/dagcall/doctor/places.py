"""Where in a DAG file something is said: lines of DAGs, tasks, and their arguments. Pure; the file is read, never run.

A file that makes its DAGs in a loop or elsewhere has no line that could be told: then it is the file's first.
"""

import ast
from collections.abc import Iterator
from itertools import chain


class Places:
    """`source`: that of one file; one that is no Python has no places."""

    def __init__(self, source: str) -> None:
        try:
            self._nodes = list(ast.walk(ast.parse(source)))
        except (SyntaxError, ValueError, RecursionError):
            self._nodes = []

    def line(self, dag_id: str, task_id: str | None = None, argument: str = "") -> int:
        """Of an argument of a task or DAG; else of the task or DAG itself."""
        found = list(self._makers(dag_id, task_id))
        in_place = chain.from_iterable(_arguments(one, argument) for one in found)
        in_defaults = self._defaults(argument)
        starts = (one.lineno for one in found)
        of_dag = (one.lineno for one in self._makers(dag_id, None))
        return next(chain(in_place, in_defaults, starts, of_dag), 1)

    def _makers(self, dag_id: str, task_id: str | None) -> Iterator[ast.Call | ast.FunctionDef | ast.AsyncFunctionDef]:
        """What makes a task, or the DAG: a call that names it, a decorated function that is called like it."""
        wanted, keyword = (dag_id, "dag_id") if task_id is None else (task_id.rpartition(".")[2], "task_id")
        decorator = "dag" if task_id is None else "task"
        for node in self._nodes:
            if isinstance(node, ast.Call):
                if _constant(node, keyword) == wanted or (
                    task_id is None and _name(node.func) == "DAG" and node.args and _value(node.args[0]) == wanted
                ):
                    yield node
            elif (
                isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                and node.name == wanted
                and any(decorator in _names(one) for one in node.decorator_list)
            ):
                yield node

    def _defaults(self, argument: str) -> Iterator[int]:
        """`default_args`, which tasks have theirs from."""
        for node in self._nodes:
            if isinstance(node, ast.Dict):
                yield from (key.lineno for key in node.keys if key is not None and _value(key) == argument)


def _arguments(maker: ast.AST, argument: str) -> Iterator[int]:
    calls = maker.decorator_list if isinstance(maker, ast.FunctionDef | ast.AsyncFunctionDef) else [maker]
    for call in calls:
        if isinstance(call, ast.Call):
            yield from (one.value.lineno for one in call.keywords if one.arg == argument)


def _constant(call: ast.Call, keyword: str) -> object:
    return next((_value(one.value) for one in call.keywords if one.arg == keyword), None)


def _value(node: ast.AST) -> object:
    return node.value if isinstance(node, ast.Constant) else None


def _name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


def _names(node: ast.AST) -> set[str]:
    """All names of `task`, `task.virtualenv(...)`, `sdk.task(...)`."""
    return {_name(one) for one in ast.walk(node) if isinstance(one, ast.Attribute | ast.Name)}
