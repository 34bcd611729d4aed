"""What the benchmark says about its DAG files is so."""

import ast
from pathlib import Path
from typing import Any

import pytest
from plan import CRITICAL_PATH_MS, FULL, QUICK, WAIT_MS

DAGS = Path(__file__).parents[3] / "bench" / "dags"


@pytest.fixture
def realistic() -> ast.Module:
    return ast.parse((DAGS / "realistic.py").read_text())


def functions(module: ast.Module, name: str) -> dict[str, ast.FunctionDef]:
    (dag,) = (node for node in module.body if isinstance(node, ast.FunctionDef) and node.name == name)
    return {node.name: node for node in dag.body if isinstance(node, ast.FunctionDef)}


def calls(function: ast.FunctionDef, what: str) -> list[ast.Call]:
    return [node for node in ast.walk(function) if isinstance(node, ast.Call) and ast.unparse(node.func) == what]


def constant(module: ast.Module, name: str) -> Any:
    (value,) = (
        node.value for node in module.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name
    )
    return ast.literal_eval(value)


def test_the_critical_path_is_the_waits_in_a_row(realistic: ast.Module) -> None:
    assert constant(realistic, "WAIT") * 1000 == WAIT_MS
    waiting = [name for name, function in functions(realistic, "realistic").items() if calls(function, "time.sleep")]
    assert WAIT_MS * len(waiting) == CRITICAL_PATH_MS  # tasks of one name are mapped: they wait side by side
    assert f"Critical path: {CRITICAL_PATH_MS:g} ms" in (ast.get_docstring(realistic) or "")


def test_each_task_logs_three_lines(realistic: ast.Module) -> None:
    lines = {name: len(calls(function, "log.info")) for name, function in functions(realistic, "realistic").items()}
    assert lines == dict.fromkeys(("rephrase", "look_up", "merge", "verify", "answer"), 3)


def test_every_dag_of_a_plan_has_its_file() -> None:
    for plan in (QUICK, FULL):
        for load in (*plan.turns, *plan.crowds, *plan.control, *plan.stock, *plan.tuned):
            assert (DAGS / f"{load.dag_id}.py").is_file()
