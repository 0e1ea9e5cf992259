"""Orders that name profiles which are gone, and usable profiles that an order leaves out, are told once each."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.model import AuthConfig, ConfigSummary, Gateway, GatewayState, Snapshot, UsageStats
from clawtop.core.operations.order import rotate
from clawtop.core.rotation.written import order_problems
from clawtop.errors import RefusedError
from tests.support.worlds import INCIDENT, NOW, agent, profile

PROFILES = tuple(profile(f"p:{name}") for name in ("one", "two", "three"))


def world(
    *, configured: dict[str, tuple[str, ...]] | None = None, stored: dict[str, tuple[str, ...]] | None = None
) -> Snapshot:
    config = ConfigSummary(path="/s/openclaw.json", auth=AuthConfig(order=configured or {}))
    agents = (agent("main", PROFILES, order=stored), agent("ops", PROFILES))
    return replace(INCIDENT, agents=agents, config=config, sessions=(), gateway=Gateway(GatewayState.DEAD))


def texts(snapshot: Snapshot) -> list[str]:
    return [f"{problem.where}: {problem.text}" for problem in order_problems(snapshot, NOW)]


def test_an_order_that_fits_is_not_told() -> None:
    assert texts(world()) == []
    assert texts(world(configured={"p": ("p:two", "p:one", "p:three")})) == []
    assert texts(world(configured={"p": ("p:two",)})) == [], "leaving out is what an order is for"


def test_gone_profiles_and_what_is_left_out_are_named_once_for_all_agents() -> None:
    assert texts(world(configured={"p": ("p:old", "p:two", "p:older")})) == [
        "/s/openclaw.json: the order of p names p:old, p:older, which no store has, and leaves out p:one, p:three, "
        "which could be used"
    ]


def test_a_stored_order_is_told_with_its_store() -> None:
    (text,) = texts(world(stored={"p": ("p:gone", "p:one", "p:two", "p:three")}))
    assert text.endswith("agents/main/agent/auth-profiles.json: the order of p names p:gone, which no store has")


def test_an_order_of_which_nothing_exists_counts_for_nothing() -> None:
    found = world(configured={"p": ("one", "two")})
    config = replace(found.config, auth=replace(found.config.auth, profiles={}))
    (text,) = texts(replace(found, config=config))
    assert "names one, two, which no store has" in text


def test_a_cooling_profile_is_not_offered_as_a_way_out() -> None:
    cooling = replace(PROFILES[0], stats=UsageStats(cooldown_until=NOW + 60_000, cooldown_reason="rate_limit"))
    found = world(configured={"p": ("p:old", "p:two")})
    found = replace(found, agents=(agent("main", (cooling, *PROFILES[1:])),))
    (text,) = texts(found)
    assert text.endswith("leaves out p:three, which could be used")


def test_a_rotation_that_has_nowhere_to_go_says_what_the_order_leaves_out() -> None:
    with pytest.raises(RefusedError) as caught:
        rotate(world(configured={"p": ("p:two",)}), "p", agent="main")
    assert caught.value.hint == "the order leaves out p:one, p:three"
