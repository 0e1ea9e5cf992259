from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.cooldown.stats import ProfileState
from clawtop.core.model import (
    AgentInfo,
    AuthConfig,
    AuthStore,
    ConfigSummary,
    CooldownConfig,
    Credential,
    Generation,
    ModelRef,
    Profile,
    Session,
    Snapshot,
    UsageStats,
    WindowKind,
)
from clawtop.core.rotation.explanation import COMMON_REASONS, explain_profile
from clawtop.core.rotation.forecast import (
    Wave,
    chain_recovery,
    pinned_sessions,
    provider_recovery,
    schedule_of,
    stranded_sessions,
)
from tests.support.cooldowns import is_cooling
from tests.support.profile_strategies import NOW, models, profile_lists

CHAIN = (ModelRef("anthropic", "m1"), ModelRef("backup", "m9"))


def profile(name: str, stats: UsageStats | None = None, provider: str = "anthropic", owner: str = "main") -> Profile:
    return Profile(name, provider, Credential("api_key"), owner, stats=stats or UsageStats())


def cooling(ends_in: int, model: str | None = None) -> UsageStats:
    return UsageStats(
        error_count=1,
        failure_counts={"rate_limit": 1},
        last_failure_at=NOW - 1,
        cooldown_until=NOW + ends_in,
        cooldown_reason="rate_limit",
        cooldown_model=model,
    )


def agent(name: str, *profiles: Profile, order: tuple[str, ...] | None = None) -> AgentInfo:
    stored = {"anthropic": order} if order is not None else {}
    store = AuthStore(name, f"{name}/auth-profiles.json", profiles=profiles, order=stored)
    return AgentInfo(name, f"agents/{name}/agent", f"agents/{name}/sessions", models=CHAIN, store=store)


def session(key: str, pin: str, *, by: str = "auto", owner: str = "main", model: str | None = "m1") -> Session:
    return Session(owner, key, key, f"{key}.jsonl", provider="anthropic", model=model, profile=pin, profile_source=by)


def snapshot(*agents: AgentInfo, sessions: tuple[Session, ...] = (), version: str = "2026.5.20") -> Snapshot:
    return Snapshot(1, NOW, "host", "state", Generation.B, version, agents=agents, sessions=sessions)


# --- recoveries --------------------------------------------------------------------------------------------------


def test_a_usable_profile_means_now() -> None:
    main = agent("main", profile("a", cooling(5)), profile("b"))
    found = provider_recovery(snapshot(main), main, "anthropic", NOW)
    assert (found.at, found.usable, found.waves) == (NOW, ("b",), (Wave(NOW + 5, ("a",)),))


def test_windows_within_a_second_end_together() -> None:
    main = agent("main", *(profile(name, cooling(end)) for name, end in [("a", 900), ("b", 5000), ("c", 100)]))
    found = provider_recovery(snapshot(main), main, "anthropic", NOW)
    assert found.waves == (Wave(NOW + 100, ("c", "a")), Wave(NOW + 5000, ("b",)))
    assert found.at == NOW + 100


def test_nothing_comes_back_where_nothing_is_eligible() -> None:
    broken = replace(profile("a"), credential=Credential("api_key", has_secret=False))
    main = agent("main", broken)
    found = provider_recovery(snapshot(main), main, "anthropic", NOW)
    assert (found.at, found.usable, found.waves, found.rejected) == (None, (), (), 1)


def test_cooldowns_of_other_models_do_not_count() -> None:
    main = agent("main", profile("a", cooling(5, "m1")))
    state = snapshot(main)
    assert provider_recovery(state, main, "anthropic", NOW, model="m1").at == NOW + 5
    assert provider_recovery(state, main, "anthropic", NOW, model="m2").at == NOW
    assert provider_recovery(state, main, "anthropic", NOW).at == NOW + 5


def test_a_chain_is_back_with_its_first_link() -> None:
    main = agent("main", profile("a", cooling(900)), profile("z", cooling(300), "backup"))
    found = chain_recovery(snapshot(main), main, NOW)
    assert (found.at, found.model) == (NOW + 300, CHAIN[1])
    assert [link.at for link in found.links] == [NOW + 900, NOW + 300]
    both = agent("main", profile("a", cooling(300)), profile("z", cooling(300), "backup"))
    assert chain_recovery(snapshot(both), both, NOW).model == CHAIN[0]
    none = agent("main")
    assert chain_recovery(snapshot(none), none, NOW).at is None


def test_an_agent_without_a_store_has_nothing_to_wait_for() -> None:
    bare = replace(agent("main"), store=None)
    assert provider_recovery(snapshot(bare), bare, "anthropic", NOW).at is None


@given(profile_lists(), st.none() | models)
def test_at_the_forecast_time_something_is_usable_and_not_before(
    profiles: tuple[Profile, ...], model: str | None
) -> None:
    main = agent("main", *profiles)
    state = snapshot(main)
    found = provider_recovery(state, main, "anthropic", NOW, model=model)
    listed = {*found.usable, *(id_ for wave in found.waves for id_ in wave.ids)}
    mine = [entry for entry in profiles if entry.id in listed]
    schedule = schedule_of(state)
    assert (found.at is None) == (not mine)
    if found.at is not None:
        assert any(not is_cooling(entry, None, found.at, schedule, model) for entry in mine)
        assert found.at == NOW or all(is_cooling(entry, None, found.at - 1, schedule, model) for entry in mine)


def test_the_schedule_is_that_of_the_state_directory() -> None:
    state = snapshot(agent("main"), version="2026.5.20")
    config = ConfigSummary(auth=AuthConfig(cooldowns=CooldownConfig(billing_backoff_hours=2)))
    assert schedule_of(replace(state, config=config)).billing.after(1) == 2 * 3_600_000
    assert schedule_of(replace(state, openclaw_version=None, generation=Generation.D)).name == "9.x"


# --- sessions ----------------------------------------------------------------------------------------------------


def test_sessions_pinned_to_what_cannot_serve_them() -> None:
    main = agent("main", profile("a", cooling(5, "m1")), profile("b"))
    sessions = (
        session("waits", "a"),
        session("other-model", "a", model="m2"),
        session("fine", "b"),
        session("gone", "x", by="user"),
        replace(session("free", "a"), profile=None),
    )
    found = {entry.session.key: entry for entry in stranded_sessions(snapshot(main, sessions=sessions), NOW)}
    assert set(found) == {"waits", "gone"}
    assert (found["waits"].state, found["waits"].until, found["waits"].moves) == (ProfileState.COOLING, NOW + 5, True)
    assert (found["gone"].state, found["gone"].moves) == (None, True)


def test_a_pin_does_not_move_where_nothing_else_is_usable_or_the_version_holds_it() -> None:
    alone = agent("main", profile("a", cooling(5)))
    pinned = (session("s", "a", by="user"),)
    assert [entry.moves for entry in stranded_sessions(snapshot(alone, sessions=pinned), NOW)] == [False]
    two = agent("main", profile("a", cooling(5)), profile("b"))
    assert [entry.moves for entry in stranded_sessions(snapshot(two, sessions=pinned), NOW)] == [True]
    for version in ("2026.3.28", "2026.9.6"):
        firm = snapshot(two, sessions=pinned, version=version)
        assert [entry.moves for entry in stranded_sessions(firm, NOW)] == [False]


def test_the_same_id_in_another_agents_store_is_another_profile() -> None:
    shared, own = profile("a"), profile("a", owner="ops")
    state = snapshot(
        agent("main", shared),
        agent("heir", shared),
        agent("ops", own),
        sessions=(session("1", "a"), session("2", "a", owner="heir"), session("3", "a", owner="ops")),
    )
    assert [entry.key for entry in pinned_sessions(state, shared)] == ["1", "2"]
    assert [entry.key for entry in pinned_sessions(state, own)] == ["3"]


# --- explanations ------------------------------------------------------------------------------------------------


def test_a_cooling_profile_is_explained() -> None:
    main = agent("main", profile("a", cooling(20_000, "m1")), profile("b"), order=("a", "b"))
    state = snapshot(main, sessions=(session("s", "a"),))
    told = explain_profile(state, "a", NOW)
    assert told is not None
    assert (told.agent, told.order_source, told.is_next) == ("main", "store", False)
    assert told.place is not None
    assert (told.place.rank, told.place.cooling_until) == (2, NOW + 20_000)
    assert told.rejection is None
    assert (told.state, told.until) == (ProfileState.COOLING, NOW + 20_000)
    assert [(window.kind, window.model) for window in told.windows] == [(WindowKind.COOLDOWN, "m1")]
    assert set(told.costs) == set(COMMON_REASONS)
    assert told.costs["rate_limit"].keeps_window
    assert told.costs["billing"].duration_ms == 5 * 3_600_000
    assert told.counters_reset_at == NOW + 20_000
    assert told.recovery.usable == ("b",)
    assert [entry.key for entry in told.pinned] == ["s"]


def test_the_next_profile_is_named() -> None:
    told = explain_profile(snapshot(agent("main", profile("a"), profile("b"))), "a", NOW)
    assert told is not None
    assert told.is_next
    cools = explain_profile(snapshot(agent("main", profile("a", cooling(1)))), "a", NOW)
    assert cools is not None
    assert not cools.is_next


def test_a_profile_that_is_not_tried_is_explained() -> None:
    main = agent("main", profile("a"), profile("b"), order=("b",))
    told = explain_profile(snapshot(main), "a", NOW)
    assert told is not None
    assert told.place is None
    assert told.rejection is not None
    assert told.rejection.code == "not-listed"


def test_a_bypassing_provider_costs_nothing() -> None:
    told = explain_profile(snapshot(agent("main", profile("r", cooling(5), "openrouter"))), "r", NOW)
    assert told is not None
    assert (told.bypasses, told.costs, told.state, told.is_next) == (True, {}, ProfileState.USABLE, True)


def test_each_agent_has_its_own_view() -> None:
    state = snapshot(agent("main", profile("a")), agent("ops", profile("a"), profile("b"), order=("b", "a")))
    ranks = {}
    for name in ("main", "ops"):
        told = explain_profile(state, "a", NOW, agent=name)
        assert told is not None
        assert told.place is not None
        ranks[name] = told.place.rank
    assert ranks == {"main": 1, "ops": 2}
    assert explain_profile(state, "b", NOW, agent="main") is None
    assert explain_profile(state, "nobody", NOW) is None


def test_odd_statistics_are_told() -> None:
    told = explain_profile(snapshot(agent("main", profile("a", cooling(-5)))), "a", NOW)
    assert told is not None
    assert [problem.code for problem in told.problems] == ["lapsed-window"]
