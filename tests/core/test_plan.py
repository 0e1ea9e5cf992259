"""Previews: the exact change, what it does and loses, which store it acts on, and why it is refused."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import pytest

from clawtop.core.health.judgement import judge
from clawtop.core.model import (
    AgentInfo,
    AuthConfig,
    AuthPart,
    AuthStore,
    ConfigSummary,
    Event,
    EventKind,
    Gateway,
    GatewayState,
    Generation,
    ModelRef,
    Problem,
    Session,
    Snapshot,
    UsageStats,
    Verdict,
    VerdictKind,
    plain_text,
)
from clawtop.core.operations.clear import clear_profile, clear_provider
from clawtop.core.operations.edit import (
    AuthState,
    ClearWindows,
    FieldChange,
    Restore,
    SetOrder,
    differences,
    field_change,
    fingerprint,
    moved_on,
)
from clawtop.core.operations.order import reset_order, rotate, set_order
from clawtop.core.operations.plan import Plan, PlanKind
from clawtop.core.operations.receipt import failure_event, intent_event
from clawtop.core.operations.undo import undo, undo_record, undoable
from clawtop.core.operations.unlock import unlock
from clawtop.errors import RefusedError
from tests.support.worlds import HOUR, INCIDENT, LOCKS, MAIN_PROFILES, NOW, SESSIONS, STATE_DIR, agent, profile

STATE_FILE = f"{STATE_DIR}/agents/main/agent/auth-state.json"
QUIET = replace(INCIDENT, gateway=Gateway(GatewayState.DEAD))


def places(plan: Plan) -> dict[str, tuple[Any, Any]]:
    return {change.where: (change.before, change.after) for change in plan.changes}


# --- clear -------------------------------------------------------------------------------------------------------


def test_clearing_a_profile_shows_every_field_and_keeps_when_it_was_used() -> None:
    plan = clear_profile(INCIDENT, "anthropic:max-reef")
    head = "usageStats.anthropic:max-reef."
    assert places(plan) == {
        head + "errorCount": (1, 0),
        head + "failureCounts": ({"rate_limit": 1}, None),
        head + "cooldownUntil": (NOW + 22_000, None),
        head + "cooldownReason": ("rate_limit", None),
    }
    assert (plan.kind, plan.agent, plan.file, plan.target) == (
        PlanKind.CLEAR,
        "main",
        STATE_FILE,
        "anthropic:max-reef",
    )
    assert plain_text(plan.effects[0]) == "anthropic:max-reef is usable at once instead of from 2026-11-20 03:12:29 UTC"
    assert plan.effects[1] == "agents that inherit this store are affected too: coder, ops"
    assert plan.loses == ("anthropic:max-reef's failure counts (rate_limit 1): the next failure counts as the first",)
    assert "the live gateway (pid 4711) does not see this" in plan.warnings[0]


def test_generation_a_writes_the_one_file_there_is() -> None:
    file = f"{STATE_DIR}/agents/main/agent/auth-profiles.json"
    world = replace(QUIET, generation=Generation.A, agents=(agent("main", MAIN_PROFILES, file=file),))
    plan = clear_profile(world, "anthropic:max-reef")
    assert plan.file == file
    assert plan.warnings == ()


def test_an_inherited_profile_is_cleared_in_its_owners_store() -> None:
    assert clear_profile(INCIDENT, "anthropic:max-reef", agent="coder").agent == "main"
    assert clear_profile(INCIDENT, "anthropic:coder-own").agent == "coder"


def inheriting(own: dict[str, UsageStats], shared: dict[str, UsageStats], *, owner: str = "main") -> Snapshot:
    """Agents main and ops with the profile p:one of `owner`; entries of ops's own, and of main's place."""
    main, ops = (
        AuthPart("main", "/main.json", frozenset({"p:one"}), shared),
        AuthPart("ops", "/ops.json", frozenset({"p:one"} if owner == "ops" else ()), own),
    )
    seen = {**shared, **own}.get("p:one", UsageStats())
    views = (
        AuthStore("main", "/main.json", (profile("p:one", shared.get("p:one", UsageStats())),), parts=(main,)),
        AuthStore("ops", "/ops.json", (profile("p:one", seen, owner=owner),), parts=(ops, main)),
    )
    return replace(QUIET, agents=tuple(AgentInfo(view.agent, "/a", "/s", store=view) for view in views), sessions=())


COOLING = UsageStats(error_count=1, cooldown_until=NOW + 9_000, cooldown_reason="rate_limit")


def steps(plan: Plan) -> list[tuple[str, list[str]]]:
    return [(step.owner, sorted({change.key for change in step.changes})) for step in plan.steps]


@pytest.mark.parametrize(
    ("world", "agent_id", "wanted"),
    [
        (inheriting({"p:one": COOLING}, {"p:one": COOLING}), None, ["ops", "main"]),
        (inheriting({"p:one": COOLING}, {"p:one": COOLING}), "ops", ["ops", "main"]),
        (inheriting({"p:one": COOLING}, {"p:one": COOLING}), "main", ["main"]),
        (inheriting({"p:one": COOLING}, {}), None, ["ops"]),
        (inheriting({}, {"p:one": COOLING}), "ops", ["main"]),
        (inheriting({}, {"p:one": COOLING}, owner="ops"), "ops", ["main"]),
        (inheriting({"p:one": COOLING}, {"p:one": COOLING}, owner="ops"), "ops", ["ops"]),
    ],
    ids=["both", "both, one agent", "own only", "own hides", "inherited", "same id", "same id, own entry"],
)
def test_an_entry_is_cleared_wherever_it_counts(world: Snapshot, agent_id: str | None, wanted: list[str]) -> None:
    plan = clear_profile(world, "p:one", agent=agent_id)
    assert steps(plan) == [(owner, ["p:one"]) for owner in wanted]


def test_a_clear_of_two_places_is_undone_in_both() -> None:
    plan = clear_profile(inheriting({"p:one": COOLING}, {"p:one": COOLING}), "p:one")
    data = {"id": "1", "kind": "clear", "title": "t", "undo": undo_record(plan.steps)}
    done = Event(NOW, EventKind.OPERATION, "operation", "done", data=json.loads(json.dumps(data)))
    clean = UsageStats(error_count=0)
    back = undo(inheriting({"p:one": clean}, {"p:one": clean}), (done,))
    assert sorted(steps(back)) == [("main", ["p:one"]), ("ops", ["p:one"])]
    with pytest.raises(RefusedError, match="changed since 1"):
        undo(inheriting({"p:one": COOLING}, {"p:one": clean}), (done,))


def test_a_profile_in_several_stores_needs_the_agent() -> None:
    own = profile("openai:prod", UsageStats(error_count=4), owner="coder")
    world = replace(QUIET, agents=(agent("main", MAIN_PROFILES), agent("coder", (own,))))
    with pytest.raises(RefusedError, match="is in the store of agent coder and in the store of agent main") as caught:
        clear_profile(world, "openai:prod")
    assert caught.value.hint == "name one with --agent"
    assert clear_profile(world, "openai:prod", agent="coder").changes[0].before == 4
    assert clear_profile(world, "openai:prod", agent="main").is_empty


def test_a_model_scope_clears_only_that_model() -> None:
    assert clear_profile(INCIDENT, "openai:batch", model="gpt-5.1").is_empty
    plan = clear_profile(INCIDENT, "openai:batch", model="gpt-5.2")
    assert places(plan)["usageStats.openai:batch.cooldownModel"] == ("gpt-5.2", None)
    assert "for model gpt-5.2" in plan.title


def test_another_window_is_told() -> None:
    stats = UsageStats(
        cooldown_until=NOW + 9_000,
        cooldown_reason="rate_limit",
        cooldown_model="m",
        disabled_until=NOW + 60_000,
        disabled_reason="billing",
    )
    world = replace(QUIET, agents=(agent("main", (profile("p:one", stats),)),))
    plan = clear_profile(world, "p:one", model="m")
    (effect,) = map(plain_text, plan.effects)
    assert effect == "p:one stays unusable until 2026-11-20 03:13:07 UTC, because of another window"


def only_account(stats: UsageStats) -> Snapshot:
    only = replace(agent("main", (profile("p:one", stats),)), models=(ModelRef("p", "m"),))
    return replace(QUIET, agents=(only,))


@pytest.mark.parametrize(
    ("stats", "words"),
    [
        (UsageStats(disabled_until=NOW + HOUR, disabled_reason="billing"), "its account has credit again"),
        (UsageStats(disabled_until=NOW + HOUR, disabled_reason="auth_permanent"), "its key or login is renewed"),
        (UsageStats(cooldown_until=NOW + HOUR, cooldown_reason="auth"), "its key or login is valid again"),
    ],
    ids=["billing", "revoked", "refused"],
)
def test_what_waiting_does_not_mend_is_not_called_usable(stats: UsageStats, words: str) -> None:
    world = only_account(stats)
    (effect,) = map(plain_text, clear_profile(world, "p:one").effects)
    assert "usable at once" not in effect
    assert effect.endswith(f"it keeps failing until {words}")
    remedies = [cause.remedy or "" for cause in judge(world, NOW).causes if cause.command == "clear"]
    assert remedies
    assert "wait" not in remedies[0]
    assert words in remedies[0]


def test_a_model_that_its_provider_does_not_have_is_replaced() -> None:
    world = only_account(UsageStats(cooldown_until=NOW + HOUR, cooldown_reason="model_not_found", cooldown_model="m"))
    assert plain_text(clear_profile(world, "p:one").effects[0]).endswith("until its provider has the model")
    (out,) = (cause for cause in judge(world, NOW).causes if cause.code == "models-out")
    assert "choose another with openclaw models set" in (out.remedy or "")


def test_a_rate_limit_is_over_once_it_is_cleared() -> None:
    stats = UsageStats(cooldown_until=NOW + HOUR, cooldown_reason="rate_limit")
    world = only_account(stats)
    assert plain_text(clear_profile(world, "p:one").effects[0]).startswith("p:one is usable at once")
    assert "wait, or clear the windows" in [cause.remedy for cause in judge(world, NOW).causes]


def test_a_provider_is_cleared_in_one_plan() -> None:
    plan = clear_provider(INCIDENT, "OpenAI ")
    assert {change.key for change in plan.changes} == {"openai:spare", "openai:batch", "openai:legacy"}
    assert "all 4 profiles" in plan.title
    with pytest.raises(RefusedError, match="coder and in the store of agent main"):
        clear_provider(INCIDENT, "anthropic")
    only = clear_provider(INCIDENT, "anthropic", agent="coder")
    assert {change.key for change in only.changes} == {"anthropic:coder-own"}


def test_nothing_to_do_is_not_an_error() -> None:
    plan = clear_profile(INCIDENT, "openai:prod")
    assert plan.is_empty
    assert plan.warnings == ()


def test_providers_that_ignore_cooldowns_are_named() -> None:
    world = replace(QUIET, agents=(agent("main", (profile("openrouter:x", UsageStats(error_count=1)),)),))
    assert "OpenClaw ignores cooldowns of openrouter anyway" in clear_profile(world, "openrouter:x").warnings


def only_read(why: str) -> Snapshot:
    """A world whose store can be read and must not be written."""
    main = agent("main", MAIN_PROFILES)
    assert main.store is not None
    parts = tuple(replace(part, why_not_writable=why) for part in main.store.parts)
    return replace(INCIDENT, agents=(replace(main, store=replace(main.store, parts=parts)),))


@pytest.mark.parametrize(
    ("world", "why"),
    [
        (only_read("schema version 99 is newer"), "no auth store here can be written: schema version 99 is newer"),
        (replace(INCIDENT, generation=None), "generation of this state directory is not known"),
        (replace(INCIDENT, judged_at=NOW), "viewed as of another time"),
        (replace(INCIDENT, agents=()), "there is no agent"),
    ],
)
def test_what_cannot_be_written_is_refused_before_anything(world: Snapshot, why: str) -> None:
    for make in (clear_provider, rotate, reset_order):
        with pytest.raises(RefusedError, match=why):
            make(world, "anthropic")


def test_a_store_that_cannot_be_read_is_refused_by_the_name_of_what_is_damaged() -> None:
    main = agent("main", MAIN_PROFILES)
    assert main.store is not None
    shared = Problem("corrupt", "/s/state/openclaw.sqlite", "is damaged")
    broken = replace(main, store=replace(main.store, problem=shared))
    with pytest.raises(RefusedError, match=r"^/s/state/openclaw\.sqlite cannot be read: it is damaged\."):
        clear_profile(replace(QUIET, agents=(broken,)), "openai:prod")


def test_unknown_names_are_refused_and_shown_safely() -> None:
    with pytest.raises(RefusedError, match=r"no profile no\\x1b"):
        clear_profile(INCIDENT, "no\x1b[31m")
    with pytest.raises(RefusedError, match="there is no agent nobody"):
        clear_profile(INCIDENT, "openai:prod", agent="nobody")


# --- rotate ------------------------------------------------------------------------------------------------------


def test_rotating_without_an_order_says_what_storing_one_switches_off() -> None:
    plan = rotate(INCIDENT, "openai", agent="main")
    ((before, after),) = places(plan).values()
    assert before is None
    assert [change.where for change in plan.changes] == ["order.openai"]
    assert sorted(after) == ["openai:batch", "openai:legacy", "openai:prod", "openai:spare"]
    assert plain_text(plan.effects[0]).startswith(f"{after[0]} is tried first, {after[-1]} last")
    assert "rotation of openai by last use is off while an order is stored" in plan.effects
    assert any("added later are left out until clawtop rotate openai --reset" in text for text in plan.effects)
    assert any("pinned sessions stay pinned" in text and "to openai:prod" in text for text in plan.warnings)


def ordered(stored: dict[str, tuple[str, ...]], configured: dict[str, tuple[str, ...]]) -> Snapshot:
    profiles = tuple(profile(f"p:{name}") for name in ("one", "two", "three"))
    config = ConfigSummary(auth=AuthConfig(order=configured))
    return replace(QUIET, agents=(agent("main", profiles, order=stored),), config=config, sessions=())


def test_a_stored_order_moves_its_head_and_keeps_its_spelling() -> None:
    plan = rotate(ordered({"P": ("p:two", "p:one")}, {}), "p")
    assert places(plan) == {"order.P": (["p:two", "p:one"], ["p:one", "p:two"])}
    assert plan.loses == ("the order stored before: p:two > p:one",)
    assert not any("last use" in text for text in plan.effects)


def test_a_configured_order_is_shadowed_and_that_is_said() -> None:
    plan = rotate(ordered({}, {"p": ("p:three", "p:one", "p:two")}), "p")
    assert places(plan) == {"order.p": (None, ["p:one", "p:two", "p:three"])}
    assert "the order of p in openclaw.json is no longer used (the stored one shadows it)" in plan.effects


def test_a_listed_profile_that_cannot_be_tried_now_keeps_a_place() -> None:
    world = ordered({"p": ("p:one", "p:two", "p:three")}, {})
    main = world.agents[0]
    assert main.store is not None
    faulty = replace(main.store.profiles[1], credential=replace(main.store.profiles[1].credential, has_secret=False))
    rows = (main.store.profiles[0], faulty, main.store.profiles[2])
    world = replace(world, agents=(replace(main, store=replace(main.store, profiles=rows)),))
    ((_, after),) = places(rotate(world, "p")).values()
    assert after == ["p:three", "p:one", "p:two"]


def test_an_order_that_names_a_profile_twice_stores_it_once() -> None:
    plan = set_order(ordered({}, {}), "p", ["p:two", "p:one", "p:two"])
    assert places(plan) == {"order.p": (None, ["p:two", "p:one"])}
    assert "paused, no longer tried: p:three" in plan.effects


def test_one_profile_cannot_be_rotated() -> None:
    with pytest.raises(RefusedError, match="has one usable profile"):
        rotate(replace(QUIET, agents=(agent("main", (profile("p:one"),)),)), "p")


def test_reset_removes_the_stored_order_and_says_what_decides_then() -> None:
    plan = reset_order(ordered({"p": ("p:two", "p:one")}, {"p": ("p:one",)}), "p")
    assert places(plan) == {"order.p": (["p:two", "p:one"], None)}
    assert plan.effects == ("the order in openclaw.json is used again",)
    assert reset_order(ordered({}, {}), "p").is_empty


# --- unlock ------------------------------------------------------------------------------------------------------

STALE, HELD, _, AUTH, GATEWAY_LOCK = LOCKS


@pytest.mark.parametrize(
    "target", [STALE.file.path, SESSIONS[2].key, SESSIONS[2].session_id, SESSIONS[2].file], ids=lambda text: text[-12:]
)
def test_a_proven_lock_is_found_by_any_name_and_pinned(target: str) -> None:
    plan = unlock(INCIDENT, target)
    assert plan.lock == STALE.file
    assert plan.proof == ("dead-pid",)
    assert plan.target == STALE.file.path
    assert "OpenClaw would remove it itself the next time it needs the lock" in plan.effects
    assert "cannot be undone" in plan.loses[0]
    assert plan.effects[0] == f"runs that wait for {SESSIONS[2].key} can continue"
    unknown = unlock(replace(INCIDENT, sessions=()), STALE.file.path)
    assert (
        unknown.effects[0]
        == f"runs that wait for {STALE.file.path.rpartition('/')[2].removesuffix('.lock')} can continue"
    )
    other = replace(STALE.file, identity=replace(STALE.file.identity, ino=1))
    assert unlock(replace(INCIDENT, locks=(replace(STALE, file=other),)), target).fingerprint != plan.fingerprint


@pytest.mark.parametrize(
    ("target", "why"),
    [
        (HELD.file.path, r"not proven dead \(owner lives"),
        (AUTH.file.path, r"not proven dead \(not readable as a lock\).*stop the gateway.*only then remove it by hand"),
        (GATEWAY_LOCK.file.path, "gateway's own lock is never removed.*Stop the gateway"),
        ("agent:main:nothing", "there is no lock of agent:main:nothing"),
    ],
)
def test_other_locks_are_refused(target: str, why: str) -> None:
    with pytest.raises(RefusedError, match=why):
        unlock(INCIDENT, target)


def test_a_lock_is_found_by_its_name_on_screen_and_without_its_directories() -> None:
    shown_as = {STALE.file.path: "the stale one", HELD.file.path: "both", AUTH.file.path: "both"}
    assert unlock(INCIDENT, "the stale one", shown_as=shown_as).lock == STALE.file
    assert unlock(INCIDENT, STALE.file.path.rpartition("/")[2]).lock == STALE.file
    with pytest.raises(RefusedError, match="both has several locks"):
        unlock(INCIDENT, "both", shown_as=shown_as)


def test_a_dead_gateways_lock_leaves_nothing_to_do() -> None:
    dead = replace(
        GATEWAY_LOCK,
        verdict=Verdict(VerdictKind.STALE, ("dead-pid",)),
        openclaw=replace(GATEWAY_LOCK.openclaw, would_remove=True),
    )
    with pytest.raises(RefusedError, match=r"OpenClaw removes it itself at the next start.*Nothing to do"):
        unlock(replace(INCIDENT, locks=(dead,)), dead.file.path)


def test_only_what_has_a_lock_is_suggested() -> None:
    without = next(one for one in SESSIONS if one.file not in {lock.file.path[:-5] for lock in LOCKS})
    with pytest.raises(RefusedError, match=f"{re.escape(without.key)} has no lock"):
        unlock(INCIDENT, without.key)
    with pytest.raises(RefusedError) as refused:
        unlock(INCIDENT, without.key + "x")
    assert f"did you mean {without.key}?" not in str(refused.value)


def test_a_name_with_several_locks_is_refused() -> None:
    twin = replace(STALE, file=replace(STALE.file, path=STALE.file.path.replace("main", "other"), agent="other"))
    world = replace(INCIDENT, locks=(STALE, twin))
    assert SESSIONS[2].session_id is not None
    with pytest.raises(RefusedError, match="has several locks"):
        unlock(world, SESSIONS[2].session_id)
    assert unlock(world, SESSIONS[2].session_id, agent="other").lock == twin.file


# --- undo --------------------------------------------------------------------------------------------------------


def journaled(plan: Plan, id_: str, at: int = NOW) -> Event:
    changes = [change.to_json() for change in plan.changes]
    data: dict[str, Any] = {"id": id_, "kind": plan.kind.value, "title": plan.title}
    data["undo"] = {"agent": plan.agent, "changes": changes}
    if plan.undoes:
        data["undoes"] = plan.undoes
    return Event(at, EventKind.OPERATION, "operation", "done", data=data)


def with_state(world: Snapshot, plan: Plan) -> Snapshot:
    """The world after the plan was executed."""
    (step,) = plan.steps
    main = world.agents[0]
    assert main.store is not None
    store = main.store
    state = step.edit(AuthState({row.id: row.stats for row in store.profiles}, store.order))
    rows = tuple(replace(row, stats=state.stats[row.id]) for row in store.profiles)
    return replace(world, agents=(agent("main", rows, order=dict(state.order)),))


def test_undo_restores_the_values_and_the_absence() -> None:
    world = replace(QUIET, agents=(agent("main", MAIN_PROFILES),))
    clear, turn = clear_profile(world, "openai:batch"), rotate(world, "openai")
    events = (journaled(clear, "1"), journaled(turn, "2"))
    after = with_state(with_state(world, clear), turn)

    last = undo(after, events)
    assert last.undoes == "2"
    ((before, restored),) = places(last).values()
    assert (before is None, restored) == (False, None)

    first = undo(after, events, "1")
    back = with_state(after, first)
    assert back.agents[0].store is not None
    assert back.agents[0].store.profiles == MAIN_PROFILES


def test_undo_is_refused_when_the_state_has_moved_on() -> None:
    world = replace(QUIET, agents=(agent("main", MAIN_PROFILES),))
    event = journaled(clear_profile(world, "openai:batch"), "1")
    with pytest.raises(RefusedError, match=r"changed since 1: usageStats.openai:batch"):
        undo(world, (event,))


@pytest.mark.parametrize("named", [None, "1"])
def test_undo_is_refused_when_the_state_has_moved_on_named_or_not(named: str | None) -> None:
    world = replace(QUIET, agents=(agent("main", MAIN_PROFILES),))
    events = (journaled(clear_profile(world, "openai:batch"), "1"),)
    with pytest.raises(RefusedError, match="changed since 1"):
        undo(world, events, named)


def test_what_was_undone_is_not_undone_again_and_undos_do_not_alternate() -> None:
    world = replace(QUIET, agents=(agent("main", MAIN_PROFILES),))
    clear = clear_profile(world, "openai:batch")
    done = journaled(clear, "1")
    back = undo(with_state(world, clear), (done,))
    events = (done, journaled(back, "2"))
    assert undoable(events) == ()
    with pytest.raises(RefusedError, match="there is nothing to undo"):
        undo(world, events)
    with pytest.raises(RefusedError, match="no operation 9 can be undone"):
        undo(world, events, "9")


def begun(plan: Plan, id_: str) -> Event:
    event = intent_event(plan, id_, at=NOW, by="me", reason="")
    return replace(event, data=json.loads(json.dumps(event.data)))


def test_what_was_begun_and_never_ended_is_undone_first_where_it_stands() -> None:
    world = replace(QUIET, agents=(agent("main", MAIN_PROFILES),))
    clear, turn = clear_profile(world, "openai:batch"), rotate(world, "openai")
    events = (begun(clear, "1"), journaled(clear, "1"), begun(turn, "2"))
    both = with_state(with_state(world, clear), turn)
    plan = undo(both, events)
    assert plan.undoes == "2"
    assert "its end was not recorded" in plan.title
    assert undo(both, events, "1").undoes == "1"
    only_clear = with_state(world, clear)
    assert undo(only_clear, events).undoes == "1"  # killed before it changed anything
    with pytest.raises(RefusedError, match="2 was started but never finished"):
        undo(only_clear, events, "2")


def test_what_was_begun_and_failed_is_not_undone() -> None:
    world = replace(QUIET, agents=(agent("main", MAIN_PROFILES),))
    turn = rotate(world, "openai")
    events = (begun(turn, "2"), failure_event(turn, "2", at=NOW, why="full"))
    assert undoable(events) == ()
    back = undo(with_state(world, turn), (begun(turn, "2"),))
    assert undoable((begun(turn, "2"), begun(back, "3"), journaled(back, "3"))) == ()


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"id": "1", "kind": "clear", "title": "t", "undo": {"agent": "main", "changes": []}},
        {"id": "1", "kind": "clear", "title": "t", "undo": {"agent": "main", "changes": [{"section": "profiles"}]}},
        {"id": "1", "kind": "clear", "title": "t", "undo": {"changes": [{}]}},
        {"id": 1, "undo": []},
    ],
)
def test_garbage_in_the_journal_offers_nothing(data: dict[str, Any]) -> None:
    assert undoable((Event(NOW, EventKind.OPERATION, "operation", "x", data=data),)) == ()


# --- edits -------------------------------------------------------------------------------------------------------


def test_differences_and_restore_are_inverse() -> None:
    before = AuthState({"a": UsageStats(error_count=2, failure_counts={"auth": 2})}, {"p": ("a",)}, {"p": "a"})
    after = SetOrder("q", ("a", "b"))(SetOrder("p", None)(ClearWindows(("a",))(before)))
    changes = differences(before, after)
    assert {change.where for change in changes} == {
        "usageStats.a.errorCount",
        "usageStats.a.failureCounts",
        "order.p",
        "order.q",
    }
    assert Restore(changes)(before) == after
    assert Restore(tuple(change.inverted() for change in changes))(after) == before
    assert moved_on(before, changes) == ()
    assert {change.where for change in moved_on(after, changes)} == {change.where for change in changes}
    assert all(field_change(change.to_json()) == change for change in changes)
    assert fingerprint(changes) == fingerprint(differences(before, after))
    assert fingerprint(changes) != fingerprint(changes[1:])


def test_last_good_is_restored_too() -> None:
    change = FieldChange("lastGood", "p", None, None, "a")
    state = Restore((change,))(AuthState())
    assert state.last_good == {"p": "a"}
    assert Restore((change.inverted(),))(state) == AuthState()


def test_a_session_of_another_provider_is_not_counted_as_pinned() -> None:
    stray = Session("main", "agent:main:x", None, None, profile="q:one")
    world = replace(ordered({}, {}), sessions=(stray,))
    assert not any("pinned" in text for text in rotate(world, "p").warnings)
