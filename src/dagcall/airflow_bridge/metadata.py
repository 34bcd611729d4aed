"""What reads Airflow's metadata database has in common: sessions, errors that can be told, and a guard.

No SQL error leaves this process as it is: SQLAlchemy's messages have statements and parameters in them. What is told is
the kind of the error and, of those that speak of the connection to the database, the driver's own sentence.
"""

import functools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError, ProgrammingError, SQLAlchemyError

from dagcall.airflow_bridge.topics import NotNow

F = TypeVar("F", bound=Callable[..., Any])

_SPEAKS_OF_THE_DATABASE = (OperationalError, InterfaceError, ProgrammingError)
_CREDENTIALS = re.compile(r"(?<=://)[^/@\s]+@")

where = "Airflow's metadata database"
"""For people; `begin` of a topic may know better."""


@contextmanager
def session() -> Iterator[Any]:
    """A session of Airflow's; committed at the end."""
    from airflow.utils.session import create_session

    with create_session() as opened:
        yield opened


def told(error: BaseException) -> str:
    """An error in one line without secrets."""
    kind = type(error).__name__
    if isinstance(error, DBAPIError) and isinstance(error, _SPEAKS_OF_THE_DATABASE):
        return f"{kind}: {clean(str(error.orig))}"
    return kind


def clean(text: str) -> str:
    """The first line, without credentials in addresses and without what Airflow's masker knows for a secret."""
    from airflow._shared.secrets_masker import redact

    line = next(iter(text.strip().splitlines()), "")
    return str(redact(_CREDENTIALS.sub("***@", line)))[:300]


def reading(what: Callable[..., str]) -> Callable[[F], F]:
    """For a question: its database errors become `NotNow`. `what`, of its arguments: what could not be read."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(**arguments: Any) -> Any:
            try:
                return function(**arguments)
            except SQLAlchemyError as error:
                raise NotNow(f"{what(**arguments)}: {where} did not answer ({told(error)})") from None

        return wrapped  # type: ignore[return-value]

    return decorate


def use_no_database() -> None:
    """Airflow's own code, such as a bundle that asks for a Connection, finds none in the metadata database, and does not
    make an empty one by asking: there is none."""
    from airflow.secrets.metastore import MetastoreBackend

    def nothing(self: Any, *names: Any, **keywords: Any) -> None:
        return None

    MetastoreBackend.get_connection = nothing  # type: ignore[method-assign]
    MetastoreBackend.get_variable = nothing  # type: ignore[method-assign]
