"""One served folder for all tests that only add files to it."""

from collections.abc import Iterator
from textwrap import dedent

import pytest

from .serving import Serving

VARIABLES = """\
region: north
limits: '{"rows": 7}'
"""
CONNECTIONS = """\
from_file: postgresql://reader:pw@db.example:5433/sales
"""


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """With Variables and Connections in its environment and in a secrets backend."""
    base = tmp_path_factory.mktemp("served")
    (base / "variables.yaml").write_text(dedent(VARIABLES))
    (base / "connections.yaml").write_text(dedent(CONNECTIONS))
    backend = "airflow.secrets.local_filesystem.LocalFilesystemBackend"
    arguments = (
        f'{{"variables_file_path": "{base}/variables.yaml", "connections_file_path": "{base}/connections.yaml"}}'
    )
    with Serving(
        base / "dags",
        AIRFLOW_VAR_GREETING="hello",
        AIRFLOW_CONN_FROM_ENV="http://user:secret@host.example:8080/",
        AIRFLOW__SECRETS__BACKEND=backend,
        AIRFLOW__SECRETS__BACKEND_KWARGS=arguments,
        AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT="2",
    ) as serving:
        yield serving
