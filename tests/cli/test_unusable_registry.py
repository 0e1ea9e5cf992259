"""A registry in the settings that is none: what shows goes on with a warning, what changes or drives is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clawtop.cli import main
from tests.support.samples import copy, sample


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    settings = tmp_path / "clawtop.toml"
    settings.write_text('registry = "etcd://root:hunter2@reef:2379"\n')
    monkeypatch.setenv("CLAWTOP_CONFIG", str(settings))
    return copy(sample("2026.5.20", "rate-limited"), tmp_path / "state").state_dir


def test_status_goes_on_with_a_warning(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["status", "--json", "--no-gateway", "--state-dir", str(state)]) == 0
    said = capsys.readouterr().out
    told = json.loads(said)
    found = [warning for warning in told["warnings"] if warning["code"] == "registry-unusable"]
    assert [warning["text"] for warning in found] == ["in the settings: not a registry: etcd://•••@reef:2379"]
    assert told["sessions"]
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "words",
    [
        ("drain", "agent:main:main", "--yes"),
        ("drive", "--session", "agent:main:main", "--message", "hello"),
    ],
)
def test_what_changes_or_drives_is_refused(
    state: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run([*words, "--state-dir", str(state)]) == 64
    said = capsys.readouterr().err
    assert "in the settings: not a registry: " in said
    assert "hunter2" not in said
    assert not (state / "clawtop").exists()
