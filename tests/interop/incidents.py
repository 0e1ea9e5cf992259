"""A gateway with several accounts at a provider that fails as it is told to, and three answers about it, side by side:
clawtop's, the gateway's own over a socket of this module, and the provider's log.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import psutil
from websockets.sync.client import connect

from clawtop.core.generations import generation_of, semantics_of, storage_of
from tests.interop.fake_provider import QuietHandler, chunks
from tests.interop.gateways import KEY, LOOK_S, TOKEN, GatewayLab, Holding, running
from tests.interop.openclaw_install import OpenClaw
from tests.interop.test_gateway import free_port
from tests.support.stores import credentials, write_store

ANSWER, LIMIT, UNPAID, HANG = "answer", "429", "402", "hang"
BODIES = {
    LIMIT: (429, {"error": {"message": "Rate limit reached for requests", "type": "rate_limit_error"}}),
    UNPAID: (402, {"error": {"message": "Insufficient credits: payment required", "type": "billing_error"}}),
}
AGREE_S = 60.0


@dataclass
class Ask:
    """One request. Times are ms since the epoch."""

    profile: str
    did: str
    at: int
    closed_at: int | None = None


class Scripted(Holding):
    """Does with each account's requests what `does` says for it; `asks` is its log."""

    def __init__(self) -> None:
        self.does: dict[str, str] = {}
        self.asks: list[Ask] = []
        self._profiles = {item.get("key") or item.get("token"): id_ for id_, item in credentials().items()}
        super().__init__()

    @property
    def open(self) -> int:
        return sum(ask.closed_at is None for ask in list(self.asks))

    def since(self, at: int) -> list[Ask]:
        return [ask for ask in list(self.asks) if ask.at >= at]

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
                profile = provider._profiles.get(self.headers.get("authorization", "").removeprefix("Bearer "), "?")
                ask = Ask(profile, provider.does.get(profile, ANSWER), now_ms())
                provider.asks.append(ask)
                try:
                    self._answer(ask.did, body["model"])
                except OSError:
                    pass
                finally:
                    ask.closed_at = now_ms()
                self.close_connection = True

            def _answer(self, did: str, model: str) -> None:
                if did in BODIES:
                    status, said = BODIES[did]
                    self._head(status, "application/json")
                    self.wfile.write(json.dumps(said).encode())
                    return
                self._head(200, "text/event-stream")
                first, *rest = (f"data: {json.dumps(chunk)}\n\n".encode() for chunk in chunks(model))
                self.wfile.write(first)
                self.connection.settimeout(LOOK_S)
                while did == HANG and not provider.go.is_set():
                    try:
                        if self.connection.recv(1) == b"":
                            return
                    except TimeoutError:
                        continue
                self.wfile.write(b"".join((*rest, b"data: [DONE]\n\n")))

            def _head(self, status: int, kind: str) -> None:
                self.send_response(status)
                self.send_header("content-type", kind)
                self.send_header("connection", "close")
                self.end_headers()

        return Handler


def now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass
class IncidentLab(GatewayLab):
    """Three accounts of one provider and one of another, imported by OpenClaw's own doctor."""

    provider: Scripted
    turns: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def in_files(self) -> bool:
        """Whether its sessions stand in files, and not in the agents' databases."""
        return storage_of(generation_of(self.openclaw.version)).session_files

    @property
    def sees_chats(self) -> bool:
        """Whether the disk tells all that waits for a session's turn; until 2026.8 turns of the command line alone."""
        chosen = semantics_of(self.openclaw.version, generation_of(self.openclaw.version))
        return chosen.row.remote.stores_queue

    def prepare(self) -> None:
        super().prepare()
        path = self.directory / "openclaw.json"
        config = json.loads(path.read_text())
        (provider,) = config["models"]["providers"].values()
        del provider["apiKey"]
        config["models"]["providers"]["backupai"] = {
            **provider,
            "models": [{**provider["models"][0], "id": "backup-model", "name": "backup"}],
        }
        config["auth"] = {"order": {"fakeai": [id_ for id_ in credentials() if id_.startswith("fakeai:")]}}
        config["agents"]["defaults"]["model"]["fallbacks"] = ["backupai/backup-model"]
        config["logging"] = {"file": str(self.home / "openclaw.log")}  # else all gateways of a user share one
        path.write_text(json.dumps(config))
        write_store(self.directory, "main", "B", credentials(), {})
        command = self.openclaw.command("doctor", "--fix", "--non-interactive", "--yes")
        done = subprocess.run(command, env=self.env, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"

    def stop(self) -> None:
        self.end_turns()
        super().stop()

    def end_turns(self) -> None:
        """End the command lines that wait for a turn; without a gateway they would run it by themselves."""
        while self.turns:
            turn = self.turns.pop()
            with suppress(psutil.NoSuchProcess):
                for child in (*psutil.Process(turn.pid).children(recursive=True), psutil.Process(turn.pid)):
                    with suppress(psutil.NoSuchProcess):
                        child.kill()
            turn.communicate()

    def turn(self, message: str = "ping", session_id: str | None = None) -> subprocess.Popen[str]:
        """A turn of the main session, or of a new one, begun by OpenClaw's own command line."""
        where = ("--agent", "main") if session_id is None else ("--session-id", session_id)
        command = self.openclaw.command("agent", *where, "--message", message, "--json", "--timeout", "500")
        turn = subprocess.Popen(
            command,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.turns.append(turn)
        return turn

    def rpc(self, method: str, params: Mapping[str, Any]) -> Any:
        """One question to the gateway, by nobody's code but this."""
        client = {"id": "gateway-client", "version": "0", "platform": "linux", "mode": "backend"}
        asked = {"minProtocol": 3, "maxProtocol": 4, "client": client, "role": "operator", "caps": []}
        with connect(f"ws://127.0.0.1:{self.port}/", open_timeout=30, max_size=None) as socket:
            socket.recv(timeout=30)
            auth = {"scopes": ["operator.read"], "auth": {"token": TOKEN}}
            for number, (name, given) in enumerate((("connect", {**asked, **auth}), (method, params))):
                socket.send(json.dumps({"type": "req", "id": str(number), "method": name, "params": given}))
                while (said := json.loads(socket.recv(timeout=60))).get("id") != str(number):
                    pass
                assert said["ok"], said
            return said["payload"]

    def log(self) -> str:
        """What the gateway has said since it was first started."""
        return (self.home / "gateway.log").read_text(errors="replace")

    def active_by_gateway(self) -> dict[str, bool]:
        rows = self.rpc("sessions.list", {})["sessions"]
        return {row["key"]: bool(row.get("hasActiveRun")) for row in rows}

    def unusable_by_openclaw(self) -> dict[str, tuple[str, int]]:
        """Profile id -> kind and end, as OpenClaw's command line says."""
        status = json.loads(self.openclaw.run(("models", "status", "--json"), self.env))
        return {row["profileId"]: (row["kind"], row["until"]) for row in status["auth"]["unusableProfiles"]}

    def status(self) -> dict[str, Any]:
        return self.clawtop("--no-gateway", "status")


@dataclass(frozen=True)
class Told:
    """One moment: clawtop's status, and what gateway and provider said just before and just after it.

    What the provider's log shows is true. 2026.6.11 goes on to list a run as active whose first account failed, long
    after its turn has been answered; so where sessions stand in files its yes counts for as long as it lists a run
    that is under way.
    """

    status: dict[str, Any]
    before: dict[str, bool]
    after: dict[str, bool]
    open_before: int
    open_after: int
    forgets: bool = False

    @property
    def ours(self) -> dict[str, bool | None]:
        return {row["key"]: row["active"] for row in self.status["sessions"]}

    @property
    def session(self) -> dict[str, Any]:
        found: dict[str, Any] = next((row for row in self.status["sessions"] if row["key"] == KEY), {})
        return found

    @property
    def holder(self) -> dict[str, Any] | None:
        return next((row for row in self.status["holders"] if row["session_key"] == KEY), None)

    @property
    def waiting(self) -> int:
        """Turns that wait behind the session's run."""
        return len(self.holder["waiters"]) if self.holder is not None else 0

    @property
    def is_safe(self) -> bool:
        """What asks the provider all along is never called free."""
        return not (self.open_before and self.open_after) or self.ours.get(KEY) is not False

    @property
    def agrees(self) -> bool:
        if self.before != self.after or self.open_before != self.open_after or not self.is_safe:
            return False
        return all(self.ours.get(key) is self._works(key, active) for key, active in self.after.items())

    def _works(self, key: str, active: bool) -> bool:
        return active and not (self.forgets and not self.open_after and self.ours.get(key) is False)


def told(lab: IncidentLab) -> Told:
    before, open_before = lab.active_by_gateway(), lab.provider.open
    status = lab.status()
    return Told(status, before, lab.active_by_gateway(), open_before, lab.provider.open, forgets=lab.in_files)


def agreed(lab: IncidentLab, wanted: Callable[[Told], bool] = lambda _: True, seconds: float = AGREE_S) -> Told:
    """All three say the same, and what is wanted, in the end; on the way clawtop never calls free what works."""
    deadline = time.monotonic() + seconds
    while True:
        found = told(lab)
        assert found.is_safe, found
        if found.agrees and wanted(found):
            return found
        assert time.monotonic() < deadline, (found.before, found.ours, found.after, found.session)


def accounts_agree(lab: IncidentLab) -> dict[str, tuple[str, int]]:
    """What is unusable, until when: OpenClaw's command line and clawtop."""
    while True:
        before = lab.unusable_by_openclaw()
        status = lab.status()
        at, (agent,) = status["taken_at"], status["agents"]
        if all(until > at for _, until in before.values()):
            break  # else one has just run out: look again
    ours: dict[str, tuple[str, int]] = {}
    for profile in agent["profiles"]:
        windows = [(w["until"], w["kind"]) for w in profile["windows"] if w["until"] > at]
        if windows:
            until, kind = max(windows)
            ours[profile["id"]] = (kind, until)
    assert ours == before
    return before


def counted(asks: list[Ask]) -> Counter[tuple[str, str]]:
    """(Profile, what it was answered) -> how often."""
    return Counter((ask.profile, ask.did) for ask in asks)


@contextmanager
def incident_lab(openclaw: OpenClaw, home: Path) -> Iterator[IncidentLab]:
    """A lab with its gateway running, stopped at the end."""
    with Scripted() as provider, running(IncidentLab(openclaw, home, provider, free_port())) as lab:
        yield lab
