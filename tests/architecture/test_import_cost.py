"""What `import dagcall` brings with it: tasks and servers import it too."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name, forbidden", [("emit", ("httpx", "airflow")), ("Client", ("airflow", "uvicorn"))])
def test_a_name_imports_no_more_than_it_needs(name: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, dagcall; dagcall.{name}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(forbidden) & set(loaded)
