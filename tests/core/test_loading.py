"""What makes a gateway take a change in, and which rows it has not loaded yet."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from clawtop.core.generations import SEMANTICS
from clawtop.core.model import (
    EndedTurn,
    Event,
    EventKind,
    Gateway,
    GatewayState,
    Profile,
    Snapshot,
    TurnOutcome,
    UsageStats,
    plain_text,
)
from clawtop.core.operations.clear import clear_profile
from clawtop.core.operations.edit import ClearWindows, FieldChange
from clawtop.core.operations.late import late_sight
from clawtop.core.operations.loaded import WRITE_SLACK_MS, all_out, as_gateway_knows, with_unloaded
from clawtop.core.operations.loading import loads, reload_loads
from clawtop.core.operations.order import rotate
from clawtop.core.operations.plan import PlanKind, StoreStep
from clawtop.core.operations.receipt import Receipt, Sight
from tests.core.test_plan import QUIET
from tests.support.worlds import CALM, NOW
from tests.support.worlds import profile as profile_of

STATS = (FieldChange("usageStats", "a:1", "cooldownUntil", 5, None),)
ORDER = (FieldChange("order", "a", None, None, ["a:1"]),)


@pytest.mark.parametrize(
    ("version", "changes", "out", "words", "reload"),
    [
        ("3.28", STATS, False, "at its next restart", False),
        ("3.28", ORDER, False, "at its next restart", False),
        ("5.x", STATS, False, "when it next writes a mark", True),
        ("5.x", STATS, True, "after a reload (--reload) or a restart: every", True),
        ("5.x", ORDER, True, "when it next writes a mark", True),
        ("6.11", STATS, True, "when it next writes a mark", True),
        ("8.x", STATS, False, "at the next turn that is answered, or after a restart", False),
        ("8.x", STATS, True, "after a restart: every", False),
        ("8.x", ORDER, True, "at the next turn that is answered, or after a restart", False),
        ("9.x", STATS, False, "when it next writes a mark", True),
    ],
)
def test_what_makes_it_load(
    version: str, changes: tuple[FieldChange, ...], out: bool, words: str, reload: bool
) -> None:
    remote = SEMANTICS[version].remote
    assert loads(changes, remote, all_out=out).startswith(words)
    assert reload_loads(remote) is reload


def cleared(at: int, *profiles: str, id_: str = "op-1") -> Event:
    changes = [FieldChange("usageStats", profile, "cooldownUntil", 5, None).to_json() for profile in profiles]
    data = {
        "id": id_,
        "kind": "clear",
        "title": "clear",
        "outcome": "done",
        "undo": {"agent": "main", "changes": changes},
    }
    return Event(at, EventKind.OPERATION, "operation", "done", data=data)


def profiles_of(snapshot: Snapshot) -> list[Profile]:
    return [profile for agent in snapshot.agents if agent.store for profile in agent.store.profiles]


FIRST = profiles_of(CALM)[0].id
LIVE = replace(CALM, gateway=Gateway(GatewayState.LIVE, 7, 18789, started_at=NOW - 1_000_000_000))
AT = NOW + 10_000


def marked(snapshot: Snapshot) -> set[str]:
    return {p.id for p in profiles_of(with_unloaded(snapshot)) if any(x.code == "not-loaded" for x in p.problems)}


def test_a_changed_row_says_so_until_a_witness_shows_that_it_is_loaded() -> None:
    changed = replace(LIVE, events=(cleared(AT, FIRST),))
    assert marked(changed) == {FIRST}
    (problem,) = (x for p in profiles_of(with_unloaded(changed)) for x in p.problems if x.code == "not-loaded")
    assert problem.text.startswith("not loaded by the gateway yet: it loads this ")

    seen = Event(AT + 1, EventKind.GATEWAY, "operation", "seen", data={"id": "op-1"})
    assert marked(replace(changed, events=(*changed.events, seen))) == set()
    assert marked(replace(changed, gateway=replace(LIVE.gateway, started_at=AT + 1))) == set()
    back = replace(seen, kind=EventKind.REVERTED)
    assert marked(replace(changed, events=(*changed.events, back))) == set()
    for state in (GatewayState.DEAD, GatewayState.ABSENT, GatewayState.UNKNOWN):
        assert marked(replace(changed, gateway=Gateway(state))) == set()


def used(snapshot: Snapshot, at: int) -> Snapshot:
    """OpenClaw has used the last profile at that time."""
    agents = []
    for agent in snapshot.agents:
        assert agent.store is not None
        *rest, last = agent.store.profiles
        last = replace(last, stats=replace(last.stats, last_used=at))
        agents.append(replace(agent, store=replace(agent.store, profiles=(*rest, last))))
    return replace(snapshot, agents=tuple(agents))


def test_a_later_mark_of_openclaws_own_shows_it_and_an_earlier_one_does_not() -> None:
    changed = replace(LIVE, events=(cleared(AT, FIRST),))
    assert marked(used(changed, AT - 1)) == {FIRST}
    assert marked(used(changed, AT + WRITE_SLACK_MS + 1)) == set()
    ours = profiles_of(changed)[-1].id
    mark = Event(AT + 1, EventKind.MARK, "clawtop", "marked", profile=ours)
    assert marked(used(replace(changed, events=(*changed.events, mark)), AT + WRITE_SLACK_MS + 1)) == {FIRST}


@pytest.mark.parametrize(
    ("turn", "loaded"),
    [
        (EndedTurn(AT + 1, TurnOutcome.ANSWERED, source="audit"), True),
        (EndedTurn(AT - 1, TurnOutcome.ANSWERED, source="audit"), False),
        (EndedTurn(AT + 1, TurnOutcome.STOPPED, source="audit"), False),
        (EndedTurn(AT + 1, TurnOutcome.ANSWERED), False),
    ],
)
def test_a_turn_that_openclaw_noted_as_answered_shows_it(turn: EndedTurn, loaded: bool) -> None:
    """A success of a shared profile leaves no time behind that it was used (2026.8 on)."""
    first, *rest = LIVE.sessions
    changed = replace(LIVE, events=(cleared(AT, FIRST),), sessions=(replace(first, turns=(turn,)), *rest))
    assert (marked(changed) == set()) is loaded
    assert (as_gateway_knows(changed, AT + 2).pending == ()) is loaded


def test_a_change_of_an_order_stands_at_all_its_profiles() -> None:
    provider = profiles_of(CALM)[0].provider
    change = FieldChange("order", provider, None, None, [FIRST]).to_json()
    data = {
        "id": "op",
        "kind": "rotate",
        "title": "r",
        "outcome": "done",
        "undo": {"agent": "main", "changes": [change]},
    }
    event = Event(AT, EventKind.OPERATION, "operation", "done", data=data)
    expected = {profile.id for profile in profiles_of(CALM) if profile.provider == provider}
    changed = replace(LIVE, events=(event,))
    assert marked(changed) == expected
    view = as_gateway_knows(changed, AT)
    assert {profile.id for profile in profiles_of(changed) if view.concerning(profile)} == expected


def test_a_profile_of_the_same_name_that_another_agent_owns_is_as_it_stands() -> None:
    agent = LIVE.agents[0]
    assert agent.store is not None
    theirs = tuple(replace(profile, owner_agent="other") for profile in agent.store.profiles)
    other = replace(agent, id="other", store=replace(agent.store, agent="other", profiles=theirs))
    changed = with_unloaded(replace(LIVE, agents=(*LIVE.agents, other), events=(cleared(AT, FIRST),)))
    assert [profile.owner_agent for profile in profiles_of(changed) if profile.problems] == ["main"]


def test_a_reload_for_one_change_loads_those_before_it() -> None:
    changed = replace(LIVE, events=(cleared(AT, FIRST),))
    sight = Event(AT + 5, EventKind.GATEWAY, "operation", "seen", data={"id": "another", "reloaded": True})
    assert marked(replace(changed, events=(*changed.events, sight))) == set()
    assert marked(replace(changed, events=(*changed.events, replace(sight, at=AT - 5)))) == {FIRST}
    plain = replace(sight, data={"id": "another", "reloaded": False})
    assert marked(replace(changed, events=(*changed.events, plain))) == {FIRST}


def test_what_was_refused_before_the_gateway_read_its_stores_is_over() -> None:
    data = {"decision": "skip_candidate", "provider": profiles_of(CALM)[0].provider}
    refused = Event(NOW, EventKind.FALLBACK, "gateway-log", "skipped", reason="rate_limit", data=data)
    world = replace(LIVE, events=(refused,))
    assert as_gateway_knows(world, NOW).pending
    assert not as_gateway_knows(replace(world, gateway=replace(LIVE.gateway, started_at=NOW + 1)), NOW + 2).pending
    reloaded = Event(NOW + 1, EventKind.GATEWAY, "operation", "seen", data={"id": "op-2", "reloaded": True})
    assert not as_gateway_knows(replace(world, events=(refused, reloaded)), NOW + 2).pending


def test_a_provider_that_is_refused_without_a_window_is_marked() -> None:
    provider = profiles_of(CALM)[0].provider
    data = {"decision": "skip_candidate", "provider": provider}
    refused = Event(NOW, EventKind.FALLBACK, "gateway-log", "skipped", reason="rate_limit", data=data)
    (pending,) = as_gateway_knows(replace(LIVE, events=(refused,)), NOW).pending
    assert marked(replace(LIVE, events=(refused,), taken_at=NOW)) == set(pending.profiles) != set()


def test_a_rotation_moves_what_the_gateway_tries_and_not_what_was_just_cleared() -> None:
    profiles = tuple(
        replace(profile_of(f"p:{name}"), stats=UsageStats(last_used=NOW - number))
        for number, name in enumerate(("three", "two", "one"))
    )
    agent = LIVE.agents[0]
    assert agent.store is not None
    store = replace(agent.store, profiles=profiles, order={})
    change = FieldChange("usageStats", "p:one", "cooldownUntil", NOW + 3_600_000, None).to_json()
    event = replace(cleared(NOW - 1_000, "p:one"))
    event = replace(event, data={**event.data, "undo": {"agent": "main", "changes": [change]}})
    world = replace(LIVE, agents=(replace(agent, store=store),), events=(event,), sessions=())
    assert rotate(replace(world, events=()), "p").title.endswith("p:one goes to the end")
    plan = rotate(world, "p")
    assert plan.title.endswith("p:two goes to the end")
    assert plain_text(plan.effects[0]).startswith("p:one is tried first, p:two last")


def test_hostile_journal_lines_are_passed_over() -> None:
    bad: tuple[object, ...] = (None, [], {"agent": 1, "changes": 2}, {"agent": "main", "changes": [{"section": "x"}]})
    for undo in bad:
        event = replace(cleared(AT, FIRST), data={**cleared(AT, FIRST).data, "undo": undo})
        assert marked(replace(LIVE, events=(event,))) == set()


def test_a_plan_says_before_what_loads_it() -> None:
    agents = []
    for agent in QUIET.agents:
        assert agent.store is not None
        out = tuple(replace(p, stats=replace(p.stats, cooldown_until=NOW + 60_000)) for p in agent.store.profiles)
        agents.append(replace(agent, store=replace(agent.store, profiles=out)))
    world = replace(QUIET, agents=tuple(agents), gateway=LIVE.gateway)
    owners = {profile.owner_agent for profile in profiles_of(world)}
    assert all(all_out(world, owner, NOW) for owner in owners)
    assert [owner for owner in sorted(owners) if all_out(QUIET, owner, NOW)] == ["coder"], "its only own one is blocked"
    plan = clear_profile(world, "anthropic:max-reef")
    assert plan.all_out
    assert any("every profile is out" in text for text in plan.warnings)
    assert not clear_profile(replace(QUIET, gateway=LIVE.gateway), "anthropic:max-reef").all_out


def test_a_second_clear_is_judged_by_what_the_gateway_knows_of_the_first() -> None:
    """The store shows a usable profile then; the gateway has not read it and still has none."""
    agent = LIVE.agents[0]
    assert agent.store is not None
    now = LIVE.taken_at
    until = now + 3_600_000
    free, out = profile_of("p:free"), replace(profile_of("q:out"), stats=UsageStats(cooldown_until=until))
    store = replace(agent.store, profiles=(free, out), order={})
    world = replace(LIVE, agents=(replace(agent, store=store, models=()),), sessions=())
    change = FieldChange("usageStats", "p:free", "cooldownUntil", until, None).to_json()
    first = cleared(now - 1_000, "p:free")
    first = replace(first, data={**first.data, "undo": {"agent": agent.id, "changes": [change]}})
    assert not clear_profile(world, "q:out").all_out
    assert clear_profile(replace(world, events=(first,)), "q:out").all_out
    restarted = replace(world, events=(first,), gateway=replace(LIVE.gateway, started_at=now - 500))
    assert not clear_profile(restarted, "q:out").all_out


def cleared_late() -> tuple[Snapshot, Receipt]:
    """A state in which a clear was done and not seen yet, and its receipt."""
    agent = LIVE.agents[0]
    assert agent.store is not None
    (part,) = (part for part in agent.store.parts if part.owner == agent.id)
    change = FieldChange("usageStats", FIRST, "cooldownUntil", NOW + 3_600_000, None)
    also = FieldChange("usageStats", FIRST, "errorCount", 7, None)
    step = StoreStep(agent.id, part.file, (change, also), ClearWindows((FIRST,), None))
    receipt = Receipt(
        "op-1", PlanKind.CLEAR, "clear", FIRST, agent.id, part.file, step.changes, NOW - 1_000, "me", steps=(step,)
    )
    done = cleared(receipt.at, FIRST)
    undo = {"agent": agent.id, "changes": [change.to_json(), also.to_json()]}
    return replace(LIVE, events=(replace(done, data={**done.data, "undo": undo}),)), receipt


def with_stats(world: Snapshot, **stats: Any) -> Snapshot:
    """The first agent's own entry of the profile as the disk has it now."""
    agent, *others = world.agents
    assert agent.store is not None
    parts = tuple(
        replace(part, stats={**part.stats, FIRST: UsageStats(**stats)}) if part.owner == agent.id else part
        for part in agent.store.parts
    )
    return replace(world, agents=(replace(agent, store=replace(agent.store, parts=parts)), *others))


def test_what_the_gateway_makes_of_a_change_is_seen_later_too() -> None:
    world, receipt = cleared_late()
    now = with_stats(world)
    assert late_sight(now, receipt) is None, "nothing shows it yet"
    assert late_sight(replace(now, events=()), receipt) is None, "a state from before it"
    restarted = replace(now, gateway=replace(LIVE.gateway, started_at=receipt.at + 1))
    assert late_sight(restarted, receipt) == (Sight.SEEN, "the gateway was started after it and has read it")
    assert late_sight(used(now, receipt.at + WRITE_SLACK_MS + 1), receipt) == (
        Sight.SEEN,
        "the gateway has read the store after it",
    )
    for state in (GatewayState.DEAD, GatewayState.ABSENT, GatewayState.UNKNOWN):
        assert late_sight(replace(restarted, gateway=Gateway(state)), receipt) is None
    assert late_sight(replace(restarted, judged_at=NOW), receipt) is None


def test_a_change_is_reverted_when_all_of_it_is_back() -> None:
    world, receipt = cleared_late()
    back = late_sight(with_stats(world, cooldown_until=NOW + 3_600_000, error_count=7), receipt)
    assert back is not None
    assert back[0] is Sight.REVERTED
    failed_anew = with_stats(world, cooldown_until=NOW + 7_200_000, error_count=7)
    assert late_sight(failed_anew, receipt) is None
