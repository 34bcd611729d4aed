"""One server on the examples, as `make serve` starts it."""

from collections.abc import Iterator

import pytest

from ..conftest import serving
from ..serving import Server
from .sections import ROOT


@pytest.fixture(scope="package")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(Server(tmp_path_factory.mktemp("examples"), ROOT / "examples" / "dags"))
