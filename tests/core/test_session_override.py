from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.rotation.pins import Override, Pin, resolve_override
from clawtop.core.rules import Schedule
from tests.support.profile_strategies import schedules
from tests.support.rules import OLD, B

ORDER = ("a", "b", "c")
USER = Pin("b", "user")
AUTO = Pin("b", "auto", 0)


def resolve(pin: Pin, *cooling: str, schedule: Schedule = B, stored: str = "abc", **given: object) -> Override:
    serves, cools = set(stored).__contains__, set(cooling).__contains__
    return resolve_override(pin, ORDER, serves, cools, schedule, **given)  # type: ignore[arg-type]


def test_a_persons_pin_stays_in_its_session() -> None:
    assert resolve(USER) == Override("b", USER)


def test_a_persons_pin_gives_way_while_its_profile_cools_from_2026_5_on() -> None:
    assert resolve(USER, "b") == Override("a", Pin("a", "auto", 0))
    assert resolve(USER, "b", schedule=OLD) == Override("b", USER)
    assert resolve(USER, "a", "b", "c") == Override("b", USER)


def test_a_persons_pin_outside_the_order_is_dropped_by_2026_3() -> None:
    outside = Pin("x", "user")
    assert resolve(outside, stored="abcx") == Override("x", outside)
    assert resolve(outside, stored="abcx", schedule=OLD) == Override("a", Pin("a", "auto", 0))


@pytest.mark.parametrize("pin", [Pin("gone", "user"), Pin("gone", "auto", 0), Pin("  ", "user"), Pin()])
def test_a_pin_that_cannot_be_kept_starts_over(pin: Pin) -> None:
    assert resolve(pin, "a", compaction_count=4) == Override("b", Pin("b", "auto", 4))


def test_an_automatic_pin_moves_with_new_sessions_and_compactions() -> None:
    assert resolve(AUTO).profile == "b"
    assert resolve(AUTO, is_new_session=True).profile == "c"
    assert resolve(AUTO, "c", is_new_session=True).profile == "a"
    assert resolve(AUTO, compaction_count=1) == Override("c", Pin("c", "auto", 1))
    assert resolve(Pin("b", "auto", 3), compaction_count=3).profile == "b"


def test_an_automatic_pin_leaves_a_cooling_profile_for_the_first_usable() -> None:
    assert resolve(AUTO, "b").profile == "a"
    assert resolve(AUTO, "a", "b", "c").profile == "a"
    assert resolve(AUTO, "a", "b", "c", schedule=OLD).profile == "a"


def test_2026_3_goes_on_from_a_cooling_profile_in_a_new_session() -> None:
    assert resolve(AUTO, "b", is_new_session=True).profile == "a"
    assert resolve(AUTO, "b", is_new_session=True, schedule=OLD).profile == "c"


def test_a_new_session_moves_even_a_persons_pin_on() -> None:
    assert resolve(USER, is_new_session=True) == Override("c", Pin("c", "auto", 0))


def test_nothing_is_preferred_without_an_order() -> None:
    assert resolve_override(USER, (), "ab".__contains__, "".__contains__, B) == Override(None, USER)
    assert resolve_override(Pin("x", "user"), (), "ab".__contains__, "".__contains__, B) == Override(None, Pin())


pins = st.builds(
    Pin,
    profile=st.none() | st.sampled_from(["a", "b", "c", "x", "gone"]),
    source=st.none() | st.sampled_from(["user", "auto"]),
    compaction_count=st.none() | st.integers(0, 2),
)


@given(pins, st.sets(st.sampled_from("abcx")), schedules, st.booleans(), st.integers(0, 2))
def test_an_automatic_choice_cools_only_where_all_do(
    pin: Pin, cooling: set[str], schedule: Schedule, new: bool, compactions: int
) -> None:
    found = resolve_override(
        pin,
        ORDER,
        "abcx".__contains__,
        cooling.__contains__,
        schedule,
        is_new_session=new,
        compaction_count=compactions,
    )
    assert found.profile is not None or (schedule.pins_stay and cooling.issuperset(ORDER))
    if found.pin.pinned_by == "auto" and not cooling.issuperset(ORDER):
        assert found.profile not in cooling
    assert found.pin.profile == found.profile
