"""A served folder of its own: what these tests start would be among the runs that others count."""

from collections.abc import Iterator

import pytest

from ..serving import Serving


@pytest.fixture(scope="package")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    with Serving(tmp_path_factory.mktemp("runs") / "dags", workers=4) as serving:
        yield serving
