"""The detail of a row."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from clawtop.cells import cells
from clawtop.commands import Target, TargetKind
from clawtop.core.model import SHARED, ProviderTime, Snapshot
from clawtop.view.columns import Env
from clawtop.view.detail import detail_lines
from clawtop.view.facts import Facts
from clawtop.view.line import text_of
from clawtop.view.rows import lock_table, profile_table, session_table, warning_table
from tests.support.samples import copy, sample
from tests.support.worlds import INCIDENT, LOCKS, MINUTE, NOW, SESSIONS, saying

ENV = Env(Facts(INCIDENT, NOW), NOW, UTC)


def said(target: Target | None, width: int = 200) -> str:
    return "\n".join(text_of(line).rstrip() for line in detail_lines(target, ENV, width))


def profile(profile_id: str, agent: str = "main") -> str:
    return said(Target(TargetKind.PROFILE, profile_id, agent))


def test_a_cooling_profile() -> None:
    text = profile("anthropic:max-tide")
    assert "state      ◐ cooling until 03:16:18 (4m11s left)" in text
    assert "cooldown   rate_limit, all models" in text
    assert "Why it is not next" in text
    assert "by reason  rate_limit ×4" in text
    assert "next error only the counters would rise; the open window stays" in text
    assert "would cost billing 5h00m, auth_permanent 10m00s" in text
    assert "last fail  03:11:18  49s ago" in text
    assert "agent:main:telegram:group:-100238841 (auto)" in text
    assert "expires    09:12:07, in 6h00m" in text


def test_what_the_provider_itself_said_stands_beside_the_window_until_its_time() -> None:
    told = ProviderTime(NOW + 59 * MINUTE, NOW - MINUTE, "rate_limit\x1b[2J", "claude")
    target = Target(TargetKind.PROFILE, "anthropic:max-tide", "main")

    def lines(now: int) -> list[str]:
        env = Env(Facts(saying(told), now), now, UTC)
        return [text_of(line).rstrip() for line in detail_lines(target, env, 200)]

    text = lines(NOW)
    at = next(n for n, line in enumerate(text) if line.startswith("cooldown"))
    assert text[at + 1] == "provider   says not before 04:11:07 (in 59m00s): rate_limit\\x1b[2J, model claude only"
    assert not any("says not before" in line for line in lines(told.until))


def test_the_next_profile_and_what_stands_before_another() -> None:
    assert "Why it is next" in profile("google:vertex")
    assert "before it  openai:legacy" in profile("openai:prod")


def test_odd_times_are_named() -> None:
    assert "⚠ seconds-not-ms" in profile("openai:legacy")
    assert "cooldown   ended 11m ago; it stays recorded until the next use, without effect" in profile("openai:spare")
    assert "expired 1d02h ago" in profile("google:studio")


def test_an_inherited_profile_says_where_changes_go() -> None:
    assert "inherited from agent main; changes are made in its store" in profile("openai:prod", "coder")


def test_a_profile_in_the_shared_store_names_no_agent(tmp_path: Path) -> None:
    here = copy(sample("2026.9.6", "healthy"), tmp_path)
    facts = Facts(here.reader(at=here.captured_at).read(), here.captured_at)
    target = Target(TargetKind.PROFILE, "fakeai:one", "main")
    lines = detail_lines(target, Env(facts, here.captured_at, UTC), 200)
    assert "owner      the store that all agents share; changes are made there" in [text_of(line) for line in lines]


@pytest.mark.parametrize(
    ("owner", "stats_owner", "told"),
    [
        ("ops", "_", "statistics in the store that all agents share"),
        ("_", "ops", "statistics in the store of agent ops"),
        ("ops", "ops", None),
        ("ops", None, None),
    ],
)
def test_statistics_that_are_in_another_store_than_the_credential(
    owner: str, stats_owner: str | None, told: str | None
) -> None:
    owner, stats_owner = (SHARED if one == "_" else one for one in (owner, stats_owner))  # type: ignore[assignment]
    store = INCIDENT.agents[0].store
    assert store is not None
    first = replace(store.profiles[0], owner_agent=owner, stats_owner=stats_owner)
    agent = replace(INCIDENT.agents[0], store=replace(store, profiles=(first, *store.profiles[1:])))
    env = Env(Facts(replace(INCIDENT, agents=(agent, *INCIDENT.agents[1:])), NOW), NOW, UTC)
    lines = [text_of(line).rstrip() for line in detail_lines(Target(TargetKind.PROFILE, first.id, "main"), env, 200)]
    assert [line for line in lines if line.startswith("statistics")] == ([] if told is None else [told])


def test_a_provider() -> None:
    text = said(Target(TargetKind.PROVIDER, "openai", "coder"))
    assert "order      stored by `models auth order set`; last use is ignored" in text
    assert " 1 openai:prod ● usable" in text
    assert " - openai:legacy ○ unlisted" in text


def test_a_contended_session_shows_holder_waiters_and_lock() -> None:
    text = said(Target(TargetKind.SESSION, SESSIONS[0].key, "main"))
    for part in (
        "who        pid 4711, seen by trajectory",
        "risk       heartbeat is not isolated",
        "waiter 1   heartbeat run run-8810 for 3m00s, gives up in 2m00s",
        "waiter 2   direct run run-8a02 for 48s",
        "age        6m12s - over its limit",
        "others give up after 1m00s",
        "traffic    taken 34 times within a minute",
        "profile    anthropic:max-tide  ◐ cooling  pinned by auto",
    ):
        assert part in text


def test_a_ghost_says_how_it_is_known() -> None:
    text = said(Target(TargetKind.SESSION, SESSIONS[2].key, "main"))
    assert "○ ghost (stored: running)" in text
    assert "because    its gateway is gone" in text
    assert "its gateway is gone since 02:31" in text


def test_a_stale_lock_gives_the_proof_and_what_openclaw_will_do() -> None:
    text = said(Target(TargetKind.LOCK, LOCKS[0].file.path))
    assert "verdict    ✗ stale  owner is dead" in text
    assert "OpenClaw   will remove it" in text
    assert "owner      pid 3120, dead" in text


def test_a_row_that_vanished_and_no_row_at_all() -> None:
    assert said(Target(TargetKind.LOCK, "/gone")) == "lock /gone is gone."
    assert said(None) == "Move the cursor to a row to see its details."


def every_target(snapshot: Snapshot) -> list[Target]:
    env = Env(Facts(snapshot, NOW), NOW, UTC)
    tables = (profile_table(env), session_table(env), lock_table(env), warning_table(env))
    return [row.target for table in tables for row in table.rows if row.target is not None]


@pytest.mark.parametrize("width", [20, 38, 80])
def test_every_detail_fits_its_width_and_carries_no_control_characters(width: int) -> None:
    for target in every_target(INCIDENT):
        for line in detail_lines(target, ENV, width):
            assert cells(text_of(line).rstrip()) <= width
            assert text_of(line).isprintable()
