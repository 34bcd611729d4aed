"""Whose lease has run out: judged only by who kept its own."""

from dagcall.journal.lookout import Lookout, Terms

TERMS = Terms(lease=2.0, beat=0.5)
SETTLED = 100.0 + TERMS.settling


def lookout() -> Lookout:
    return Lookout(TERMS, 100.0)


def test_a_lease_that_has_run_out_is_gone_and_others_are_not() -> None:
    assert lookout().gone([(1, 0.3), (2, -0.1), (3, 2.0)], SETTLED) == [2]


def test_who_has_just_started_judges_nobody_but_takes_what_was_given_up() -> None:
    assert lookout().gone([(1, -50.0), (2, None)], SETTLED - 0.1) == [2]


def test_who_nearly_lost_its_own_lease_judges_nobody_for_a_while() -> None:
    """After an outage of the database, or a jump of its clock, or standing still, all leases look like that."""
    for left in (0.9, 0.0, -3600.0):
        looking = lookout()
        looking.renewed(left, SETTLED + 10.0)
        assert looking.gone([(1, -5.0)], SETTLED + 10.0) == []
        for beat in range(1, 8):
            looking.renewed(1.5, SETTLED + 10.0 + beat * TERMS.beat)
            assert looking.gone([(1, -5.0)], SETTLED + 10.0 + beat * TERMS.beat) == []
        assert looking.gone([(1, -5.0)], SETTLED + 10.0 + TERMS.settling) == [1]


def test_a_late_beat_is_no_outage() -> None:
    looking = lookout()
    looking.renewed(TERMS.lease - 1.5 * TERMS.beat, SETTLED)
    assert looking.gone([(1, -0.1)], SETTLED) == [1]
