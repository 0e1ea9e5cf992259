"""Warnings about openclaw.json, each with the path of its setting."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.config_checks import config_problems
from clawtop.core.model import (
    AgentInfo,
    AuthStore,
    Credential,
    Generation,
    ModelRef,
    Profile,
    Snapshot,
    UsageStats,
)

NOW = 1_700_000_000_000
CHANNELS: dict[str, Any] = {"telegram": {"botToken": "t"}}


def state(generation: Generation | None, agents: tuple[AgentInfo, ...] = ()) -> Snapshot:
    return Snapshot(1, NOW, "reef", "/state", generation, None, agents=agents)


def found(
    raw: dict[str, Any], generation: Generation | None = Generation.B, agents: tuple[AgentInfo, ...] = ()
) -> list[tuple[str, str]]:
    return [(problem.code, problem.where) for problem in config_problems(raw, state(generation, agents), NOW)]


SHARED = "heartbeat-shares-session"


@pytest.mark.parametrize(
    ("raw", "where"),
    [
        ({"channels": CHANNELS}, ["agents.defaults.heartbeat.isolatedSession"]),
        ({}, []),
        ({"channels": {"defaults": {}, "telegram": {"enabled": False}}}, []),
        ({"channels": CHANNELS, "session": {"dmScope": "per-channel-peer"}}, []),
        ({"channels": CHANNELS, "agents": {"defaults": {"heartbeat": {"isolatedSession": True}}}}, []),
        ({"channels": CHANNELS, "agents": {"defaults": {"heartbeat": {"every": "0m"}}}}, []),
        (
            {"channels": CHANNELS, "agents": {"defaults": {"heartbeat": {"every": "30m", "isolatedSession": False}}}},
            ["agents.defaults.heartbeat.isolatedSession"],
        ),
        (
            {
                "channels": CHANNELS,
                "agents": {
                    "defaults": {"heartbeat": {"isolatedSession": True}},
                    "list": [
                        {"id": "a"},
                        {"id": "b", "heartbeat": {"isolatedSession": False}},
                        {"id": "c", "heartbeat": {}},
                    ],
                },
            },
            ["agents.list[1].heartbeat.isolatedSession"],
        ),
        (
            {"channels": CHANNELS, "agents": {"entries": {"b": {"heartbeat": {"every": "1h"}}}}},
            ["agents.entries.b.heartbeat.isolatedSession"],
        ),
        ({"channels": CHANNELS, "agents": {"defaults": {"heartbeat": {"session": "night"}}}}, []),
    ],
)
def test_heartbeats_that_share_a_session(raw: dict[str, Any], where: list[str]) -> None:
    assert found(raw) == [(SHARED, path) for path in where]


@pytest.mark.parametrize(
    ("generation", "write_lock", "names"),
    [
        (Generation.A, {}, ["staleMs", "acquireTimeoutMs"]),
        (Generation.B, {}, ["staleMs"]),
        (Generation.B, {"staleMs": 7_200_000}, []),
        (Generation.B, {"maxHoldMs": 1_000}, ["staleMs", "maxHoldMs"]),
        (Generation.C, {"staleMs": 7_200_000, "acquireTimeoutMs": 5_000_000}, []),
        (Generation.C, {}, ["staleMs", "acquireTimeoutMs"]),
        (Generation.D, {}, []),
    ],
)
def test_lock_limits_below_run_timeouts(generation: Generation, write_lock: dict[str, int], names: list[str]) -> None:
    raw = {
        "agents": {"defaults": {"timeoutSeconds": 3_600}},
        "session": {"writeLock": write_lock} if write_lock else {},
    }
    assert found(raw, generation) == [("lock-limit-below-run-timeout", f"session.writeLock.{name}") for name in names]


@pytest.mark.parametrize(
    "raw", [{}, *({"agents": {"defaults": {"timeoutSeconds": value}}} for value in (60, 10**400, -1, "9", True))]
)
def test_lock_limits_that_outlast_the_run(raw: dict[str, Any]) -> None:
    assert found(raw) == []


UNKNOWN = "unknown-config-key"


@pytest.mark.parametrize(
    ("generation", "raw", "paths"),
    [
        (Generation.A, {"auth": {"cooldowns": {"overloadedBackoffMs": 1}}}, ["auth.cooldowns.overloadedBackoffMs"]),
        (Generation.B, {"auth": {"cooldowns": {"overloadedBackoffMs": 1}}}, []),
        (Generation.B, {"auth": {"cooldown": {}, "order": {}}}, ["auth.cooldown"]),
        (Generation.D, {"auth": {"cooldowns": {}}}, ["auth.cooldowns"]),
        (Generation.A, {"session": {"writeLock": {}}}, ["session.writeLock"]),
        (Generation.D, {"session": {"writeLock": {"staleMs": 1}}}, ["session.writeLock"]),
        (Generation.C, {"session": {"writeLock": {"stale": 1}}}, ["session.writeLock.stale"]),
        (Generation.D, {"diagnostics": {"stuckSessionWarnMs": 5_000}}, ["diagnostics.stuckSessionWarnMs"]),
        (Generation.B, {"diagnostics": {"stuckSessionWarnMs": 5_000}}, []),
        (None, {"auth": {"cooldown": {}}}, []),
    ],
)
def test_keys_that_a_generation_does_not_know(
    generation: Generation | None, raw: dict[str, Any], paths: list[str]
) -> None:
    assert found(raw, generation) == [(UNKNOWN, path) for path in paths]


def agent(name: str, *models: str, cooling: bool = False) -> AgentInfo:
    stats = UsageStats(cooldown_until=NOW + 60_000, cooldown_reason="rate_limit") if cooling else UsageStats()
    profile = Profile("acme:one", "acme", Credential("api_key"), name, stats=stats)
    refs = tuple(ModelRef(*model.split("/")) for model in models)
    return AgentInfo(name, "/a", "/s", models=refs, store=AuthStore(name, "/p", profiles=(profile,)))


def test_fallbacks_that_share_one_provider() -> None:
    raw = {"agents": {"list": [{"id": "own", "model": {"primary": "acme/a", "fallbacks": ["acme/b"]}}, {"id": "x"}]}}
    agents = (
        agent("own", "acme/a", "acme/b"),
        agent("inherits", "acme/a", "acme/b", cooling=True),
        agent("mixed", "acme/a", "other/b"),
        agent("single", "acme/a"),
    )
    problems = config_problems(raw, state(Generation.B, agents), NOW)
    assert [(problem.where, "usable now" in problem.text) for problem in problems] == [
        ("agents.list[0].model.fallbacks", False),
        ("agents.defaults.model.fallbacks", True),
    ]


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
_sections = st.sampled_from(["agents", "defaults", "list", "entries", "channels", "session", "writeLock", "auth"])
_settings = st.sampled_from(["heartbeat", "every", "cooldowns", "model", "fallbacks", "timeoutSeconds", "diagnostics"])
_names = st.one_of(_sections, _settings)
_configs = st.recursive(_json, lambda inner: st.dictionaries(_names, inner, max_size=5), max_leaves=20)


@given(st.dictionaries(_names, _configs, max_size=6), st.sampled_from([None, *Generation]))
def test_any_configuration_can_be_checked(raw: dict[str, Any], generation: Generation | None) -> None:
    for problem in config_problems(raw, state(generation), NOW):
        assert problem.where
        assert problem.text.isprintable()
