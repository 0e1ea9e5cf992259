"""Which session a name stands for, where its transcript is not there yet."""

from __future__ import annotations

from pathlib import Path

import pytest

from clawtop.cli.drain import target_of
from clawtop.engine.drive.session_choice import choose_session
from clawtop.errors import RefusedError
from tests.support.states_made import StateDir


def test_a_first_turn_that_has_only_its_lock_can_be_named(tmp_path: Path) -> None:
    """OpenClaw writes a transcript with the first answer; a turn that hangs before holds the lock alone (2026.3.28)."""
    state = StateDir(tmp_path)
    layout, file = state.reader().layout, state.sessions_dir / "cli.jsonl"
    with pytest.raises(RefusedError, match="does not exist"):
        choose_session(layout, str(file))
    Path(f"{file}.lock").write_text('{"pid": 77}')
    for name in (str(file), "cli.jsonl"):
        choice = choose_session(layout, name)
        assert (choice.agent.id, choice.key, choice.session_id, choice.file) == ("main", None, "cli", file)
    assert target_of(state.reader(), str(file), None).file == file
