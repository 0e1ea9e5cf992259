"""Keys that OpenClaw itself wrote where words are expected, and what verbs print of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from clawtop.cli import main as cli
from clawtop.redaction import masked
from tests.support.hostile import SECRET, gives_away, secret_forms
from tests.support.samples import copy, sample

PROFILE = "fakeai:one"
PROSE = " and ".join(secret_forms().values())
MASK = "•••"


@pytest.fixture(autouse=True)
def private_tmp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    """An account whose key is in its own disable reason, in a session's last error, and in the configuration."""
    state = copy(sample("2026.5.20", "rate-limited"), tmp_path).state_dir
    agent = state / "agents/main/agent"
    change(agent / "auth-profiles.json", lambda store: store["profiles"][PROFILE].update(key=SECRET))
    change(
        agent / "auth-state.json",
        lambda store: store["usageStats"][PROFILE].update(
            disabledUntil=4_000_000_000_000, disabledReason=PROSE, failureCounts={PROSE: 2}
        ),
    )
    change(
        state / "agents/main/sessions/sessions.json",
        lambda sessions: [entry.update(label=PROSE, displayName=PROSE) for entry in sessions.values()],
    )
    change(state / "openclaw.json", lambda config: config.update({f"about {PROSE}": PROSE}))
    return state


def change(path: Path, how: Any) -> None:
    document = json.loads(path.read_text())
    how(document)
    path.write_text(json.dumps(document))


@pytest.mark.parametrize("json_flag", [(), ("--json",)], ids=["text", "json"])
@pytest.mark.parametrize(
    ("words", "masks"),
    [
        (("status",), False),
        (("doctor",), False),
        (("explain", "profile", PROFILE), True),
        (("explain", "error", f"401 invalid key: {PROSE}"), True),
        (("explain", "profile", SECRET), True),
        (("clear", PROFILE, "--dry-run"), True),
        (("clear", PROFILE, "--yes"), True),
        (("clear", SECRET, "--yes"), True),
        (("order", "fakeai", SECRET, "--yes"), True),
        (("unlock", SECRET, "--yes"), True),
        (("rotate", "fakeai", "--yes"), False),
    ],
    ids=lambda value: " ".join(value[:2]) if isinstance(value, tuple) else "",
)
def test_no_verb_prints_a_key_of_the_state(
    directory: Path,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
    masks: bool,
    json_flag: tuple[str, ...],
) -> None:
    assert cli.run([*words, *json_flag, "--state-dir", str(directory)]) != 70
    told = capsys.readouterr()
    said = told.out + told.err
    assert said
    assert not gives_away(said)
    for line in told.out.splitlines():
        if line.startswith("{"):
            assert not gives_away(" ".join(json.dumps(json.loads(line), ensure_ascii=False).split("\\n")))
    assert not masks or MASK in said or "\\u2022" in said


def test_the_journal_holds_no_key_and_an_undo_brings_a_mask_back(
    directory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    state = directory / "agents/main/agent/auth-state.json"
    before = json.loads(state.read_text())["usageStats"][PROFILE]
    for words in (("clear", PROFILE), ("undo",)):
        assert cli.run([*words, "--yes", "--state-dir", str(directory)]) == 0
    assert not gives_away(capsys.readouterr().out)
    assert not gives_away((directory / "clawtop" / "journal.jsonl").read_text())
    after = json.loads(state.read_text())["usageStats"][PROFILE]
    assert after["disabledReason"] == masked(before["disabledReason"])
    assert {**before, "disabledReason": "", "failureCounts": {}} == {**after, "disabledReason": "", "failureCounts": {}}
