"""The auth store as runs see it: read once in a step of the loop, and with what this engine marks."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from clawtop.core.model import FailureReason, ModelRef
from clawtop.demo.threads import TWO_AND_ONE, open_lab
from clawtop.store.auth.reader import AuthReader


def test_the_disk_is_asked_once_in_a_step_and_again_in_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    seen_by = AuthReader.seen_by

    def counted(reader: AuthReader, agent: str) -> object:
        asked.append(agent)
        return seen_by(reader, agent)

    monkeypatch.setattr(AuthReader, "seen_by", counted)

    async def play() -> None:
        async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
            resources = lab.driver.resources
            await asyncio.sleep(0)
            asked.clear()
            first = resources.auth("main")
            assert resources.auth("main") is first
            assert asked == ["main"]
            await asyncio.sleep(0)
            resources.auth("main")
            assert asked == ["main", "main"]

    asyncio.run(play())


def test_a_mark_counts_in_the_step_in_which_it_is_made(tmp_path: Path) -> None:
    async def play() -> None:
        async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
            resources = lab.driver.resources
            before = {profile.id: profile for profile in resources.auth("main").profiles}
            name = next(iter(before))
            resources.mark_account(before[name], ModelRef(before[name].provider, "m"), FailureReason.RATE_LIMIT)
            after = {profile.id: profile for profile in resources.auth("main").profiles}
            assert (after[name].stats.error_count or 0) == (before[name].stats.error_count or 0) + 1
            assert {key: value for key, value in after.items() if key != name} == {
                key: value for key, value in before.items() if key != name
            }
            assert resources.auth("main") is resources.auth("main")

    asyncio.run(play())
