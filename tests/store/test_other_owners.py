"""Files that `sudo openclaw` has left behind in a user's state directory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from clawtop.store.place.environment import foreign_commands, other_owners
from clawtop.store.place.locating import locate
from tests.support.samples import copy, sample


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize("name", ["auth-state.json", "auth-profiles.json", "openclaw.json", "sessions.json"])
def test_a_file_of_another_user_is_named_with_what_it_does(name: str, tmp_path: Path) -> None:
    here = copy(sample("2026.5.20", "healthy"), tmp_path)
    for path in (here.state_dir, *here.state_dir.rglob("*")):
        os.chown(path, 1000, 1000, follow_symlinks=False)
    layout = locate(here.state_dir, env={}, home=tmp_path)
    assert list(other_owners(layout)) == []
    left = next(here.state_dir.rglob(name))
    os.chown(left, 0, 0)
    left.chmod(0o600)
    (found,) = other_owners(layout)
    assert (found.code, found.where) == ("other-owner", str(left))
    assert "its gateway cannot read it; chown 1000 fixes it" in found.text


def test_a_search_path_that_may_not_be_looked_at_is_passed_over(tmp_path: Path) -> None:
    assert foreign_commands(f"{tmp_path / 'missing'}:{tmp_path}:/proc/1/root/nowhere") == ()
