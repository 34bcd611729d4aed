from collections.abc import Iterator

import pytest

pytest.importorskip("airflow.sdk")

from ..serving import Serving


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("assets") / "dags") as serving:
        yield serving
