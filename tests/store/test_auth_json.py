"""The auth store of generations A and B: merged and inherited as OpenClaw does it."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.cooldown.profile_state import credential_state
from clawtop.core.model import AuthStore, CredentialState, Generation, Profile
from clawtop.redaction import masked
from clawtop.store.auth import json_files as auth_json
from clawtop.store.auth.json_files import RETRY_PAUSES, read_own
from clawtop.store.auth.port import OwnAuth, seen_by
from tests.support.clocks import ManualClock
from tests.support.states_made import NOW, StateDir, write_json

KEY = {"type": "api_key", "provider": "fakeai", "key": "sk-fake-one-1111"}


def stored(directory: Path, generation: Generation, profiles: Any, state: Any = None, **embedded: Any) -> OwnAuth:
    directory.mkdir(exist_ok=True)
    (directory / "auth-profiles.json").write_text(json.dumps({"version": 1, "profiles": profiles, **embedded}))
    if state is not None:
        (directory / "auth-state.json").write_text(json.dumps(state))
    return read_own(directory.name, directory, generation, ManualClock(NOW))


def stats_of(store: AuthStore) -> dict[str, tuple[int | None, int | None]]:
    return {profile.id: (profile.stats.last_used, profile.stats.error_count) for profile in store.profiles}


def test_generation_a_keeps_everything_in_one_file(tmp_path: Path) -> None:
    own = stored(
        tmp_path / "main",
        Generation.A,
        {"fakeai:one": KEY},
        {"usageStats": {"fakeai:one": {"lastUsed": 9}}},
        usageStats={"fakeai:one": {"lastUsed": 1}},
        order={"fakeai": ["fakeai:one"]},
        lastGood={"fakeai": "fakeai:one"},
    )
    store = seen_by(own.owner, own)
    assert stats_of(store) == {"fakeai:one": (1, None)}, "a stray auth-state.json is not read"
    assert dict(store.order) == {"fakeai": ("fakeai:one",)}
    assert (dict(store.last_good), dict(store.order_owner)) == ({"fakeai": "fakeai:one"}, {"fakeai": "main"})


def test_generation_b_merges_whole_entries(tmp_path: Path) -> None:
    own = stored(
        tmp_path / "main",
        Generation.B,
        {"fakeai:one": KEY, "fakeai:two": KEY, "fakeai:three": KEY},
        {"usageStats": {"fakeai:one": {"lastUsed": 9}}, "order": {"fakeai": ["fakeai:two"]}},
        usageStats={"fakeai:one": {"lastUsed": 1, "errorCount": 5}, "fakeai:two": {"lastUsed": 2}},
        order={"fakeai": ["fakeai:one"], "other": ["x"]},
        lastGood={"fakeai": "fakeai:one"},
    )
    store = seen_by(own.owner, own)
    assert stats_of(store) == {"fakeai:one": (9, None), "fakeai:two": (2, None), "fakeai:three": (None, None)}
    assert dict(store.order) == {"fakeai": ("fakeai:two",), "other": ("x",)}
    assert dict(store.last_good) == {"fakeai": "fakeai:one"}


def test_an_agent_sees_the_main_agents_profiles_under_its_own(tmp_path: Path) -> None:
    main = stored(
        tmp_path / "main",
        Generation.B,
        {"fakeai:one": KEY, "fakeai:two": KEY},
        {
            "usageStats": {"fakeai:one": {"lastUsed": 1}, "fakeai:two": {"lastUsed": 2}},
            "order": {"a": ["x"], "b": ["y"]},
        },
    )
    ops = stored(
        tmp_path / "ops",
        Generation.B,
        {"fakeai:two": KEY, "fakeai:own": KEY},
        {"usageStats": {"fakeai:own": {"lastUsed": 3}}, "order": {"b": ["z"]}},
    )
    store = seen_by(ops.owner, ops, main)
    owners = {profile.id: (profile.owner_agent, Path(profile.path).parent.name) for profile in store.profiles}
    assert owners == {
        "fakeai:one": ("main", "main"),
        "fakeai:two": ("ops", "ops"),
        "fakeai:own": ("ops", "ops"),
    }
    assert stats_of(store)["fakeai:own"] == (3, None)
    assert dict(store.order) == {"a": ("x",), "b": ("z",)}
    assert dict(store.order_owner) == {"a": "main", "b": "ops"}
    assert store.path == str(tmp_path / "ops" / "auth-profiles.json")
    assert [(part.owner, sorted(part.stats)) for part in store.parts] == [
        ("ops", ["fakeai:own"]),
        ("main", ["fakeai:one", "fakeai:two"]),
    ]


def test_the_fingerprint_follows_every_file_behind_a_store(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    agent_dir, _ = state.agent("ops")
    reader = state.reader()

    def fingerprint() -> str:
        store = reader.read().agents[1].store
        assert store is not None
        return store.fingerprint

    seen = [fingerprint()]
    assert fingerprint() == seen[0]
    state.state(usageStats={"fakeai:one": {"lastUsed": 1}})
    seen.append(fingerprint())
    write_json(agent_dir / "auth-profiles.json", {"version": 1, "profiles": {}})
    seen.append(fingerprint())
    assert len(set(seen)) == 3


CREDENTIALS: list[tuple[dict[str, Any], CredentialState, str]] = [
    (KEY, CredentialState.USABLE, "api_key"),
    ({"type": "api_key", "provider": "p"}, CredentialState.INVALID, "api_key"),
    ({"type": "api_key", "provider": "p", "key": "  "}, CredentialState.INVALID, "api_key"),
    ({"type": "api_key", "provider": "p", "keyRef": {"source": "env", "id": "K"}}, CredentialState.USABLE, "api_key"),
    ({"type": "api_key", "provider": "p", "key": {"source": "env", "id": "K"}}, CredentialState.USABLE, "api_key"),
    ({"mode": "api_key", "provider": "p", "apiKey": "sk-fake-alias"}, CredentialState.USABLE, "api_key"),
    ({"type": "token", "provider": "p", "token": "t-1"}, CredentialState.USABLE, "token"),
    ({"type": "token", "provider": "p", "token": "t-1", "expires": NOW - 1}, CredentialState.EXPIRED, "token"),
    ({"type": "token", "provider": "p", "token": "t-1", "expires": "soon"}, CredentialState.INVALID, "token"),
    ({"type": "oauth", "provider": "p", "access": "a-1", "expires": NOW - 1}, CredentialState.EXPIRED, "oauth"),
    (
        {"type": "oauth", "provider": "p", "access": "a-1", "refresh": "r-1", "expires": NOW - 1},
        CredentialState.USABLE,
        "oauth",
    ),
]


@pytest.mark.parametrize(("entry", "state", "kind"), CREDENTIALS)
def test_credentials(tmp_path: Path, entry: dict[str, Any], state: CredentialState, kind: str) -> None:
    profile = only_profile(stored(tmp_path / "main", Generation.B, {"p:one": entry}))
    assert credential_state(profile.credential, NOW) is state
    assert profile.credential.type == kind


def only_profile(own: OwnAuth) -> Profile:
    (profile,) = seen_by(own.owner, own).profiles
    return profile


def test_every_kind_of_secret_is_redacted(tmp_path: Path) -> None:
    secrets = {name: f"plain words of {name}" for name in ("key", "apiKey", "token", "access", "refresh", "idToken")}
    own = stored(tmp_path / "main", Generation.B, {"p:one": {"type": "oauth", "provider": "p", **secrets}})
    assert masked(" | ".join(secrets.values())) == " | ".join(["•••"] * len(secrets))
    assert "plain words" not in repr(own)


class GrowingClock(ManualClock):
    """Finishes the file on the n-th pause, as its writer would."""

    def __init__(self, path: Path, content: str, after: int) -> None:
        super().__init__(NOW)
        self._path, self._content, self._after = path, content, after

    def pause(self, seconds: float) -> None:
        super().pause(seconds)
        if len(self.paused) == self._after:
            self._path.write_text(self._content)


@pytest.mark.parametrize("torn", ["", '{"version": 1, "profiles": {"fakeai:one": {"type"'])
def test_a_torn_file_is_read_again(tmp_path: Path, torn: str) -> None:
    path = tmp_path / "auth-profiles.json"
    path.write_text(torn)
    clock = GrowingClock(path, json.dumps({"profiles": {"fakeai:one": KEY}}), after=2)
    own = read_own("main", tmp_path, Generation.A, clock)
    assert own.problem is None
    assert [profile.id for profile in own.profiles] == ["fakeai:one"]
    assert clock.paused == list(RETRY_PAUSES[:2])


def test_a_file_that_stays_torn_is_given_up_and_left_alone_until_it_changes(tmp_path: Path) -> None:
    state = StateDir(tmp_path, version="2026.3.28")
    state.auth_profiles.write_text('{"prof')
    reader = state.reader()
    reader.read()
    assert state.clock.paused == list(RETRY_PAUSES)
    reader.read()
    assert state.clock.paused == list(RETRY_PAUSES), "the same bytes are not waited for twice"


@pytest.mark.long
def test_a_writer_that_truncates_in_place_never_shows_half_a_file(tmp_path: Path) -> None:
    """2026.3.28 writes in place: whatever a reader sees is a whole generation of the file, or a named problem."""
    path = tmp_path / "auth-profiles.json"
    texts = [
        json.dumps(
            {"profiles": {f"fakeai:{n}": KEY for n in range(60)}, "usageStats": {"x": {"lastUsed": turn}}}, indent=2
        )
        for turn in range(2)
    ]
    path.write_text(texts[0])
    stop = threading.Event()

    def write() -> None:
        turn = 0
        while not stop.is_set():
            with path.open("w") as file:
                half = len(texts[turn % 2]) // 2
                file.write(texts[turn % 2][:half])
                file.flush()
                file.write(texts[turn % 2][half:])
            turn += 1

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(25):
            own = read_own("main", tmp_path, Generation.A, SystemClock())
            assert own.problem is not None or len(own.profiles) == 60
    finally:
        stop.set()
        writer.join()
    assert len(read_own("main", tmp_path, Generation.A, SystemClock()).profiles) == 60


def test_absent_files_are_an_empty_store(tmp_path: Path) -> None:
    own = read_own("main", tmp_path / "none", Generation.B, ManualClock())
    assert (own.problem, own.profiles, own.warnings) == (None, (), ())
    assert auth_json.stamps_of(tmp_path / "none", Generation.B) == own.stamps
