"""Marks merged into statistics that may have moved on: by example and by property."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.cooldown.marking import Mark, merge
from clawtop.core.cooldown.stats import on_failure, on_success
from clawtop.core.model import UsageStats
from tests.support.cooldowns import is_cooling
from tests.support.rules import B

T = 1_700_000_000_000


def failure(at: int, reason: str = "rate_limit", **more: object) -> Mark:
    return Mark("main", "coral:larry", "coral", at, reason, **more)  # type: ignore[arg-type]


def success(at: int) -> Mark:
    return Mark("main", "coral:larry", "coral", at, None)


def test_a_late_mark_carries_the_time_of_its_failure() -> None:
    merged = merge(UsageStats(), [failure(T)], B)
    assert merged.stats.cooldown_until == T + 30_000
    assert merged.stats.last_failure_at == T
    assert merged.overtaken == ()


def test_a_failure_that_a_success_on_disk_overtook_changes_nothing() -> None:
    stats = on_success(UsageStats(), T + 5, B)
    merged = merge(stats, [failure(T)], B)
    assert merged.stats == stats
    assert [mark.at for mark in merged.overtaken] == [T]


def test_a_failure_that_a_pending_success_overtook_is_named() -> None:
    merged = merge(UsageStats(), [success(T + 5), failure(T)], B)
    assert merged.stats.cooldown_until is None
    assert merged.stats.last_used == T + 5
    assert len(merged.overtaken) == 1


def test_a_success_does_not_undo_a_failure_that_came_after_it() -> None:
    failed = on_failure(UsageStats(), "rate_limit", T + 10, B)
    merged = merge(failed, [success(T)], B)
    assert merged.stats.cooldown_until == failed.cooldown_until
    assert merged.stats.last_used == T


def test_a_mark_that_may_have_landed_counts_once() -> None:
    landed = merge(UsageStats(), [failure(T)], B).stats
    again = merge(landed, [failure(T, maybe_landed=True)], B).stats
    assert again == landed
    assert merge(landed, [failure(T)], B).stats.error_count == 2


def test_time_does_not_go_back_for_a_mark_that_lands_after_a_younger_one() -> None:
    young = merge(UsageStats(), [failure(T + 100)], B).stats
    both = merge(young, [failure(T)], B).stats
    assert both.last_failure_at == T + 100
    assert both.error_count == 2
    assert both.cooldown_until == young.cooldown_until


marks = st.lists(
    st.builds(
        lambda at, reason: failure(T + at, reason) if reason else success(T + at),
        st.integers(0, 1000),
        st.sampled_from(["rate_limit", "billing", "overloaded", None]),
    ),
    max_size=8,
)


@given(marks, st.randoms())
def test_the_order_in_which_marks_arrive_does_not_matter(arrived: list[Mark], chance: object) -> None:
    distinct = list({mark.at: mark for mark in arrived}.values())
    shuffled = list(distinct)
    chance.shuffle(shuffled)  # type: ignore[attr-defined]
    assert merge(UsageStats(), distinct, B).stats == merge(UsageStats(), shuffled, B).stats


@given(marks)
def test_the_last_word_decides_whether_the_profile_cools(arrived: list[Mark]) -> None:
    distinct = sorted({mark.at: mark for mark in arrived}.values(), key=lambda mark: mark.at)
    stats = merge(UsageStats(), distinct, B).stats
    cools = is_cooling(stats, "coral", T + 1000, B)
    assert cools == (bool(distinct) and not distinct[-1].success)
