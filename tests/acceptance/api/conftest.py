"""One server for the tests of the documents, over small DAGs that do no harm whatever they are called with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from ..conftest import serving
from ..serving import Server


@pytest.fixture(scope="session")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    yield from serving(Server(tmp_path_factory.mktemp("described"), Path(__file__).parent / "dags", workers=8))
