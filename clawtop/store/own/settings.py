"""The operator's settings on disk: `~/.config/clawtop/config.toml`. Read by all verbs, written by one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from clawtop.core.settings import LoadedSettings, read_settings, with_entry, with_value
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.store import door
from clawtop.store.disk import disk
from clawtop.text import safe

MAX_BYTES = 256 * 1024


def settings_path(environment: Mapping[str, str], home: Path) -> Path:
    """`CLAWTOP_CONFIG`, else `clawtop/config.toml` in `XDG_CONFIG_HOME` or `~/.config`."""
    named = environment.get("CLAWTOP_CONFIG")
    if named:
        return Path(named)
    base = environment.get("XDG_CONFIG_HOME", "")
    return (Path(base) if base.startswith("/") else home / ".config") / "clawtop" / "config.toml"


def load_settings(environment: Mapping[str, str], home: Path) -> LoadedSettings:
    """The settings in force. Never raises: a file that cannot be read or parsed is one of the problems."""
    path = settings_path(environment, home)
    document: dict[str, Any] = {}
    problems: tuple[str, ...] = ()
    try:
        text = _text(path)
        if text is not None:
            document = _parsed(text)
    except OSError as error:
        problems = (f"{safe(path)} cannot be read ({error.strerror or type(error).__name__}); it is ignored",)
    except (ValueError, RecursionError) as error:
        problems = (f"{safe(path)} is not TOML ({safe(error, 120)}); it is ignored",)
    reading = read_settings(document, environment, safe(path))
    return LoadedSettings(reading.values, (*problems, *reading.problems))


def save_setting(path: Path, name: str, value: Any) -> None:
    """Change one setting in the file, creating it and its directory if missing. Every other line stays.

    Raises:
        RefusedError: the file has something there that should be edited by hand, or is not TOML.
        OperationFailedError: the disk refused.
    """
    _save(path, name, value, lambda text: with_value(text, name, value))


def save_entry(path: Path, table: str, key: str, value: str) -> None:
    """Change one entry of a table in the file, as `save_setting`: such as a session's label; raises the same."""
    _save(path, f"{table}.{key}", value, lambda text: with_entry(text, table, key, value))


def _save(path: Path, name: str, value: Any, change: Callable[[str], str]) -> None:
    from clawtop.store.atomic import put  # most processes only read settings

    try:
        before = _text(path) or ""
        if (words := door.in_the_way(path)) is not None:
            raise OperationFailedError(f"{safe(path)} {words}", unchanged="nothing was saved")
        try:
            after = change(before)
        except KeyError as error:
            raise _by_hand(name) from error
        _check_only_change(path, before, after, name, value)
        disk.make_directories(path.parent, 0o700)
        put(str(path.resolve()), after.encode())
    except UnicodeDecodeError as error:
        raise _not_toml(path, error) from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OperationFailedError(f"{safe(path)} cannot be written: {why}", unchanged="nothing was saved") from error


def _check_only_change(path: Path, before: str, after: str, name: str, value: Any) -> None:
    try:
        was, becomes = _flat(_parsed(before)), _flat(_parsed(after))
    except (ValueError, RecursionError) as error:
        raise _not_toml(path, error) from error
    if becomes != {**was, name: value}:
        raise _by_hand(name)


def _parsed(text: str) -> dict[str, Any]:
    """The document. Raises ValueError (tomllib's own, too) and RecursionError."""
    import tomllib  # most operators have no such file

    return tomllib.loads(text)


def _not_toml(path: Path, error: Exception) -> RefusedError:
    return RefusedError(f"{safe(path)} is not TOML: {safe(error, 120)}", unchanged="nothing was saved")


def _by_hand(name: str) -> RefusedError:
    title = f"{safe(name)} is written there in a form that must be edited by hand"
    return RefusedError(title, unchanged="nothing was saved")


def _flat(document: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in document.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def _text(path: Path) -> str | None:
    try:
        return door.read(path, MAX_BYTES, follow=door.Follow.OPERATOR).data.decode("utf-8")
    except FileNotFoundError:
        return None
