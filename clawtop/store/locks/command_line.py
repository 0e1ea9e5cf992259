"""OpenClaw processes of a state directory other than the gateway: `openclaw agent --local` and the like.

A process is left out only with proof that it is another directory's, another user's, a gateway or a clawtop. Its
environment may not be visible, and `--profile` leaves no trace there, so every process that may serve the directory
counts.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.locks.session_rules import CLAWTOPS_TITLE
from clawtop.core.model import ProcessEvidence
from clawtop.core.session.disk_witness import CENSUS_EVERY_MS, NOT_LOOKED, CommandLine
from clawtop.patterns import regex
from clawtop.store.locks.processes import Census, ProcessTable
from clawtop.store.place.copies import FORMER_NAMES

_ENTRY = regex(r"(?:.*/)?openclaw(?:\.mjs)?")
_GATEWAY_TITLE = regex(r"(?:.*/)?openclaw-gateway")


class CommandLineWatch:
    """Searches the process table on demand, at most every two seconds. One thread uses it."""

    def __init__(self, processes: ProcessTable, clock: Clock, *, proc: Path = Path("/proc")) -> None:
        """`proc` is the mount point of procfs, used to find directories as other processes see them."""
        self._processes = processes
        self._clock = clock
        self._proc = proc
        self._found: tuple[ProcessEvidence, ...] = ()
        self._searched: tuple[Path, float, int] | None = None

    def look(self, state_dir: Path, owner: int, *, euid: int | None = None) -> CommandLine:
        """The processes that may be working in `state_dir`, which belongs to the user `owner`.

        Unknown if the table cannot be searched, or if `euid` (None: this process's) is neither root
        nor the owner, whose processes it may then not see.
        """
        own = os.geteuid() if euid is None else euid
        if not isinstance(self._processes, Census) or own not in {0, owner}:
            return NOT_LOOKED
        now = self._clock.monotonic()
        known = self._searched
        if known is None or known[0] != state_dir or (now - known[1]) * 1000 >= CENSUS_EVERY_MS:
            known = self._searched = (state_dir, now, self._clock.now_ms())
            self._found = tuple(p for p in self._processes.openclaws() if self._may_serve(p, state_dir, owner))
        return CommandLine(self._found, known[2])

    def _may_serve(self, process: ProcessEvidence, state_dir: Path, owner: int) -> bool:
        if process.pid == os.getpid() or _is_gateway(process.argv) or process.argv[:1] == (CLAWTOPS_TITLE,):
            return False
        try:
            facts = state_dir.stat()
        except OSError:
            return True
        if process.uid not in {None, 0, owner} and not facts.st_mode & 0o022:
            return False
        assert isinstance(self._processes, Census)  # noqa: S101 - look has seen it
        env = self._processes.environment(process.pid)
        root = f"{self._proc}/{process.pid}/root"
        try:
            return any((s.st_dev, s.st_ino) == (facts.st_dev, facts.st_ino) for s in its_directories(env, root))
        except OSError:
            return True


def its_directories(env: Mapping[str, str], root: str) -> list[os.stat_result]:
    """The state directories that a process with this environment may serve, as it sees them below its root.

    If it names one that is not a profile's, only that counts. If it names none, or a profile's (which `--profile` of
    2026.9.6 replaces), every profile's directory in its home counts. Raises OSError if that cannot be determined.
    """
    named = env.get("OPENCLAW_STATE_DIR", "").strip()
    home = env.get("OPENCLAW_HOME", "").strip() or env.get("HOME", "").strip()
    if (named and not named.startswith("/")) or not home.startswith("/"):
        raise OSError("its environment names no absolute directory")
    named = os.path.normpath(named) if named else ""
    names = [name for name in os.listdir(root + home) if _is_a_profiles(name)]  # noqa: PTH208 - names only
    paths = [f"{home}/{name}" for name in names]
    if named and not (os.path.dirname(named) == os.path.normpath(home) and _is_a_profiles(Path(named).name)):  # noqa: PTH120
        paths = [named]
    return [os.stat(root + path) for path in paths]  # noqa: PTH116 - of another process


def _is_a_profiles(name: str) -> bool:
    return name.startswith(".openclaw") or name in FORMER_NAMES


def has_gateway_title(argv: tuple[str, ...]) -> bool:
    """Whether it is a gateway that runs: one that is only starting, or that started it, has its command line."""
    return bool(argv) and _GATEWAY_TITLE.fullmatch(argv[0]) is not None


def _is_gateway(argv: tuple[str, ...]) -> bool:
    """By its title, or by the word after the entry point."""
    if has_gateway_title(argv):
        return True
    entry = next((n for n, word in enumerate(argv) if _ENTRY.fullmatch(word)), None)
    return entry is not None and argv[entry + 1 : entry + 2] == ("gateway",)
