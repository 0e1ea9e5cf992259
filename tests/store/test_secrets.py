"""Credentials: inline, by environment, by file; redacted everywhere; refused with a reason."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.model import Credential, Profile
from clawtop.redaction import masked
from clawtop.store.provider.credentials import load_credential
from clawtop.store.provider.secrets import (
    Secret,
    SecretSources,
    SecretUnavailableError,
    config_secret,
    credential_of,
    resolved,
)

NOW = 1_700_000_000_000


def sources(home: Path = Path("/nowhere"), environ: Mapping[str, str] | None = None, **providers: Any) -> SecretSources:
    return SecretSources.of({"secrets": {"providers": providers}}, {"HOME": str(home), **(environ or {})})


def private(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text)
    path.chmod(mode)
    return path


def test_a_secret_shows_itself_to_nobody() -> None:
    secret = Secret("sk-under-the-rock-1234")
    assert "rock" not in f"{secret} {secret!r} {[secret]} {vars(Secret)}"
    assert secret.reveal() == "sk-under-the-rock-1234"
    assert "rock-1234" not in masked("it said sk-under-the-rock-1234 aloud")
    with pytest.raises(TypeError):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    "given", ["${REEF_KEY}", "$REEF_KEY", {"source": "env", "provider": "default", "id": "REEF_KEY"}]
)
def test_references_to_the_environment(given: object) -> None:
    assert resolved(given, sources(environ={"REEF_KEY": "abcdefgh"}), what="x").reveal() == "abcdefgh"
    with pytest.raises(SecretUnavailableError, match="REEF_KEY, which is not set here"):
        resolved(given, sources(environ={"REEF_KEY": ""}), what="x")


def test_an_allowlist_of_the_environment_is_kept() -> None:
    where = sources(environ={"REEF_KEY": "abcdefgh"}, default={"source": "env", "allowlist": ["OTHER"]})
    with pytest.raises(SecretUnavailableError, match="allowlist"):
        resolved({"source": "env", "provider": "default", "id": "REEF_KEY"}, where, what="x")


def test_literal_variables_of_the_config_fill_gaps_only() -> None:
    config = {"env": {"vars": {"A_KEY": "from-config", "B_KEY": "from-config"}}}
    found = SecretSources.of(config, {"B_KEY": "from-environment"})
    assert resolved("$A_KEY", found, what="x").reveal() == "from-config"
    assert resolved("$B_KEY", found, what="x").reveal() == "from-environment"


def test_references_to_files(tmp_path: Path) -> None:
    private(tmp_path / "s.json", json.dumps({"providers": {"a/b": {"k~y": ["zero", "file-secret"]}}}))
    private(tmp_path / "one.txt", "single-secret\n")
    where = sources(
        tmp_path,
        main={"source": "file", "path": "~/s.json", "mode": "json"},
        one={"source": "file", "path": str(tmp_path / "one.txt"), "mode": "singleValue"},
    )
    pointer = {"source": "file", "provider": "main", "id": "/providers/a~1b/k~0y/1"}
    assert resolved(pointer, where, what="x").reveal() == "file-secret"
    assert resolved({"source": "file", "provider": "one", "id": "value"}, where, what="x").reveal() == "single-secret"


@pytest.mark.parametrize(
    ("pointer", "why"),
    [
        ("/absent", "no text at its id"),
        ("/list/9", "no text at its id"),
        ("/number", "no text"),
        ("/list/x/y", "no text"),
    ],
)
def test_pointers_that_lead_nowhere(tmp_path: Path, pointer: str, why: str) -> None:
    private(tmp_path / "s.json", '{"number": 5, "list": ["a"]}')
    where = sources(tmp_path, main={"path": "~/s.json", "mode": "json"})
    with pytest.raises(SecretUnavailableError, match=why):
        resolved({"source": "file", "provider": "main", "id": pointer}, where, what="x")


def test_files_that_are_open_to_others_or_no_files_are_not_read(tmp_path: Path) -> None:
    private(tmp_path / "open.txt", "secret-in-the-open", 0o644)
    (tmp_path / "dir").mkdir()
    for name, why in (
        ("open.txt", "lets others read it"),
        ("dir", "regular file|directory"),
        ("absent", "No such file"),
    ):
        where = sources(tmp_path, one={"path": f"~/{name}", "mode": "singleValue"})
        with pytest.raises(SecretUnavailableError, match=why):
            resolved({"source": "file", "provider": "one", "id": "value"}, where, what="x")
    insecure = sources(tmp_path, one={"path": "~/open.txt", "mode": "singleValue", "allowInsecurePath": True})
    assert resolved({"source": "file", "provider": "one", "id": "value"}, insecure, what="x").reveal()


@pytest.mark.parametrize("broken", ["{", '"just text"', "[" * 100_000, "\x00"])
def test_broken_secret_files_are_named_without_their_content(tmp_path: Path, broken: str) -> None:
    private(tmp_path / "s.json", broken)
    where = sources(tmp_path, main={"path": "~/s.json"})
    with pytest.raises(SecretUnavailableError) as caught:
        resolved({"source": "file", "provider": "main", "id": "/a"}, where, what="x")
    assert "just text" not in str(caught.value)


@pytest.mark.parametrize(
    "given", [{"source": "exec", "provider": "vault", "id": "a"}, {"source": "magic"}, 7, None, []]
)
def test_what_only_the_gateway_can_resolve_is_refused(given: object) -> None:
    with pytest.raises(SecretUnavailableError):
        resolved(given, sources(), what="x")


def test_a_provider_key_may_be_the_name_of_a_variable() -> None:
    assert (
        config_secret("LITELLM_KEY", sources(environ={"LITELLM_KEY": "from-env-1"}), what="x").reveal() == "from-env-1"
    )
    assert config_secret("LITELLM_KEY", sources(), what="x").reveal() == "LITELLM_KEY"


@pytest.mark.parametrize(
    ("raw", "kind", "value"),
    [
        ({"type": "api_key", "key": "k-123456"}, "api_key", "k-123456"),
        ({"mode": "api_key", "apiKey": "k-123456"}, "api_key", "k-123456"),
        ({"type": "api_key", "key": "old", "keyRef": {"source": "env", "id": "K"}}, "api_key", "from-ref"),
        ({"type": "token", "token": "t-123456", "expires": NOW + 1}, "token", "t-123456"),
        ({"type": "oauth", "access": "a-123456", "refresh": "r-123456", "expires": NOW + 1}, "oauth", "a-123456"),
        ({"type": "api_key", "key": "k-123456", "expires": 1}, "api_key", "k-123456"),
    ],
)
def test_every_kind_of_credential(raw: dict[str, Any], kind: str, value: str) -> None:
    found = credential_of(raw, sources(environ={"K": "from-ref"}), NOW, what="x")
    assert (found.type, found.secret.reveal()) == (kind, value)


@pytest.mark.parametrize("kind", ["token", "oauth"])
def test_an_expired_credential_says_so(kind: str) -> None:
    raw = {"type": kind, "token": "t-123456", "access": "a-123456", "refresh": "r-123456", "expires": NOW}
    with pytest.raises(SecretUnavailableError, match="expired") as caught:
        credential_of(raw, sources(), NOW, what="x")
    assert caught.value.expired == (kind == "token")
    assert ("needs a refresh by OpenClaw" in str(caught.value)) == (kind == "oauth")


@pytest.mark.parametrize(
    "raw", [{}, {"type": "oauth", "refresh": "r"}, {"type": "nonsense", "key": "k"}, {"type": "token"}]
)
def test_a_credential_without_a_secret_is_refused(raw: dict[str, Any]) -> None:
    with pytest.raises(SecretUnavailableError, match="no usable"):
        credential_of(raw, sources(), NOW, what="x")


def test_a_profile_is_read_from_the_store_that_owns_it(tmp_path: Path) -> None:
    path = private(tmp_path / "auth-profiles.json", '{"profiles": {"a:b": {"type": "api_key", "key": "sk-owned-123"}}}')
    profile = Profile("a:b", "a", Credential("api_key"), "main", str(path))
    assert load_credential(profile, sources(), NOW).secret.reveal() == "sk-owned-123"
    path.write_text('{"profiles": []}')
    with pytest.raises(SecretUnavailableError, match="no longer in"):
        load_credential(profile, sources(), NOW)
    path.unlink()
    with pytest.raises(SecretUnavailableError, match="cannot be read"):
        load_credential(profile, sources(), NOW)
