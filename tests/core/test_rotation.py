from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from clawtop.core.cooldown.profile_state import credential_fault
from clawtop.core.cooldown.stats import Schedule
from clawtop.core.model import AuthConfig, ConfigProfile, Credential, Profile, UsageStats
from clawtop.core.rotation.eligibility import REJECTIONS, order_query
from clawtop.core.rotation.order import (
    Order,
    cooling_check,
    first_profile,
    moved_to_end,
    next_profile,
    order_ids,
    resolve_order,
)
from tests.support.cooldowns import is_cooling
from tests.support.profile_strategies import NOW, models, profile_lists, schedules
from tests.support.rules import OLD, B, C, D

NO_CONFIG = AuthConfig()
NOTHING = UsageStats()


def key(name: str, stats: UsageStats = NOTHING, kind: str = "api_key", provider: str = "anthropic") -> Profile:
    return Profile(name, provider, Credential(kind, has_refresh=kind == "oauth"), "main", stats=stats)


def used(at: int) -> UsageStats:
    return UsageStats(last_used=at)


def cooling(until: int) -> UsageStats:
    return UsageStats(cooldown_until=NOW + until, cooldown_reason="overloaded")


def resolved(profiles: list[Profile], schedule: Schedule = B, **given: object) -> Order:
    stored = given.pop("stored", {})
    config = given.pop("config", NO_CONFIG)
    return resolve_order(order_query("anthropic", profiles, stored, config, NOW, schedule, **given))  # type: ignore[arg-type]


# --- the order ---------------------------------------------------------------------------------------------------


def test_six_accounts_take_turns_by_last_use() -> None:
    accounts = [key(f"p{n}", used(n)) for n in (3, 1, 4, 6, 5, 2)]
    order = resolved(accounts).ids
    assert order == ("p1", "p2", "p3", "p4", "p5", "p6")
    accounts = [replace(p, stats=used(7)) if p.id == "p1" else p for p in accounts]
    assert resolved(accounts).ids[0] == "p2"


def test_logins_before_tokens_before_keys_and_the_never_used_first() -> None:
    profiles = [key("k", used(1)), key("t", used(9), "token"), key("o", used(9), "oauth"), key("o2", NOTHING, "oauth")]
    assert resolved(profiles).ids == ("o2", "o", "t", "k")


def test_cooling_profiles_stand_last_by_the_end_of_their_windows() -> None:
    profiles = [key("late", cooling(90), "oauth"), key("soon", cooling(10)), key("free")]
    order = resolved(profiles)
    assert order.ids == ("free", "soon", "late")
    assert [ranked.cooling_until for ranked in order.ranks] == [None, NOW + 10, NOW + 90]
    assert [ranked.rank for ranked in order.ranks] == [1, 2, 3]


def test_a_written_order_is_kept_apart_from_the_cooling() -> None:
    profiles = [key("a", used(9)), key("b", cooling(9)), key("c", used(1))]
    order = resolved(profiles, stored={"Anthropic": ["b", "a", "c"]}, config=AuthConfig(order={"anthropic": ("c",)}))
    assert order.ids == ("a", "c", "b")
    assert order.explicit_source == "store"


def test_everything_left_out_is_told_with_its_reason() -> None:
    profiles = [
        key("fine"),
        Profile("empty", "anthropic", Credential("api_key", has_secret=False), "main"),
        Profile("old", "anthropic", Credential("token", expires=NOW), "main"),
        Profile("odd", "anthropic", Credential("token", expires=0), "main"),
        key("other", provider="openai"),
        key("mode"),
        key("unlisted"),
    ]
    listed = ("fine", "empty", "old", "odd", "other", "mode", "gone")
    config = AuthConfig(
        order={"anthropic": listed},
        profiles={"mode": ConfigProfile("anthropic", "oauth"), "fine": ConfigProfile("anthropic", "api_key")},
    )
    order = resolved(profiles, config=config)
    assert order.ids == ("fine",)
    assert order.explicit_source == "config"
    assert {rejected.id: rejected.code for rejected in order.rejected} == {
        "empty": "no-credential",
        "old": "expired",
        "odd": "invalid-expires",
        "other": "provider-mismatch",
        "mode": "mode-mismatch",
        "gone": "profile-missing",
        "unlisted": "not-listed",
    }
    assert {rejected.why for rejected in order.rejected} == set(REJECTIONS.values())


def test_a_token_may_stand_where_the_config_says_oauth() -> None:
    config = AuthConfig(profiles={"t": ConfigProfile("anthropic", "oauth")})
    assert resolved([key("t", kind="token")], config=config).ids == ("t",)


def test_profiles_of_the_config_leave_the_others_out() -> None:
    config = AuthConfig(profiles={"b": ConfigProfile("anthropic", "api_key")})
    order = resolved([key("a"), key("b")], config=config)
    assert order.ids == ("b",)
    assert [rejected.code for rejected in order.rejected] == ["not-listed"]
    assert order.explicit_source is None


def test_a_stored_order_of_vanished_profiles_is_repaired_from_2026_6_on() -> None:
    profiles = [key("k"), key("o", NOTHING, "oauth")]
    stored = {"anthropic": ["gone"]}
    assert resolved(profiles, B, stored=stored).ids == ()
    assert resolved(profiles, C, stored=stored).ids == ("o", "k")
    assert resolved([key("other", provider="openai")], C, stored=stored).ids == ()


def test_an_empty_stored_order_means_none() -> None:
    assert resolved([key("a")], C, stored={"anthropic": []}).ids == ()


def test_a_preferred_profile_goes_first_even_while_it_cools() -> None:
    profiles = [key("a"), key("b", cooling(5))]
    order = resolved(profiles, preferred="b")
    assert order.ids == ("b", "a")
    assert "preferred" in order.ranks[0].why
    assert resolved(profiles, preferred="unheard-of").ids == ("a", "b")


def test_only_2026_9_heeds_the_model_in_the_order() -> None:
    limited = UsageStats(cooldown_until=NOW + 9, cooldown_reason="rate_limit", cooldown_model="m1")
    profiles = [key("a", limited), key("b", used(1))]
    assert resolved(profiles, C, for_model="m2").ids == ("b", "a")
    assert resolved(profiles, D, for_model="m2").ids == ("a", "b")
    assert resolved(profiles, D, for_model="m1").ids == ("b", "a")


def test_an_expired_login_stands_behind_fresh_ones_in_2026_9() -> None:
    login = Credential("oauth", has_refresh=True, expires=NOW)
    profiles = [Profile("old", "anthropic", login, "main"), key("fresh", used(5), "oauth")]
    assert resolved(profiles, C).ids == ("old", "fresh")
    assert resolved(profiles, D).ids == ("fresh", "old")


def test_codex_borrows_the_api_keys_of_openai_in_2026_5() -> None:
    profiles = [key("o:key", provider="openai"), key("o:login", NOTHING, "oauth", "openai"), key("c", provider="codex")]
    profiles += [key("x", NOTHING, "oauth", "openai-codex")]

    def order(schedule: Schedule, stored: dict[str, list[str]]) -> tuple[str, ...]:
        return order_ids(order_query("openai-codex", profiles, stored, NO_CONFIG, NOW, schedule))

    assert order(B, {}) == ("x", "o:key")
    assert order(C, {}) == ("x",)
    assert order(B, {"openai": ["o:login", "o:key"]}) == ("x", "o:key")
    assert order(B, {"openai": ["o:key", "x"]}) == ("o:key", "x")


@pytest.mark.parametrize(
    ("stored", "asked", "schedule"),
    [
        ("Z.AI", "zai", B),
        ("volcengine-plan", "volcengine", B),
        ("minimax-cn", "minimax", D),
        ("bedrock", "amazon-bedrock", OLD),
    ],
)
def test_a_provider_has_many_names(stored: str, asked: str, schedule: Schedule) -> None:
    assert order_ids(order_query(asked, [key("a", provider=stored)], {}, NO_CONFIG, NOW, schedule)) == ("a",)


def test_2026_6_knows_no_spellings() -> None:
    assert order_ids(order_query("zai", [key("a", provider="z.ai")], {}, NO_CONFIG, NOW, C)) == ()


def test_a_pending_mark_counts_at_once() -> None:
    profiles = [key("a", used(1)), key("b", used(2))]
    order = resolved(profiles, pending={"a": NOW + 30_000})
    assert order.ids == ("b", "a")
    assert "mark pending" in order.ranks[1].why
    assert order.ranks[1].cooling_until == NOW + 30_000
    assert resolved(profiles, pending={"a": NOW}).ids == ("a", "b")


@given(profile_lists(), schedules, st.none() | models)
def test_the_order_is_a_permutation_of_the_eligible(
    profiles: tuple[Profile, ...], schedule: Schedule, model: str | None
) -> None:
    order = resolve_order(order_query("anthropic", profiles, {}, NO_CONFIG, NOW, schedule, for_model=model))
    eligible = {p.id for p in profiles if p.provider == "anthropic" and credential_fault(p.credential, NOW) is None}
    assert len(set(order.ids)) == len(order.ids)
    assert set(order.ids) == eligible
    assert order.ids == order_ids(order_query("anthropic", profiles, {}, NO_CONFIG, NOW, schedule, for_model=model))


@given(profile_lists(), schedules, st.data())
def test_no_profile_is_both_listed_and_rejected(
    profiles: tuple[Profile, ...], schedule: Schedule, data: st.DataObject
) -> None:
    names = st.lists(st.sampled_from(["p0", "p1", "p2", "p3", "gone"]), max_size=6)
    stored = data.draw(st.dictionaries(st.just("anthropic"), names))
    order = resolve_order(order_query("anthropic", profiles, stored, NO_CONFIG, NOW, schedule))
    rejected = [entry.id for entry in order.rejected]
    assert not set(order.ids) & set(rejected)
    assert len(set(rejected)) == len(rejected)
    assert {p.id for p in profiles if p.provider == "anthropic"} <= {*order.ids, *rejected}


@given(profile_lists(), schedules, st.none() | models, st.dictionaries(st.sampled_from(["p0", "p1"]), st.just(NOW + 1)))
def test_a_cooling_profile_is_never_chosen_while_a_usable_one_exists(
    profiles: tuple[Profile, ...], schedule: Schedule, model: str | None, pending: dict[str, int]
) -> None:
    check = cooling_check(profiles, NOW, schedule, for_model=model, pending=pending)
    ids = order_ids(order_query("anthropic", profiles, {}, NO_CONFIG, NOW, schedule, for_model=model, pending=pending))
    assume(ids)
    chosen = first_profile(ids, check, may_probe=True)
    assert chosen is not None
    if any(not check(id_) for id_ in ids):
        assert not check(chosen[0])
        assert chosen[1] is False
    following = next_profile(ids, chosen[0], check)
    assert following is None or not check(following)


@given(profile_lists(), schedules)
def test_cooling_profiles_follow_the_usable_ones(profiles: tuple[Profile, ...], schedule: Schedule) -> None:
    by_id = {p.id: p for p in profiles}
    ids = order_ids(order_query("anthropic", profiles, {}, NO_CONFIG, NOW, schedule))
    cool = [is_cooling(by_id[id_], None, NOW, schedule) for id_ in ids]
    assert cool == sorted(cool)


# --- within a run ------------------------------------------------------------------------------------------------


def test_a_run_goes_through_the_order_once() -> None:
    ids = ("a", "b", "c")
    busy = {"b"}.__contains__
    assert next_profile(ids, None, busy) == "a"
    assert next_profile(ids, "a", busy) == "c"
    assert next_profile(ids, "c", busy) is None
    assert next_profile(ids, "elsewhere", busy) == "a"
    assert next_profile(ids, "a", busy, locked=True) is None
    assert next_profile((), None, busy) is None


def test_the_first_profile_of_a_run() -> None:
    ids = ("a", "b")
    assert first_profile(ids, {"a"}.__contains__) == ("b", False)
    assert first_profile(ids, {"a", "b"}.__contains__) is None
    assert first_profile(ids, {"a", "b"}.__contains__, may_probe=True) == ("a", True)
    assert first_profile(ids, {"a", "b"}.__contains__, locked="b") == ("b", False)
    assert first_profile((), {"a"}.__contains__, may_probe=True) is None


def test_a_check_knows_windows_marks_and_strangers() -> None:
    check = cooling_check([key("a", cooling(5)), key("b")], NOW, B, pending={"b": NOW + 1, "c": NOW + 1})
    assert [check(id_) for id_ in ("a", "b", "c", "d")] == [True, True, True, False]


def test_a_forced_rotation_moves_the_head_to_the_end() -> None:
    assert moved_to_end(("a", "b", "c"), "a") == ("b", "c", "a")
    assert moved_to_end(("a", "b", "c"), "b") == ("a", "c", "b")
    assert moved_to_end(("a",), "a") == ("a",)
