"""The process table, behind a seam.

A process counts as dead only with proof: the kernel answers ESRCH, or it is a zombie. If it cannot be seen, `alive` is
None, with the reason.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from clawtop.clock import machine_began_ms
from clawtop.core.locks.session_rules import looks_like_openclaw
from clawtop.core.model import ProcessEvidence
from clawtop.patterns import regex
from clawtop.redaction import MASK, masked
from clawtop.store.locks.procfs import START_TICKS, kernel_bytes, stat_fields
from clawtop.store.locks.standpoint import Standpoint, boot_by_first_sight

_SECRET_OPTION = regex(r"--?[a-z-]{0,30}(?:token|key|secret|password|passphrase|credential)s?", re.IGNORECASE)
_MAX_PID = 2**31 - 1
_MAX_ARGV_BYTES = 64 * 1024
MOST_WATCHED = 256
_ENDED = frozenset({b"Z", b"X", b"x"})
_BTIME_SLACK_MS = 1_500  # /proc/stat gives the boot time in whole seconds


class ProcessTable(Protocol):
    """Answers what is known about one pid now."""

    def look(self, pid: int) -> ProcessEvidence:
        """Evidence on `pid`. Never raises."""


@runtime_checkable
class Census(Protocol):
    """A process table that can also be searched; `store.locks.processes.SystemProcesses` can."""

    def boot_at(self) -> int | None: ...

    def contained(self) -> Mapping[int, Sequence[int]]:
        """The processes of the pid namespaces below this one: the pids they have there -> the pids they have here."""

    def openclaws(self) -> tuple[ProcessEvidence, ...]:
        """The processes of this machine that call themselves OpenClaw."""

    def environment(self, pid: int) -> Mapping[str, str]:
        """The environment that a process was started with; empty if it may not be read."""


@runtime_checkable
class SeesEnds(Protocol):
    """A process table that notices when a process that it found alive ends."""

    def any_alive(self) -> bool:
        """Whether it has found any alive that has not ended since."""

    def any_ended(self) -> bool:
        """Whether one of them has ended since the last call. Takes microseconds for each."""


class UncheckedProcesses:
    """For `--at`: a directory that is judged as of another time, or on another machine."""

    def look(self, pid: int) -> ProcessEvidence:
        return ProcessEvidence(pid, alive=None, why_unknown="not-checked")


class SystemProcesses:
    """The machine's own table: /proc on Linux, psutil elsewhere.

    Setting the clock changes the boot time, and with it the start of every process. The earliest start by any clock
    setting since the first look is reported, so that no live owner looks younger than a lock that it wrote under
    another setting. `standpoint` knows earlier settings.

    Attributes:
        standpoint: this process's namespaces and clock; None if unknown (not Linux).
    """

    def __init__(
        self,
        *,
        proc: Path = Path("/proc"),
        platform: str = sys.platform,
        began: Callable[[], int] = machine_began_ms,
    ) -> None:
        """Seams for tests: `proc` is the mount point of procfs, `began` the boot by the clock as it is set now."""
        self._proc = proc
        self._linux = platform == "linux"
        self._began = began
        self._first_began = 0
        self._earlier_by = 0
        self._boot_at: int | None = None
        self._alive: dict[int, None] = {}
        self.standpoint = Standpoint(proc, began) if self._linux else None

    @property
    def proc(self) -> Path | None:
        """Where procfs is mounted; None if there is none."""
        return self._proc if self._linux else None

    def look(self, pid: int) -> ProcessEvidence:
        if not 0 < pid <= _MAX_PID:
            return ProcessEvidence(pid, alive=None, why_unknown="not-a-pid")
        if self.standpoint is not None and self.standpoint.is_blind:
            return ProcessEvidence(pid, alive=None, why_unknown="other-namespace")
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            if self.standpoint is not None and not self.standpoint.may_have_had(pid):
                return ProcessEvidence(pid, alive=None, boot_at=self.boot_at(), why_unknown="other-namespace")
            return ProcessEvidence(pid, alive=False, boot_at=self.boot_at())
        except PermissionError:
            foreign = True
        except OSError:
            return ProcessEvidence(pid, alive=None, why_unknown="not-visible")
        else:
            foreign = False
        return self._watched(self._look_linux(pid, foreign) if self._linux else self._look_psutil(pid, foreign))

    def any_alive(self) -> bool:
        """As `SeesEnds`."""
        return bool(self._alive)

    def any_ended(self) -> bool:
        """As `SeesEnds`."""
        ended = [pid for pid in tuple(self._alive) if self._has_ended(pid)]
        for pid in ended:
            self._alive.pop(pid, None)
        return bool(ended)

    def _watched(self, found: ProcessEvidence) -> ProcessEvidence:
        if found.alive and len(self._alive) < MOST_WATCHED:
            self._alive[found.pid] = None
        return found

    def _has_ended(self, pid: int) -> bool:
        try:
            os.kill(pid, 0)
            return self._linux and stat_fields(f"{self._proc}/{pid}")[0] in _ENDED
        except ProcessLookupError:
            return True
        except (OSError, IndexError):
            return False

    def boot_at(self) -> int | None:
        """When this machine booted, in ms since the epoch."""
        if self._boot_at is None:
            self._first_began, self._boot_at = self._began(), self._read_boot()
        if self._boot_at is None:
            return None
        if self.standpoint is not None:
            self.standpoint.remember()
        self._earlier_by = max(self._earlier_by, self._first_began - self._began())
        return self._boot_at - self._earlier_by

    def contained(self) -> Mapping[int, Sequence[int]]:
        """As `Census`: by the last number of `NSpid` in /proc/*/status (Linux)."""
        found: dict[int, list[int]] = {}
        if not self._linux:
            return found
        ours = self._own_namespace()
        for outer in self._pids():
            if ours is not None and self._namespace(outer) == ours:
                continue  # the kernel generates a whole status for one line
            numbers = self._namespace_pids(outer)
            if len(numbers) > 1:
                found.setdefault(numbers[-1], []).append(outer)
        return found

    def openclaws(self) -> tuple[ProcessEvidence, ...]:
        """As `Census`."""
        if not self._linux:
            import psutil

            looked = (self._look_psutil(pid, foreign=False) for pid in psutil.pids())
            return tuple(evidence for evidence in looked if evidence.alive and _calls_itself_openclaw(evidence.argv))
        named = (pid for pid in self._pids() if _calls_itself_openclaw(_words(f"{self._proc}/{pid}/cmdline")))
        looked = (self._look_linux(pid, foreign=False) for pid in named)
        return tuple(self._watched(evidence) for evidence in looked if evidence.alive)

    def environment(self, pid: int) -> Mapping[str, str]:
        """As `Census`."""
        if not self._linux:
            psutil = psutil_module()
            try:
                return dict(psutil.Process(pid).environ())
            except (psutil.Error, OSError, ValueError):
                return {}
        try:
            raw = kernel_bytes(f"{self._proc}/{pid}/environ", _MAX_ARGV_BYTES)
        except OSError:
            return {}
        pairs = (entry.decode("utf-8", "surrogateescape").partition("=") for entry in raw.split(b"\0") if b"=" in entry)
        return {name: value for name, _, value in pairs}

    def words(self, pid: int) -> Sequence[str]:
        """A command line unchanged, to be compared and not kept; empty if it may not be read."""
        if self._linux:
            return _words(f"{self._proc}/{pid}/cmdline")
        psutil = psutil_module()
        try:
            return tuple(psutil.Process(pid).cmdline())
        except (psutil.Error, OSError, ValueError):
            return ()

    def _pids(self) -> Iterator[int]:
        try:
            names = os.listdir(self._proc)  # noqa: PTH208 - thousands of names
        except OSError:
            return
        yield from (int(name) for name in names if name.isdigit())

    def _own_namespace(self) -> int | None:
        """This pid namespace, if procfs shows its processes under their own pids."""
        try:
            return self._namespace(os.getpid()) if os.readlink(f"{self._proc}/self") == str(os.getpid()) else None  # noqa: PTH115
        except OSError:
            return None

    def _namespace(self, pid: int) -> int | None:
        try:
            return os.stat(f"{self._proc}/{pid}/ns/pid").st_ino  # noqa: PTH116 - every process of the machine
        except OSError:
            return None

    def _namespace_pids(self, pid: int) -> list[int]:
        try:
            status = kernel_bytes(f"{self._proc}/{pid}/status", 4096)
        except OSError:
            return []
        line = next((line for line in status.split(b"\n") if line.startswith(b"NSpid:")), b"")
        return [int(word) for word in line.split()[1:] if word.isdigit()]

    def _read_boot(self) -> int | None:
        if not self._linux:
            import psutil

            return int(psutil.boot_time() * 1000)
        try:
            with (self._proc / "stat").open("rb") as file:
                for line in file:
                    if line.startswith(b"btime "):
                        told = int(line.split()[1]) * 1000
                        exact = self._first_began
                        return exact if abs(exact - told) <= _BTIME_SLACK_MS else told
        except (OSError, ValueError):
            return None
        return None

    def _look_linux(self, pid: int, foreign: bool) -> ProcessEvidence:
        directory = f"{self._proc}/{pid}"
        try:
            facts = os.stat(directory)  # noqa: PTH116 - 500 locks are looked up at once
            fields = stat_fields(directory)
            state, ticks = fields[0], int(fields[START_TICKS])
        except (OSError, ValueError, IndexError):
            return self._unseen(pid, foreign)
        if state in _ENDED:
            return ProcessEvidence(
                pid, alive=False, start_ticks=ticks, boot_at=self.boot_at(), uid=facts.st_uid, zombie=True
            )
        after_boot = ticks * 1000 // os.sysconf("SC_CLK_TCK")
        boot_at = self.boot_at()
        if boot_at is not None:
            boot_at = min(boot_at, boot_by_first_sight(facts, after_boot) or boot_at)
        alike = self.standpoint is None or self.standpoint.counts_alike(pid)
        return ProcessEvidence(
            pid,
            alive=True,
            start_ticks=ticks if alike else None,
            started_at=boot_at + after_boot if boot_at is not None and alike else None,
            boot_at=boot_at,
            argv=without_secrets(_words(f"{directory}/cmdline")),
            uid=facts.st_uid,
        )

    def _unseen(self, pid: int, foreign: bool) -> ProcessEvidence:
        """The kernel knows the pid but procfs does not show it: hidden, or ended in between."""
        if not foreign:
            try:
                os.kill(pid, 0)
            except ProcessLookupError:
                return ProcessEvidence(pid, alive=False, boot_at=self.boot_at())
            except OSError:
                pass
        why = "other-user" if foreign else "not-visible"
        return ProcessEvidence(pid, alive=None, boot_at=self.boot_at(), why_unknown=why)

    def _look_psutil(self, pid: int, foreign: bool) -> ProcessEvidence:
        import psutil

        try:
            process = psutil.Process(pid)
            with process.oneshot():
                zombie = process.status() == psutil.STATUS_ZOMBIE
                started_at = int(process.create_time() * 1000)
        except psutil.Error:
            return self._unseen(pid, foreign)
        if zombie:
            return ProcessEvidence(pid, alive=False, started_at=started_at, boot_at=self.boot_at(), zombie=True)
        try:
            argv = without_secrets(process.cmdline())
            uid = process.uids().real
        except psutil.Error:
            argv, uid = (), None
        return ProcessEvidence(pid, alive=True, started_at=started_at, boot_at=self.boot_at(), argv=argv, uid=uid)


def _calls_itself_openclaw(argv: Sequence[str]) -> bool:
    return bool(argv) and (looks_like_openclaw(argv) or argv[0].startswith("openclaw-"))


def _words(path: str) -> list[str]:
    """A command line unchanged: must not be kept."""
    try:
        raw = kernel_bytes(path, _MAX_ARGV_BYTES)
    except OSError:
        return []
    words = raw.rstrip(b"\0").split(b"\0") if raw.strip(b"\0") else []
    return [word.decode("utf-8", "surrogateescape") for word in words]


def without_secrets(argv: Sequence[str]) -> tuple[str, ...]:
    """A command line that is safe to keep: what looks like a secret, or follows an option for one, is masked."""
    shown: list[str] = []
    for at, word in enumerate(argv):
        behind = at > 0 and _SECRET_OPTION.fullmatch(argv[at - 1]) is not None and not word.startswith("-")
        shown.append(MASK if behind else masked(word))
    return tuple(shown)


def listens(pid: int, port: int) -> bool:
    """Whether this process listens on a TCP port of this machine; False if that cannot be seen."""
    return port in listening_ports(pid)


def listening_ports(pid: int) -> tuple[int, ...]:
    """The TCP ports of this machine on which a process listens; none if that cannot be seen."""
    import psutil

    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError, ValueError):
        return ()
    return tuple(sorted({c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN and c.laddr}))


def answers_to(pid: int, port: int, peer_port: int) -> bool:
    """Whether this process has the other end of clawtop's own connection from `peer_port` to `port` of this machine.

    False if that cannot be seen. A listener may change between two checks; a connection does not.
    """
    import psutil

    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except (psutil.Error, OSError, ValueError):
        return False
    return any(
        connection.raddr
        and connection.laddr
        and connection.laddr.port == port
        and connection.raddr.port == peer_port
        and connection.raddr.ip.rpartition(":")[2] == connection.laddr.ip.rpartition(":")[2]
        for connection in connections
    )


def psutil_module() -> Any:
    """psutil, which takes a while to load."""
    import psutil

    return psutil
