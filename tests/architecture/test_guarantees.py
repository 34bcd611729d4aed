"""Every test that `docs/guarantees.md` names as evidence is there, and every promise has one."""

import ast
import re
from collections.abc import Mapping
from pathlib import Path

PAGE = Path("docs/guarantees.md")
_NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_test_that_is_named_is_there(texts: Mapping[Path, str]) -> None:
    named = _NAMED.findall(texts[PAGE])
    assert len(named) > 40
    missing = [f"{path}::{test}" for path, test in named if test not in _functions(texts.get(Path(path), ""))]
    assert missing == []


def test_every_promise_has_a_test(texts: Mapping[Path, str]) -> None:
    rows = re.findall(r"^\| (P\d+) \|.*$", texts[PAGE], re.MULTILINE)
    assert rows == [f"P{number}" for number in range(1, 11)]
    for row in re.findall(r"^\| P\d+ \|.*$", texts[PAGE], re.MULTILINE):
        assert _NAMED.search(row), row


def _functions(text: str) -> set[str]:
    tree = ast.parse(text)
    return {one.name for one in ast.walk(tree) if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef)}
