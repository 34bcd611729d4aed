import os

import pytest


@pytest.fixture(autouse=True)
def without_the_machines_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("OTEL_")]:
        monkeypatch.delenv(name)
