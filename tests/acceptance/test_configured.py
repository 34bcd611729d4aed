"""A server that is told everything by `airflow.cfg`."""

from .conftest import ServerFactory


def test_serve_needs_no_flags(serve: ServerFactory) -> None:
    server = serve(flags=False, workers=2)
    assert server.value("squares", n=3)["n"] == 3
    assert (server.home / "journal.db").is_file()
