"""Whose lease has run out, as far as a server may judge. Pure: it is told what the database says, and when.

A server renews its own lease with every look at those of others. When little was left of its own, the database was away,
or its clock jumped, or this server stood still: the same may be why others have not renewed theirs. So from then on, and
from its own beginning on, it judges nobody for a while, in which whoever lives comes back. A lease that was given up is
another matter: that is never judged, but told.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple


class Terms(NamedTuple):
    """Seconds: how long a lease lasts, and how often it is renewed."""

    lease: float = 2.0
    beat: float = 0.5

    @property
    def settling(self) -> float:
        """How long nobody is judged: after an outage everybody needs time to connect, be it at the second try."""
        return 2 * self.lease


TERMS: Final = Terms()


class Lookout:
    """`now` is any clock of this machine that does not jump, in seconds."""

    def __init__(self, terms: Terms, now: float) -> None:
        self._terms = terms
        self._judges_from = now + terms.settling

    def renewed(self, left: float, now: float) -> None:
        """This server's own lease, of which so many seconds had been left."""
        if left < self._terms.lease / 2:
            self._judges_from = now + self._terms.settling

    def gone(self, others: Iterable[tuple[int, float | None]], now: float) -> list[int]:
        """Of the other servers, each with the seconds left of its lease (None: given up), those that have ended."""
        judges = now >= self._judges_from
        return [epoch for epoch, left in others if left is None or (judges and left < 0)]
