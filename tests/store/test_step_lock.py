"""The lock of one step: free, held, or somebody else's file by now."""

from __future__ import annotations

from pathlib import Path

import pytest

from clawtop.store import door
from clawtop.store.own.step_lock import taken


def test_one_has_it_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "step.lock")
    with taken(path) as first, taken(path) as second:
        assert (first, second) == (True, False)
    with taken(path) as again:
        assert again


@pytest.mark.parametrize("made_anew", [False, True])
def test_a_file_that_was_removed_locks_nobody_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made_anew: bool
) -> None:
    path = tmp_path / "step.lock"
    opened = door.open_file

    def removed(*arguments: object, **wishes: object) -> int:
        descriptor = opened(*arguments, **wishes)  # type: ignore[arg-type]
        path.unlink()
        if made_anew:
            path.touch(0o600)
        return descriptor

    with monkeypatch.context() as patch:
        patch.setattr(door, "open_file", removed)
        with taken(str(path)) as has:
            assert not has
    with taken(str(path)) as has:
        assert has
