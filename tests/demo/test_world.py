"""The demo's world: real files that the whole program reads, the same for the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from clawtop.core.model import Generation, Snapshot
from clawtop.demo.scenarios import SCENARIOS, Behave, Clear, Crash, HoldLock, OtherTurn, Talk
from clawtop.demo.world import CAST, World, build_world
from clawtop.store.snapshot import SnapshotReader
from clawtop.view.line import piece, text_of
from clawtop.view.tabs import notice_line
from tests.support.clocks import ManualClock


def made(root: Path, seed: int = 1) -> World:
    root.mkdir(exist_ok=True)
    return build_world(root, seed=seed, clock=ManualClock())


def read(world: World) -> Snapshot:
    from clawtop.store.locks.processes import SystemProcesses

    return SnapshotReader(
        state_dir=world.state_dir,
        env={},
        home=world.state_dir.parent,
        clock=ManualClock(),
        processes=SystemProcesses(),
    ).read()


def test_the_whole_program_can_read_it(tmp_path: Path) -> None:
    snapshot = read(made(tmp_path / "a"))
    assert snapshot.generation is Generation.B
    assert [agent.id for agent in snapshot.agents] == ["main", "sebastian", "scuttle"]
    assert {len(agent.store.profiles) for agent in snapshot.agents if agent.store} == {6}
    assert {session.key for session in snapshot.sessions} == {character.key for character in CAST}
    assert not [problem for problem in snapshot.warnings if problem.code != "heartbeat-shares-session"]
    assert not any(session.problems for session in snapshot.sessions)


def test_the_same_seed_is_the_same_world(tmp_path: Path) -> None:
    def content(world: World) -> dict[str, str]:
        return {
            str(path.relative_to(world.state_dir)): path.read_text().replace(str(world.state_dir), "")
            for path in world.state_dir.rglob("*")
            if path.is_file()
        }

    first, second, other = made(tmp_path / "a"), made(tmp_path / "b"), made(tmp_path / "c", seed=2)
    assert content(first) == content(second)
    assert first.keys != other.keys


def test_credentials_are_private_and_shaped_like_secrets(tmp_path: Path) -> None:
    world = made(tmp_path / "a")
    for path in (world.agent_dir() / "auth-profiles.json", world.agent_dir() / "auth-state.json"):
        assert path.stat().st_mode & 0o777 == 0o600
    assert all(key.startswith("sk-demo-") for key in world.keys.values())


def test_every_scenario_speaks_of_what_the_world_has(tmp_path: Path) -> None:
    world = made(tmp_path / "a")
    for story in SCENARIOS.values():
        assert [beat.at for beat in story.beats] == sorted(beat.at for beat in story.beats)
        assert story.beats[-1].at <= story.length
        for doing in (doing for beat in story.beats for doing in beat.doings):
            match doing:
                case Behave(profiles, _):
                    assert set(profiles) <= set(world.keys)
                case Clear(profile, _):
                    assert profile in world.keys
                case HoldLock(session, _) | Crash(session) | Talk(session, _, _, _) | OtherTurn(session, _, _):
                    assert world.transcript(session).is_file()


@pytest.mark.parametrize("name", SCENARIOS)
def test_each_caption_is_read_whole_beside_the_longest_screens_name_on_80_columns(name: str) -> None:
    for beat in SCENARIOS[name].beats:
        line = notice_line("overview", piece(beat.caption), 80)
        assert text_of(line).endswith(beat.caption)
