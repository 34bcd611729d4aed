from dagcall.core.retries import MAX_RETRY_DELAY, may_retry, retry_delay
from dagcall.model.plan import Retry


def test_retries_are_tries_after_the_first() -> None:
    assert [may_retry(Retry(2), number) for number in (1, 2, 3)] == [True, True, False]
    assert not may_retry(Retry(0), 1)


def test_a_constant_delay_is_not_capped() -> None:
    assert retry_delay(Retry(1, delay=7.5, max_delay=1.0), "d", "t", None, 3) == 7.5


def test_exponential_delays_grow_with_a_jitter_that_never_changes() -> None:
    retry = Retry(9, delay=10.0, exponential_backoff=2.0)
    delays = [retry_delay(retry, "d", "t", None, number) for number in range(1, 6)]
    assert delays == [retry_delay(retry, "d", "t", None, number) for number in range(1, 6)]
    for number, delay in enumerate(delays):
        assert 10 * 2**number <= delay < 20 * 2**number
    assert retry_delay(retry, "d", "t", 1704067200.0, 1) != retry_delay(retry, "d", "t", None, 1)


def test_exponential_delays_are_capped() -> None:
    assert retry_delay(Retry(1, 10.0, 2.0, max_delay=12.0), "d", "t", None, 5) == 12.0
    assert retry_delay(Retry(1, 10.0, 2.0), "d", "t", None, 5000) == MAX_RETRY_DELAY
    assert retry_delay(Retry(1, 0.0, 2.0), "d", "t", None, 1) == 1.0
