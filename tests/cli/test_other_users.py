"""The threat model with real users: what the owner of a state directory, and others, can lead root to."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clawtop.store.place.locating import locate
from tests.support.samples import unpacked
from tests.support.stores import auth_state, make_state_dir
from tests.support.users import Run, Said, Spec, done_by, given, replaced_by_link

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become other users")

OWNER, OTHER = 12_345, 12_346
PRECIOUS = "precious-7f3a91"
TOKEN = "gateway-token-0c5d-of-the-owner"
READS = (["status"], ["status", "--json"], ["bundle", "--out", "-"], ["drive", "--list"], ["doctor"])


@dataclass(frozen=True, slots=True)
class Machine:
    """A state directory of `OWNER`, a directory that only root may enter, and what stands for /tmp."""

    root: Path
    state: Path
    closed: Path

    @property
    def temporary(self) -> Path:
        return self.root / "tmp"

    def run(self, uid: int, *argv: str, **env: str) -> Run:
        usual = {"PATH": os.environ["PATH"], "HOME": str(self.root), "TMPDIR": str(self.temporary), "LANG": "C.UTF-8"}
        return Run(uid=uid, argv=[*argv, "--state-dir", str(self.state)], env={**usual, **env})

    def done(self, *runs: Run, gateway: tuple[int, str, str, str] | None = None) -> list[Said]:
        return done_by(Spec(system=str(self.temporary), runs=list(runs), gateway=gateway))

    def config(self, **more: object) -> None:
        path = self.state / "openclaw.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **more}))


@pytest.fixture
def machine() -> Iterator[Machine]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        root.chmod(0o755)
        state = make_state_dir(root)
        made = Machine(root, state, root / "closed")
        provider = {"baseUrl": "http://127.0.0.1:1", "api": "openai-completions", "models": [{"id": "m"}]}
        made.config(models={"providers": {"fakeai": provider}})
        made.config(gateway={"mode": "local", "port": 1, "auth": {"mode": "token", "token": TOKEN}})
        sessions = state / "agents/main/sessions"
        entry = {"sessionId": "s1", "status": "done", "updatedAt": 1, "sessionFile": str(sessions / "s1.jsonl")}
        (sessions / "sessions.json").write_text(json.dumps({"agent:main:main": entry}))
        (sessions / "s1.jsonl").write_text('{"type": "session", "id": "s1", "version": 3}\n')
        (root / "tmp").mkdir()
        (root / "tmp").chmod(0o1777)
        _fill(made.closed)
        given(state, OWNER)
        yield made


def _fill(closed: Path) -> None:
    """Files of root that look like OpenClaw's, in a directory that only root may enter."""
    entry = {"sessionId": PRECIOUS, "status": PRECIOUS, "updatedAt": 1, "label": PRECIOUS}
    key = {"type": "api_key", "provider": "fakeai", "key": f"sk-{PRECIOUS}"}
    contents: dict[str, Any] = {
        "sessions.json": {f"agent:main:{PRECIOUS}": entry},
        "auth-profiles.json": {"version": 1, "profiles": {f"fakeai:{PRECIOUS}": key}},
        "auth-state.json": {"version": 1, "usageStats": {f"fakeai:{PRECIOUS}": {"lastUsed": 5}}},
        f"{PRECIOUS}.jsonl": {"type": "session", "id": PRECIOUS, "version": 3},
        "openclaw.json": {"agents": {"list": [{"id": PRECIOUS}]}},
    }
    for place in ("", "agent", "sessions", "main/agent", "main/sessions"):
        (closed / place).mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (closed / place / name).write_text(json.dumps(content))  # 0644, since its directory is closed
    closed.chmod(0o700)


LINKS = {
    "agents": "",
    "agents/main": "main",
    "agents/main/agent": "agent",
    "agents/main/sessions": "sessions",
    "agents/main/sessions/sessions.json": "sessions.json",
    "agents/main/agent/auth-profiles.json": "auth-profiles.json",
    "openclaw.json": "openclaw.json",
}


@pytest.mark.parametrize("place", LINKS)
def test_the_owners_link_leads_root_to_nothing_that_is_closed_to_the_owner(place: str, machine: Machine) -> None:
    replaced_by_link(machine.state / place, machine.closed / LINKS[place], OWNER)
    changes = ("clear", "fakeai:one", "--yes", "--verify", "0", "--no-gateway")
    *reads, change = machine.done(*(machine.run(0, *argv, "--no-gateway") for argv in READS), machine.run(0, *changes))
    assert [said["text"] for said in reads if PRECIOUS in said["text"] or said["code"] > 3] == []
    assert change["code"] == 1
    named = "".join((reads[0]["text"] + reads[-1]["text"]).split())
    assert str(machine.state / place) in named


NAMED = {
    "an agent's directory": {"agents": {"list": [{"id": "main", "default": True, "agentDir": "CLOSED"}]}},
    "the session list": {"session": {"store": "CLOSED/sessions.json"}},
    "the log": {"logging": {"file": f"CLOSED/{PRECIOUS}.jsonl"}},
    "an included file": {"$include": "CLOSED/openclaw.json"},
}


@pytest.mark.parametrize("what", NAMED)
def test_the_owners_configuration_leads_root_to_nothing_that_is_closed_to_the_owner(
    what: str, machine: Machine
) -> None:
    machine.config(**json.loads(json.dumps(NAMED[what]).replace("CLOSED", str(machine.closed))))
    found = machine.done(*(machine.run(0, *argv, "--no-gateway") for argv in READS))
    read = [said["text"].replace(str(machine.closed / f"{PRECIOUS}.jsonl"), "") for said in found]
    assert [text for text in read if PRECIOUS in text] == []
    assert all(said["code"] <= 3 for said in found)
    assert any(str(machine.closed) in said["text"] for said in found)


def test_a_link_to_a_directory_that_is_open_to_the_owner_works_for_root(machine: Machine) -> None:
    machine.closed.chmod(0o755)
    replaced_by_link(machine.state / "agents/main/sessions", machine.closed / "sessions", OWNER)
    (said,) = machine.done(machine.run(0, "drive", "--list"))
    assert PRECIOUS in said["text"]


@pytest.mark.parametrize("place", ["state", "agents/main/agent"])
def test_databases_behind_the_owners_link_are_closed_to_root_too(place: str, machine: Machine) -> None:
    state = unpacked("2026.9.6", "running", machine.root / "databases").state_dir
    (state / place).rename(machine.closed / "databases")
    (state / place).symlink_to(machine.closed / "databases")
    given(state, OWNER)
    run = machine.run(0, "status", "--no-gateway")
    run["argv"][-1] = str(state)
    (said,) = machine.done(run)
    assert f"{state / place}, a symbolic link of uid {OWNER}, to whom {machine.closed} is closed" in said["text"]


@pytest.mark.parametrize("uid", [0, OTHER])
def test_who_is_not_the_owner_changes_nothing_and_sends_nothing(uid: int, machine: Machine) -> None:
    for path in (machine.state, *machine.state.rglob("*")):
        path.chmod(0o777 if path.is_dir() else 0o666)  # even where the system would let them
    before = auth_state(machine.state)
    verbs: tuple[tuple[str, ...], ...] = (
        ("clear", "fakeai:one", "--yes", "--verify", "0"),
        ("rotate", "fakeai", "--yes", "--verify", "0"),
        ("drive", "--session", "agent:main:main", "--message", "x", "--model", "fakeai/m"),
        ("drain", "agent:main:main", "--yes", "--deadline", "0.2"),
        ("probe", "--provider", "fakeai"),
    )
    for verb, said in zip(verbs, machine.done(*(machine.run(uid, *verb) for verb in verbs)), strict=True):
        assert said["code"] in {1, 3}, (verb, said)
        assert str(OWNER) in said["text"], (verb, said)
    assert auth_state(machine.state) == before
    assert not (machine.state / "clawtop").exists()


@pytest.mark.parametrize(
    ("listens", "watches", "believed"),
    [(OWNER, OWNER, True), (OWNER, 0, True), (OTHER, OWNER, False), (OTHER, 0, False), (0, OWNER, False)],
)
def test_the_token_goes_only_to_the_owners_gateway(
    listens: int, watches: int, believed: bool, machine: Machine
) -> None:
    heard, said = _heard(machine, listens, machine.run(watches, "bundle", "--out", "-"))
    assert (TOKEN in heard) is believed, (heard, said)
    assert TOKEN not in said["text"]
    if not believed:
        assert "gateway unknown" in said["text"]
        whose = "root" if listens == 0 else f"uid {OTHER}"
        assert f"belongs to {whose}" in " ".join(said["text"].split())


@pytest.mark.parametrize(
    "reference", ["${PRIVATE}", {"source": "env", "id": "PRIVATE"}, {"source": "file", "id": "/a"}]
)
def test_a_configuration_sends_no_variable_or_file_of_another_user_to_its_gateway(
    reference: object, machine: Machine
) -> None:
    secret = machine.root / "secret.json"
    secret.write_text(json.dumps({"a": PRECIOUS}))
    secret.chmod(0o600)
    machine.config(
        gateway={"mode": "local", "port": 1, "auth": {"mode": "token", "token": reference}},
        secrets={"providers": {"default": {"source": "file", "path": str(secret)}}},
    )
    heard, _ = _heard(machine, OWNER, machine.run(0, "bundle", "--out", "-", PRIVATE=PRECIOUS))
    assert PRECIOUS not in heard


def _heard(machine: Machine, listens: int, run: Run) -> tuple[str, Said]:
    """What a gateway of that user hears while clawtop runs, and what clawtop says."""
    environment = {"HOME": str(machine.root), "TMPDIR": str(machine.temporary)}
    layout = locate(machine.state, env=environment, home=machine.root, uids=(OWNER,))
    lock = machine.temporary / f"openclaw-{OWNER}" / layout.gateway_lock_names[0]
    heard = machine.temporary / "heard"
    (said,) = machine.done(run, gateway=(listens, str(lock), str(layout.config_path), str(heard)))
    return heard.read_text(), said
