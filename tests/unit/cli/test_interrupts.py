"""An interrupt comes when it may."""

import signal

import pytest

from dagcall.cli.interrupts import held_back


def interrupted(times: int) -> list[str]:
    """What was done of a body that is interrupted."""
    done: list[str] = []
    try:
        with held_back():
            for _ in range(times):
                signal.raise_signal(signal.SIGINT)
            done.append("the rest")
    except KeyboardInterrupt:
        done.append("interrupted")
    return done


@pytest.mark.parametrize("times, done", [(0, ["the rest"]), (1, ["the rest", "interrupted"]), (2, ["interrupted"])])
def test_the_first_comes_when_all_is_done_and_a_second_at_once(times: int, done: list[str]) -> None:
    assert interrupted(times) == done
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_who_ignores_them_goes_on_doing_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert interrupted(2) == ["the rest"]
    finally:
        signal.signal(signal.SIGINT, before)
