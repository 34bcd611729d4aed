"""What `import dagcall` brings with it: tasks and servers import it too."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("name, forbidden", [("emit", ("httpx", "airflow")), ("Client", ("airflow", "uvicorn"))])
def test_a_name_imports_no_more_than_it_needs(name: str, forbidden: tuple[str, ...]) -> None:
    code = f"import sys, dagcall; dagcall.{name}; print(*sorted({{m.partition('.')[0] for m in sys.modules}}))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not set(forbidden) & set(loaded)


@pytest.mark.parametrize("module", ["dagcall.provider.get_provider_info"])
def test_what_airflow_imports_at_every_start_brings_next_to_nothing(module: str) -> None:
    code = f"import sys; before = set(sys.modules); import {module}; print(*sorted(set(sys.modules) - before))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in loaded if name.startswith("dagcall")}
    assert not {name.partition(".")[0] for name in loaded} & {"airflow", "fastapi", "httpx", "msgspec", "pydantic"}
    assert not {name for name in ours if name.startswith(("dagcall.client", "dagcall.server", "dagcall.cli"))}


def test_the_plugin_that_every_airflow_process_imports_brings_nothing_else() -> None:
    pytest.importorskip("airflow.sdk")
    code = (
        "import sys, airflow.sdk.plugins_manager; before = set(sys.modules); import dagcall.provider.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {name for name in loaded if not name.startswith("dagcall")} <= {"asyncio"}
    assert not {name for name in loaded if name.startswith(("dagcall.client", "dagcall.provider.call_view"))}
