"""The gateway of a state directory: its lock, whether its port answers, and what that proves."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.javascript import whole
from clawtop.core.locks.session_rules import looks_like_openclaw
from clawtop.core.locks.staleness import owner_pid, proof_words
from clawtop.core.model import Gateway, GatewayState, Lock, LockFile, LockKind, ProcessCondition, Serving, VerdictKind
from clawtop.store.door import is_path
from clawtop.store.locks.lockfile import read_lock
from clawtop.store.locks.processes import Census, ProcessTable
from clawtop.store.place import temporary
from clawtop.store.place.layout import Layout
from clawtop.values import dataclass

PROBE_TIMEOUT_SECONDS = 0.3
PATIENT_SECONDS = 2.0
"""A gateway whose lock's owner is alive is queried again, for this long, before it is called frozen."""

PROBE_EVERY_SECONDS = 5.0
STATE_LOCK_NAME = "gateway.state.lock"
MAX_LOCKS = 200
"""A temporary directory may hold the leftovers of many gateways."""

PortProbe = Callable[[int], "bool | Serving"]
"""How this loopback port responds to a query. A plain True: OpenClaw answers; False: it does not."""


def ask_healthz(port: int, seconds: float = PROBE_TIMEOUT_SECONDS) -> Serving:
    """Ask `GET /healthz` on loopback; only OpenClaw's own answer counts. Takes one request to the gateway."""
    import socket  # needed only if the locks do not tell

    request = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n"
    connected = False
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as connection:
            connection.settimeout(seconds)
            connection.connect(("127.0.0.1", port))  # create_connection loads the codec of international names first
            connected = True
            connection.sendall(request)
            answer = b""
            while len(answer) < 4096 and (part := connection.recv(4096)):
                answer += part
    except TimeoutError:
        return Serving.SILENT if connected else Serving.UNKNOWN
    except ConnectionRefusedError:
        return Serving.REFUSES
    except OSError:
        return Serving.OTHER if connected else Serving.UNKNOWN
    head, _, body = answer.partition(b"\r\n\r\n")
    is_openclaw = b" 200 " in head.split(b"\r\n", 1)[0] and b'"ok"' in body and b'"status"' in body
    return Serving.ANSWERS if is_openclaw else Serving.OTHER


def ask_patiently(port: int) -> Serving:
    """As `ask_healthz`, for a gateway known to be alive: a busy one gets a second chance before it is called frozen."""
    found = ask_healthz(port)
    return ask_healthz(port, PATIENT_SECONDS) if found is Serving.SILENT else found


class SilenceWatch:
    """Since when a gateway has not answered, and whether it ever did. After a process was paused, its silence counts
    from the moment it was resumed.

    Mutable state: `_life` (pid and start of the process that this is about), `_since`, `_answered`, `_paused`.
    """

    def __init__(self) -> None:
        self._life: tuple[int | None, int | None] = (None, None)
        self._since: int | None = None
        self._answered = False
        self._paused = False

    def told(self, gateway: Gateway, serving: Serving, now: int) -> Gateway:
        """The gateway with the result of the latest query at `now` (ms since the epoch)."""
        life = (gateway.pid, gateway.started_at)
        if life != self._life:
            self._life, self._since, self._answered = life, None, False
        self._answered = self._answered or serving is Serving.ANSWERS
        paused = gateway.usage is not None and gateway.usage.condition is ProcessCondition.PAUSED
        goes_on, self._paused = self._paused and not paused, paused
        if serving is not Serving.SILENT:
            self._since = None
        elif self._since is None or goes_on:
            self._since = now
        return replace(gateway, serving=serving, silent_since=self._since, has_answered=self._answered)


class ThrottledProbe:
    """A probe that asks at most every few seconds; its last answer is reused in between."""

    def __init__(self, probe: PortProbe, clock: Clock) -> None:
        self._probe = probe
        self._clock = clock
        self._answers: dict[int, tuple[float, bool | Serving]] = {}

    def __call__(self, port: int) -> bool | Serving:
        now = self._clock.monotonic()
        asked, answer = self._answers.get(port, (-PROBE_EVERY_SECONDS, False))
        if port not in self._answers or now - asked >= PROBE_EVERY_SECONDS:
            answer = self._probe(port)
            self._answers[port] = (now, answer)
        return answer


def process_places(processes: ProcessTable, uid: int | None) -> tuple[Path, ...]:
    """Where OpenClaw processes of this user keep their locks: their temporary directory, here and as they see it."""
    if not isinstance(processes, Census) or uid is None:
        return ()
    places: list[Path] = []
    for process in processes.openclaws():
        if process.uid == uid:
            own = temporary.node_temporary(processes.environment(process.pid))
            places += [own / f"openclaw-{uid}", Path(f"/proc/{process.pid}/root{own}") / f"openclaw-{uid}"]
    return tuple(dict.fromkeys(places))


@dataclass(frozen=True, slots=True)
class GatewayLocks:
    """The gateway locks of this directory, and those of other configurations beside them."""

    own: tuple[LockFile, ...] = ()
    others: tuple[LockFile, ...] = ()


def gateway_locks(layout: Layout, places: tuple[Path, ...] | None = None) -> GatewayLocks:
    """Every gateway lock. In a copy, the lock that was copied along comes first.

    Args:
        places: directories to look into; None: those of the layout.
    """
    own: dict[tuple[int, int], LockFile] = {}
    others: dict[tuple[int, int], LockFile] = {}
    directories = layout.lock_dirs if places is None else places
    for directory in reversed(directories) if layout.is_copy else directories:
        for name in _lock_names(directory):
            lock = read_lock(directory / name, LockKind.GATEWAY)
            if lock is not None:
                found = own if _is_ours(lock, name, layout) else others
                found.setdefault((lock.identity.dev, lock.identity.ino), lock)
    return GatewayLocks(tuple(own.values()), tuple(others.values()))


def _lock_names(directory: Path) -> list[str]:
    try:
        names = os.listdir(directory)  # noqa: PTH208 - names only
    except OSError:
        return []
    return sorted(name for name in names if name.startswith("gateway.") and name.endswith(".lock"))[:MAX_LOCKS]


def _is_ours(lock: LockFile, name: str, layout: Layout) -> bool:
    """By its name, which is a hash of the configuration's path; else by the path inside, however it is spelled."""
    if name == STATE_LOCK_NAME:
        return Path(lock.path).is_relative_to(layout.state_dir)
    if name in layout.gateway_lock_names:
        return True
    stored = (lock.payload or {}).get("configPath")
    if not isinstance(stored, str) or not is_path(stored):
        return False
    return os.path.realpath(stored) == os.path.realpath(layout.config_path)


def judge_gateway(locks: tuple[Lock, ...], port: int | None, probe: PortProbe | None) -> Gateway:
    """What the locks and the port prove.

    LIVE needs the lock's owner alive with its recorded start, or an answer on the port; DEAD a lock whose owner is
    gone; ABSENT no lock and no answer. Everything else is UNKNOWN.

    Args:
        locks: the gateway locks, judged.
        port: the configured port; a lock's own wins (2026.9.6 writes it).
        probe: None: the port is not tried.
    """
    stale: Lock | None = None
    for lock in locks:
        if lock.verdict.kind is VerdictKind.HELD and _is_proof(lock):
            return Gateway(GatewayState.LIVE, lock.pid, _port(lock, port), lock.created_at, "its lock's owner is alive")
        if lock.verdict.kind is VerdictKind.STALE:
            stale = stale or lock
    first = locks[0] if locks else None
    port = _port(first, port)
    pid = owner_pid(first.file) if first is not None else None
    found = probe(port) if probe is not None and port is not None else Serving.UNKNOWN
    if found is True or found is Serving.ANSWERS:
        how = "its port answers, but no visible process owns it"
        return Gateway(GatewayState.LIVE, None, port, None, how, serving=Serving.ANSWERS)
    if found is Serving.SILENT and first is not None:
        how = "its port accepts connections, but nothing is answered"
        return Gateway(GatewayState.LIVE, None, port, None, how, serving=Serving.SILENT)
    if stale is not None:
        return Gateway(GatewayState.DEAD, stale.pid, port, stale.created_at, f"its lock is stale ({_why(stale)})")
    if first is None and (found is False or found in {Serving.REFUSES, Serving.OTHER}):
        return Gateway(GatewayState.ABSENT, None, port, None, "no lock, and nothing answers on its port")
    if first is None:
        return Gateway(GatewayState.UNKNOWN, None, port, None, "no lock; the port was not tried")
    return Gateway(GatewayState.UNKNOWN, pid, port, first.created_at, f"its lock's owner is unknown ({_why(first)})")


def _is_proof(lock: Lock) -> bool:
    if "same-start" in lock.verdict.reasons:
        return True
    return lock.owner is not None and looks_like_openclaw(lock.owner.argv)


def _port(lock: Lock | None, configured: int | None) -> int | None:
    stored = whole((lock.file.payload or {}).get("port"), minimum=1) if lock is not None else None
    return stored if stored is not None and stored < 65536 else configured


def _why(lock: Lock) -> str:
    return proof_words(lock.verdict.reasons)
