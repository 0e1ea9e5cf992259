"""The two documents of an auth store, credentials and state, as profiles, statistics and orders.

They are the same JSON in every generation, in files or in rows (docs/formats.md 2.1, 2.2).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from clawtop.core.model import Credential, Problem, Profile
from clawtop.nested import mapping
from clawtop.redaction import remember_secrets
from clawtop.store.auth.port import OwnAuth
from clawtop.store.config import orders
from clawtop.store.wire import PROFILE_TYPES, credential, secret_values, text, usage_stats


def own_auth(
    owner: str,
    path: str,
    file: str,
    documents: tuple[Mapping[str, Any], Mapping[str, Any]],
    *,
    warnings: Sequence[Problem] = (),
    stamps: Hashable = None,
) -> OwnAuth:
    """The profiles, statistics and orders in the two documents, credentials and state.

    Each entry of the state replaces, as a whole, the one embedded in the credentials.

    Every secret that is read goes to `clawtop.redaction.remember_secrets`.
    """
    credentials, state = documents
    stored = credentials.get("profiles")
    if stored is not None and not isinstance(stored, dict):
        return OwnAuth(
            owner, path, file, problem=Problem("wrong-type", path, "its profiles are not an object"), stamps=stamps
        )
    stats = {**mapping(credentials.get("usageStats")), **mapping(state.get("usageStats"))}
    last_good = {**mapping(credentials.get("lastGood")), **mapping(state.get("lastGood"))}
    return OwnAuth(
        owner=owner,
        path=path,
        file=file,
        profiles=_profiles(mapping(stored), owner, path),
        stats={name: usage_stats(entry, name) for name, entry in stats.items()},
        order={**orders(credentials.get("order")), **orders(state.get("order"))},
        last_good={provider: name for provider, name in last_good.items() if isinstance(name, str)},
        warnings=tuple(warnings),
        stamps=stamps,
    )


def repeated_keys(repeated: list[str], members: list[tuple[str, Any]]) -> dict[str, Any]:
    """For the JSON parser: the object of `members`; duplicate keys are noted."""
    result = dict(members)
    if len(result) != len(members):
        repeated += (key for key, count in Counter(key for key, _ in members).items() if count > 1)
    return result


def _profiles(entries: Mapping[str, Any], owner: str, path: str) -> tuple[Profile, ...]:
    remember_secrets(secret for entry in entries.values() for secret in secret_values(mapping(entry)))
    return tuple(_profile(name, entry, owner, path) for name, entry in entries.items())


def _profile(name: str, entry: Any, owner: str, path: str) -> Profile:
    stored = mapping(entry)
    found = credential(stored)
    provider = text(stored.get("provider")) or name.partition(":")[0]
    why = _malformed(entry, found)
    if why is None:
        return Profile(name, provider, found, owner, path)
    problem = Problem("bad-profile", name, f"{why}; OpenClaw ignores it")
    return Profile(
        name, provider, replace(found, has_secret=False, has_refresh=False), owner, path, problems=(problem,)
    )


def _malformed(entry: Any, found: Credential) -> str | None:
    """Why OpenClaw drops the entry when it loads the store (and loses it with its next write)."""
    if not isinstance(entry, dict):
        return "is not an object"
    if found.type not in PROFILE_TYPES:
        return "has no known type"
    return None if text(entry.get("provider")) else "names no provider"
