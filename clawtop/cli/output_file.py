"""A file that an option names, written whole: a reader meets the old content or the new."""

from __future__ import annotations

from pathlib import Path

from clawtop.errors import OperationFailedError
from clawtop.text import safe

_SHOWN = 200


def why_no_file(path: str | Path) -> str:
    """Why no file can be there, for people; empty where one can."""
    place, name = Path(path).absolute(), safe(str(path), _SHOWN)
    try:
        if not place.parent.is_dir():
            return f"there is no directory {safe(place.parent, _SHOWN)}"
        return f"{name} is not a regular file" if place.exists() and not place.is_file() else ""
    except OSError as error:
        return f"{name} cannot be used: {error.strerror or error}"


def put_file(path: str | Path, content: bytes, mode: int = 0o600, *, what: str, hint: str) -> None:
    """Put `content` at `path`, in the place of a file that may be there; never of a pipe or a device.

    Args:
        what: what the file is for, in the error.
        hint: what to do instead, in the error.

    Raises:
        OperationFailedError: it cannot be written. What was there is unchanged.
    """
    from clawtop.store.atomic import put

    why, unchanged = why_no_file(path), "nothing was written"
    if not why:
        try:
            put(str(Path(path).absolute()), content, mode)
        except OSError as error:
            why = f"{safe(str(path), _SHOWN)}: {error.strerror or type(error).__name__}"
            unchanged = "the file is unchanged"
        else:
            return
    raise OperationFailedError(f"{what} cannot be written: {why}", hint=hint, unchanged=unchanged)
