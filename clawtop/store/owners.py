"""Who owns a file, and which user clawtop would have to be to write it."""

from __future__ import annotations

import pwd
from pathlib import Path

from clawtop.errors import RefusedError
from clawtop.text import safe


def check_owner(path: str, euid: int) -> None:
    """Raise RefusedError, naming the user to become, if `path` belongs to somebody else."""
    owner = Path(path).lstat().st_uid
    if owner != euid:
        name = user_name(owner)
        raise RefusedError(
            f"{safe(path)} belongs to {name}, and clawtop runs as {user_name(euid)}",
            unchanged="nothing was written",
            hint=f"run clawtop as {name}: a file that another user writes would change hands",
        )


def check_calls(state_dir: Path, euid: int) -> None:
    """Raise RefusedError if providers must not be called from this state directory: it is another user's, whose
    configuration says where keys go, and may name files and variables of this user as keys.
    """
    owner = state_dir.stat().st_uid
    if owner != euid:
        raise RefusedError(
            f"{safe(state_dir)} belongs to {user_name(owner)}, and clawtop runs as {user_name(euid)}",
            unchanged="no request was sent",
            hint=f"run clawtop as {user_name(owner)}: that configuration says which keys are sent, and where to",
        )


def user_name(uid: int) -> str:
    """The user's name, for people."""
    try:
        return safe(pwd.getpwuid(uid).pw_name)
    except KeyError:
        return f"uid {uid}"
