"""What an author asks of dagcall with tags."""

import pytest

from dagcall.airflow_bridge.tags import refusals, wishes


def test_no_tag_asks_for_nothing() -> None:
    asked = wishes(["mine", "team:search"])
    assert (asked.isolation, asked.coalesce, asked.shares_with_everyone) == (False, False, False)
    assert (asked.cache_ttl, asked.most_workers, asked.durability, asked.on_restart) == (None, None, None, None)


def test_every_tag_is_heard() -> None:
    asked = wishes(
        ["dagcall:isolation=task", "dagcall:cache=60", "dagcall:workers=2", "dagcall:durability=none",
         "dagcall:on_restart=fail"]
    )  # fmt: skip
    assert (asked.isolation, asked.cache_ttl, asked.most_workers) == (True, 60.0, 2)
    assert (asked.durability, asked.on_restart) == ("none", "fail")


def test_of_two_that_contradict_each_other_the_safer_one_counts() -> None:
    asked = wishes(f"dagcall:{tag}" for tag in ("durability=none", "durability=power", "durability=process"))
    assert asked.durability == "power"
    assert wishes(["dagcall:on_restart=resume", "dagcall:on_restart=fail"]).on_restart == "fail"


@pytest.mark.parametrize(
    ("tag", "reason"),
    [
        ("dagcall:durability=disk", "it must be one of none, process, power"),
        ("dagcall:on_restart=", "it must be one of resume, fail"),
        ("dagcall:faster", "dagcall knows no such tag"),
        ("dagcall:workers=0", "a whole number above 0"),
        ("dagcall:cache=soon", "a number of seconds above 0"),
    ],
)
def test_a_tag_that_means_nothing_is_refused(tag: str, reason: str) -> None:
    (refusal,) = refusals([tag, "mine", "dagcall:coalesce"])
    assert tag in refusal.feature
    assert reason in refusal.reason
