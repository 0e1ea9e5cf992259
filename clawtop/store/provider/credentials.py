"""The credential of one profile, read from the store that owns it at the moment of a call and kept nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.core.model import Profile
from clawtop.store.json_text import MEGABYTE, UnreadableError, parse, read_bytes
from clawtop.store.provider.secrets import CallCredential, SecretSources, SecretUnavailableError, credential_of
from clawtop.text import safe

MAX_BYTES = 16 * MEGABYTE


def load_credential(profile: Profile, sources: SecretSources, now_ms: int) -> CallCredential:
    """The credential of `profile`, which generations A and B keep in the auth-profiles.json that `profile.path` names.

    Raises:
        SecretUnavailableError: it is gone, unreadable, unresolved or expired; `expired` tells the last apart.
    """
    what = f"profile {safe(profile.id, 80)}"
    try:
        content, _ = read_bytes(profile.path, MAX_BYTES)
        document = parse(content, profile.path)
    except (FileNotFoundError, UnreadableError):
        raise SecretUnavailableError(f"the store of {what} cannot be read: {safe(profile.path)}") from None
    profiles = document.get("profiles") if isinstance(document, Mapping) else None
    raw = profiles.get(profile.id) if isinstance(profiles, Mapping) else None
    if not isinstance(raw, Mapping):
        raise SecretUnavailableError(f"{what} is no longer in {safe(profile.path)}")
    return credential_of(raw, sources, now_ms, what=what)
