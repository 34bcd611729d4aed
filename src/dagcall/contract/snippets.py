"""A call, ready to paste."""

import json
import shlex
from typing import Any
from urllib.parse import quote


def curl(url: str, dag_id: str, params: dict[str, Any]) -> str:
    target = shlex.quote(f"{url}/call/{quote(dag_id, safe='')}")
    return f"curl {target} -H 'Content-Type: application/json' -d {shlex.quote(json.dumps(params))}"


def python(url: str, dag_id: str, params: dict[str, Any]) -> str:
    given = f", {params!r}" if params else ""
    return f"import dagcall\n\nprint(dagcall.Client({url!r}).call({dag_id!r}{given}))"


def cli(dag_id: str, params: dict[str, Any]) -> str:
    given = "".join(f" -p {shlex.quote(f'{name}={json.dumps(value)}')}" for name, value in params.items())
    return f"dagcall call {shlex.quote(dag_id)}{given}"
