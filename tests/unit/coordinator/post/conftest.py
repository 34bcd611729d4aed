from collections.abc import Iterator

import pytest

from .servers import end_all


@pytest.fixture(autouse=True)
def worlds_end() -> Iterator[None]:
    yield
    end_all()
