"""Which providers serve without an auth profile."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.health.judgement import Health, Level, judge
from clawtop.core.model import (
    AgentInfo,
    AuthStore,
    ConfigSummary,
    EndedTurn,
    Gateway,
    GatewayState,
    Generation,
    ModelRef,
    ProviderKeys,
    Serving,
    Session,
    Snapshot,
    TurnOutcome,
)
from clawtop.redaction import masked
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.provider.keys import dotenv, provider_keys
from clawtop.store.runtimes import backends
from clawtop.store.snapshot import SnapshotReader

NOW = 1_800_000_000_000


def provider(**more: Any) -> dict[str, Any]:
    return {"models": {"providers": {"fakeai": {"baseUrl": "https://fake.example/v1", **more}}}}


LOCAL = {"models": {"providers": {"mine": {"baseUrl": "http://127.0.0.1:8080/v1"}}}}
BOUND = {"agents": {"defaults": {"models": {"anthropic/opus": {"agentRuntime": {"id": "claude-cli"}}}}}}
CLI = {"agents": {"defaults": {"model": "claude-cli/sonnet"}}}
AWS = {"models": {"providers": {"amazon-bedrock": {"baseUrl": "https://b.example", "auth": "aws-sdk"}}}}


@pytest.mark.parametrize(
    ("raw", "environ", "found"),
    [
        ({}, {}, {}),
        (provider(apiKey="sk-in-config-1234"), {}, {"fakeai": "a key in openclaw.json"}),
        (provider(apiKey={"source": "env", "id": "X"}), {}, {"fakeai": "a key in openclaw.json"}),
        (provider(apiKey=" "), {}, {}),
        (provider(), {}, {}),
        (LOCAL, {}, {"mine": "it runs on this machine and needs no key"}),
        ({}, {"OPENAI_API_KEY": "sk-1"}, {"openai": "the environment's OPENAI_API_KEY"}),
        ({}, {"OPENAI_API_KEY": " "}, {}),
        ({"env": {"XAI_API_KEY": "x"}}, {}, {"xai": "the environment's XAI_API_KEY"}),
        ({"env": {"vars": {"GEMINI_API_KEY": "x"}}}, {}, {"google": "the environment's GEMINI_API_KEY"}),
        (CLI, {}, {"claude-cli": "its own login"}),
        (BOUND, {}, {"claude-cli": "its own login", "anthropic": "claude-cli's own login"}),
        (AWS, {"AWS_PROFILE": "bots"}, {"amazon-bedrock": "AWS's own credentials"}),
        (AWS, {}, {}),
        ({"models": {"providers": 7}, "agents": [], "env": "x"}, {}, {}),
    ],
)
def test_a_key_stands_in_many_places(raw: dict[str, Any], environ: dict[str, str], found: dict[str, str]) -> None:
    assert provider_keys(raw, backends(raw), environ, complete=True).sources == found


def test_dotenv_of_the_state_directory_counts_and_its_secrets_are_masked(tmp_path: Path) -> None:
    assert dotenv(tmp_path / ".env") == {}
    (tmp_path / ".env").write_text("# mine\nexport OPENAI_API_KEY='a-key-from-dotenv'\nPORT = 18789\nnonsense\n\xff=\n")
    assert dotenv(tmp_path / ".env") == {"OPENAI_API_KEY": "a-key-from-dotenv", "PORT": "18789"}
    assert "a-key-from-dotenv" not in masked("said a-key-from-dotenv on port 18789")
    assert "18789" in masked("said a-key-from-dotenv on port 18789")


# --- the judgement -----------------------------------------------------------------------------------------------


def health(
    keys: ProviderKeys, *turns: TurnOutcome, models: tuple[ModelRef, ...] = (ModelRef("fakeai", "m"),)
) -> Health:
    ended = tuple(EndedTurn(NOW - 60_000 + n, outcome, f"r{n}") for n, outcome in enumerate(turns))
    row = Session("main", "agent:main:main", "s", None, status="done", active=False, turns=ended)
    agents = (AgentInfo("main", "/a", "/s", models=models, store=AuthStore("main", "/a")),)
    gateway = Gateway(GatewayState.LIVE, 7, serving=Serving.ANSWERS, started_at=NOW - 86_400_000)
    config = ConfigSummary(keys=keys)
    return judge(
        Snapshot(
            1, NOW, "h", "/d", Generation.B, "2026.5.20", agents=agents, sessions=(row,), gateway=gateway, config=config
        ),
        NOW,
    )


KEYED = ProviderKeys({"fakeai": "a key in openclaw.json"})


def codes(found: Health) -> list[str]:
    return [cause.code for cause in found.causes]


def test_a_provider_with_a_key_of_its_own_is_judged_by_its_turns() -> None:
    assert "no-profiles" not in codes(health(KEYED, TurnOutcome.ANSWERED))
    assert health(KEYED, TurnOutcome.ANSWERED).level is Level.WELL
    failing = health(KEYED, TurnOutcome.FAILED, TurnOutcome.FAILED, TurnOutcome.FAILED)
    assert failing.level is Level.SILENT
    assert failing.badge == "FAILING"
    (following,) = health(KEYED).next
    assert (following.profile, following.provider, following.model) == (None, "fakeai", "m")


def test_without_profile_and_without_key_it_is_empty_unless_turns_say_otherwise() -> None:
    none = ProviderKeys()
    assert (health(none).badge, health(none).level) == ("EMPTY", Level.SILENT)
    other = ProviderKeys({"openai": "the environment's OPENAI_API_KEY"})
    assert health(other).badge == "EMPTY"
    assert health(none, TurnOutcome.ANSWERED).level is Level.ATTENTION
    assert health(none, TurnOutcome.ANSWERED, TurnOutcome.FAILED).badge == "EMPTY"
    assert health(replace(none, complete=False)).level is Level.ATTENTION
    assert health(other, models=()).level is not Level.SILENT


# --- from the disk -----------------------------------------------------------------------------------------------


def test_the_reader_tells_where_a_key_stands(tmp_path: Path) -> None:
    (tmp_path / "agents/main/agent").mkdir(parents=True)
    config = {
        **provider(),
        "agents": {"defaults": {"model": "openai/gpt-5"}},
        "meta": {"lastTouchedVersion": "2026.5.20"},
    }
    (tmp_path / "openclaw.json").write_text(json.dumps(config))

    def keys(**env: str) -> dict[str, str]:
        reader = SnapshotReader(
            state_dir=tmp_path,
            env=env,
            home=tmp_path,
            clock=SystemClock(),
            processes=SystemProcesses(),
            port_probe=None,
        )
        return dict(reader.read().config.keys.sources)

    assert keys(PATH=os.defpath) == {}
    assert keys(OPENAI_API_KEY="sk-from-environment") == {"openai": "the environment's OPENAI_API_KEY"}
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-from-dotenv\n")
    assert keys(PATH=os.defpath) == {"openai": "the environment's OPENAI_API_KEY"}


def open_state(
    directory: Path, env: dict[str, str], told: list[Snapshot] | None = None, home: Path | None = None
) -> SnapshotReader:
    (directory / "agents/main/agent").mkdir(parents=True, exist_ok=True)
    config = {
        **provider(apiKey="sk-in-config-1234"),
        "agents": {"defaults": {"model": {"primary": "openai/gpt-5", "fallbacks": ["fakeai/m"]}}},
        "meta": {"lastTouchedVersion": "2026.5.20"},
    }
    (directory / "openclaw.json").write_text(json.dumps(config))
    return SnapshotReader(
        state_dir=directory,
        env=env,
        home=home or directory,
        clock=SystemClock(),
        processes=SystemProcesses(),
        port_probe=None,
        on_accounts=None if told is None else told.append,
    )


def test_the_first_snapshot_of_accounts_has_the_keys_that_are_known_by_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[Snapshot] = []
    reader = open_state(tmp_path, {"PATH": os.defpath}, told)
    monkeypatch.setattr(reader._gateway, "read", lambda *_args, **_more: (Gateway(GatewayState.ABSENT), ()))
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-from-dotenv\n")
    whole = reader.read()
    (early,) = told
    assert dict(early.config.keys.sources) == {
        "fakeai": "a key in openclaw.json",
        "openai": "the environment's OPENAI_API_KEY",
    }
    assert not early.config.keys.complete, "the gateway's own environment is not known yet"
    assert (whole.config.keys.sources, whole.config.keys.complete) == (early.config.keys.sources, True)


def test_a_file_of_environment_that_changes_is_read_again(tmp_path: Path) -> None:
    reader = open_state(tmp_path, {"PATH": os.defpath})
    found = reader.read().config.keys
    assert set(found.sources) == {"fakeai"}
    assert reader.read().config.keys is found
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-from-dotenv\n")
    assert set(reader.read().config.keys.sources) == {"fakeai", "openai"}
    (tmp_path / ".env").unlink()
    assert set(reader.read().config.keys.sources) == {"fakeai"}, "no gateway holds it"


def test_a_gateway_keeps_the_keys_that_it_had_until_it_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = open_state(tmp_path, {})
    state = {"gateway": Gateway(GatewayState.LIVE, os.getpid(), started_at=NOW)}
    monkeypatch.setattr(reader._gateway, "read", lambda *_args, **_more: (state["gateway"], ()))
    (tmp_path / ".env").write_text("OPENAI_API_KEY=sk-from-dotenv\n")
    assert "openai" in reader.read().config.keys.sources
    (tmp_path / ".env").write_text("XAI_API_KEY=xai-from-dotenv\n")
    assert {"openai", "xai"} <= set(reader.read().config.keys.sources)
    state["gateway"] = replace(state["gateway"], started_at=NOW + 60_000)
    assert "openai" not in reader.read().config.keys.sources, "another process has another environment"


def test_the_default_directory_has_a_second_file_and_the_first_counts(tmp_path: Path) -> None:
    home, directory = tmp_path, tmp_path / ".openclaw"
    directory.mkdir()
    (home / ".config/openclaw").mkdir(parents=True)
    (home / ".config/openclaw/gateway.env").write_text("XAI_API_KEY=xai-of-the-service\n")
    assert "xai" in open_state(directory, {"PATH": os.defpath}, home=home).read().config.keys.sources
    elsewhere = open_state(tmp_path / "other", {"PATH": os.defpath}, home=home)
    assert "xai" not in elsewhere.read().config.keys.sources
