"""Where a gateway logs, by its own rules (2026.3.28 to 2026.9.6).

`logging.file`, else a daily file in /tmp/openclaw, or beside its lock where that directory is not its own.

A daily file rolls at midnight; 2026.3.28 continues to write yesterday's, so that one is followed while it grows.
2026.9 includes the profile's name in the file's name. The default directory is shared by all gateways of a user: it is
read only for a gateway of this user.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from clawtop.core.model import Gateway
from clawtop.patterns import regex
from clawtop.store.place import temporary
from clawtop.store.place.layout import Layout
from clawtop.values import dataclass

STILL_WRITTEN_S = 15 * 60
"""An earlier day's file counts as still being written if it changed this shortly before the newest one."""

_DATED = regex(r"(?P<prefix>openclaw(?:-[a-z0-9-]+?)?)-(?P<date>\d{4}-\d{2}-\d{2})\.log")


@dataclass(frozen=True, slots=True)
class LogPlace:
    """The files that are followed, oldest first; if there are none, `how` says why."""

    paths: tuple[Path, ...]
    how: str


def shared_logs() -> Path:
    """The directory in which the gateways of a user log by default."""
    return temporary.SYSTEM / "openclaw"


def log_place(layout: Layout, configured: str | None, gateway: Gateway, uid: int) -> LogPlace:
    """Find a gateway's log.

    Args:
        configured: `logging.file`, absolute and mapped into a copy.
        uid: the user that the gateway runs as.
    """
    if configured is not None:
        path = Path(configured)
        match = _DATED.fullmatch(path.name)
        if match is None:
            return LogPlace((path,), "logging.file")
        found = _newest(path.parent, {match["prefix"]}, uid)
        return LogPlace(found or (path,), "logging.file, which rolls daily")
    if layout.config.unread:
        return LogPlace((), "the configuration cannot be read, so where the gateway logs is not known")
    if layout.foreign_roots:
        return LogPlace((), "the configuration names no log, and this directory is a copy")
    if gateway.pid is None:
        return LogPlace((), "the configuration names no log, and no gateway of this directory is visible")
    shared = shared_logs()
    directories = (shared,) if _is_gateways(shared, uid) else layout.lock_dirs
    prefixes = {"openclaw", *_profile_prefix(layout.state_dir.name)}
    for directory in directories:
        found = _newest(directory, prefixes, uid)
        if found:
            return LogPlace(found, f"the daily file in {directory}{_shared_with(gateway)}")
    return LogPlace((), f"no daily file in {' or '.join(str(directory) for directory in directories)}")


def _shared_with(gateway: Gateway) -> str:
    """The other gateways that may write there. A line does not say whose it is (2026.3.28 to 2026.9.6), but may name
    something that only one gateway has.
    """
    pids = ", ".join(map(str, gateway.others[:3]))
    if not pids:
        return ""
    return (
        f", which another gateway (pid {pids}) may write too: lines that name its agents, accounts or "
        "transcripts are left out, the rest cannot be told apart"
    )


def _is_gateways(directory: Path, uid: int) -> bool:
    """Whether a gateway of this user logs there: its own directory, or one that it would create."""
    try:
        facts = directory.lstat()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return stat.S_ISDIR(facts.st_mode) and facts.st_uid == uid


def _profile_prefix(state_name: str) -> tuple[str, ...]:
    """`openclaw-<segment>` for `.openclaw-<profile>` (2026.9), as it spells names in file names."""
    profile = state_name.removeprefix(".openclaw-")
    if profile == state_name:
        return ()
    return ("openclaw-" + "".join(_spelled(char) for char in profile),)


def _spelled(char: str) -> str:
    if char.isascii() and (char.isdigit() or char.islower()):
        return char
    if char in "-_":
        return "--" if char == "-" else "-0"
    return f"-1{char.lower()}" if char.isascii() and char.isupper() else f"-2{ord(char):x}-"


def _newest(directory: Path, prefixes: set[str], uid: int) -> tuple[Path, ...]:
    """The newest daily file, preceded by the one before it if that is still written. Only the user's, or root's."""
    dated: list[tuple[str, float, Path]] = []
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names only
    except OSError:
        return ()
    own = max(
        (prefix for prefix in prefixes if any(name.startswith(f"{prefix}-2") for name in names)), key=len, default=""
    )
    for name in names:
        match = _DATED.fullmatch(name)
        if match is None or match["prefix"] != own:
            continue
        path = directory / name
        try:
            facts = path.lstat()
        except OSError:
            continue
        if stat.S_ISREG(facts.st_mode) and facts.st_uid in {uid, 0}:
            dated.append((match["date"], facts.st_mtime, path))
    dated.sort()
    if not dated:
        return ()
    latest = max(mtime for _, mtime, _ in dated)
    chosen = [path for _, mtime, path in dated[-2:-1] if latest - mtime <= STILL_WRITTEN_S]
    return (*chosen, dated[-1][2])
