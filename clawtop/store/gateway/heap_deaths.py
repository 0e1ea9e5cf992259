"""Gateways that aborted because their JavaScript heap was exhausted (Node's exit code 134).

Node writes that to standard error only, never to OpenClaw's log, with the process and how long it had run:

    [12885:0x21808000]   168 ms: Mark-Compact (reduce) 34.5 (51.5) -> 34.3 (36.5) MB, ...
    FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory

Standard error of a service is systemd's journal, or the files that OpenClaw's launchd service has (2026.3.28 to
2026.7.1); it may also be redirected to the file that `logging.file` names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path

from clawtop.core.javascript import parse_date
from clawtop.core.model import Gateway, GatewayState, MemoryKill
from clawtop.core.session.disk_witness import START_SLACK_MS
from clawtop.nested import loads
from clawtop.patterns import regex
from clawtop.store import door
from clawtop.store.gateway.memory_kills import FORMER_MS
from clawtop.values import dataclass

FILES = ("logs/gateway.err.log", "logs/gateway.log")
TAIL_BYTES = 256 * 1024
TRACE_BYTES = 8_192
"""How far before the error its trace is searched for."""

JOURNALS = ("/run/log/journal", "/var/log/journal")
JOURNAL_SECONDS = 3.0
JOURNAL_LINES = 400

_TRACE = regex(r"\[(\d{1,9}):0x[0-9a-f]{1,16}\]\s{1,20}(\d{1,15}) ms: ")
_FATAL = regex(r"FATAL ERROR: [^\n]{0,200}JavaScript heap out of memory")
_STACK = regex(r"\d{1,3}: 0x|---|Aborted|\Z")
_STAMP = regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)")


@dataclass(frozen=True, slots=True)
class HeapDeath:
    """A death by exhausted heap, as standard error shows it.

    Attributes:
        pid, ran_ms: of the process, where a trace comes before the error.
        is_last: nothing but its native stack follows.
        next_at: the first time that is written after it (ms since the epoch).
    """

    pid: int | None
    ran_ms: int | None
    is_last: bool
    next_at: int | None = None


def heap_death_in(text: str) -> HeapDeath | None:
    """The last such death in a text."""
    errors = list(_FATAL.finditer(text))
    if not errors:
        return None
    error = errors[-1]
    traces = list(_TRACE.finditer(text, max(0, error.start() - TRACE_BYTES), error.start()))
    pid, ran_ms = (int(traces[-1][1]), int(traces[-1][2])) if traces else (None, None)
    rest = text[error.end() :]
    is_last = all(_STACK.match(line.strip()) for line in rest.splitlines())
    stamp = _STAMP.search(rest)
    return HeapDeath(pid, ran_ms, is_last, None if stamp is None else parse_date(stamp[0]))


class HeapDeathWatch:
    """Looks once per gateway process. One thread uses it."""

    def __init__(self, journal: Callable[[Sequence[str]], str] | None = None) -> None:
        """`journal`: what systemd's journal says for these arguments (a seam for tests)."""
        self._journal = journal or journal_said
        self._life: tuple[int | None, GatewayState, int | None] | None = None
        self._told: MemoryKill | None = None

    def look(self, gateway: Gateway, state_dir: Path, log_file: str | None) -> MemoryKill | None:
        """How this gateway ended, or the one before it; None without evidence that its heap was exhausted."""
        if gateway.state not in {GatewayState.DEAD, GatewayState.LIVE} or gateway.pid is None:
            return None
        life = (gateway.pid, gateway.state, gateway.started_at)
        if life != self._life:
            self._life, self._told = life, self._search(gateway, state_dir, log_file)
        return self._told

    def _search(self, gateway: Gateway, state_dir: Path, log_file: str | None) -> MemoryKill | None:
        paths = [state_dir / name for name in FILES] + ([Path(log_file)] if log_file is not None else [])
        found = next((kill for path in paths if (kill := _in_file(path, gateway)) is not None), None)
        if found is None and gateway.state is GatewayState.DEAD:
            return self._in_journal(gateway)
        return found

    def _in_journal(self, gateway: Gateway) -> MemoryKill | None:
        said = self._journal((f"_PID={gateway.pid}", "--lines", str(JOURNAL_LINES)))
        for line in reversed(said.splitlines()):
            try:
                entry = loads(line)
            except (ValueError, RecursionError):
                continue
            message = entry.get("MESSAGE") if isinstance(entry, dict) else None
            if not isinstance(message, str) or _FATAL.search(message) is None:
                continue
            stamp = str(entry.get("__REALTIME_TIMESTAMP"))
            at = int(stamp) // 1000 if stamp.isascii() and stamp.isdigit() and len(stamp) < 20 else 0
            is_own = at >= (gateway.started_at or 0) - START_SLACK_MS
            return _death(at, gateway.pid) if is_own and at else None
        return None


def _in_file(path: Path, gateway: Gateway) -> MemoryKill | None:
    """What a file says of this gateway's end, or of that of the one before it."""
    started = gateway.started_at
    try:
        tail, changed = _tail(path)
    except OSError:
        return None
    found = heap_death_in(tail)
    if found is None or started is None:
        return None
    if gateway.state is GatewayState.LIVE:
        at = changed if found.is_last else found.next_at
        if at is None or abs(at - started) > FORMER_MS or found.pid == gateway.pid:
            return None
        return _death(min(at, started), found.pid)
    if not found.is_last or found.pid not in {None, gateway.pid} or changed < started - START_SLACK_MS:
        return None
    return _death(changed if found.ran_ms is None else min(changed, started + found.ran_ms), gateway.pid)


def _death(at: int, pid: int | None) -> MemoryKill:
    return MemoryKill(at, pid, None, is_gateway=True, by_itself=True)


def _tail(path: Path) -> tuple[str, int]:
    """The last part of a file, and when it changed (ms since the epoch). Raises OSError."""
    with os.fdopen(door.open_file(path, follow=door.Follow.ITS_OWNER), "rb", buffering=0) as file:
        facts = os.fstat(file.fileno())
        file.seek(max(0, facts.st_size - TAIL_BYTES))
        return (file.read(TAIL_BYTES) or b"").decode("utf-8", "replace"), facts.st_mtime_ns // 1_000_000


def journal_said(arguments: Sequence[str]) -> str:
    """What systemd's journal has, one JSON object a line; nothing where there is no journal."""
    if not any(os.path.isdir(place) for place in JOURNALS):  # noqa: PTH112
        return ""
    import subprocess

    command = ["journalctl", "--quiet", "--no-pager", "--output", "json", *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=JOURNAL_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode("utf-8", "replace")
