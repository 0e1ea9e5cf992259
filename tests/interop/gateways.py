"""A gateway of any version with a provider that hangs until it is told to go on; the provider's log is the truth."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any, TypeVar

from clawtop.clock import SystemClock
from clawtop.core.model import GatewayWords, Snapshot
from clawtop.engine.gateway.caller import Caller
from clawtop.engine.gateway.door import Door
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.snapshot import SnapshotReader
from tests.interop.fake_provider import FakeProvider, QuietHandler, chunks
from tests.interop.openclaw_install import OpenClaw
from tests.interop.test_gateway import free_port

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "interop-gateway-token"
KEY = "agent:main:main"
STARTS = 3
START_S = 180.0
LOOK_S = 0.1


class Holding(FakeProvider):
    """Answers once it is let go; until then each request stays open. `log`: (ms since the epoch, "open" or "close")."""

    def __init__(self) -> None:
        self.log: list[tuple[int, str]] = []
        self.go = threading.Event()
        super().__init__()

    @property
    def open(self) -> int:
        """Requests that are open now."""
        said = [what for _, what in list(self.log)]
        return said.count("open") - said.count("close")

    def open_at(self, at: int) -> int:
        """Requests that were open at that time (ms since the epoch)."""
        said = [what for when, what in list(self.log) if when <= at]
        return said.count("open") - said.count("close")

    def _note(self, what: str) -> None:
        self.log.append((time.time_ns() // 1_000_000, what))

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        provider = self

        class Handler(QuietHandler, BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))))
                provider._note("open")
                try:
                    self._answer(body["model"])
                except OSError:
                    pass
                finally:
                    provider._note("close")
                self.close_connection = True

            def _answer(self, model: str) -> None:
                self.send_response(200)
                self.send_header("content-type", "text/event-stream")
                self.send_header("connection", "close")
                self.end_headers()
                self.connection.settimeout(LOOK_S)
                while not provider.go.is_set():
                    try:
                        if self.connection.recv(1) == b"":
                            return
                    except TimeoutError:
                        continue
                for chunk in chunks(model):
                    self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
                self.wfile.write(b"data: [DONE]\n\n")

        return Handler


@dataclass
class GatewayLab:
    """A gateway that runs, and what can be done beside it."""

    openclaw: OpenClaw
    home: Path
    provider: Holding
    port: int
    process: subprocess.Popen[bytes] | None = None
    children: list[subprocess.Popen[str]] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return self.home / ".openclaw"

    @property
    def env(self) -> dict[str, str]:
        return self.openclaw.environment(self.home, self.directory)

    def prepare(self) -> None:
        """Its configuration; the provider's key stands in it, so that no store is needed."""
        (self.directory / "agents/main/agent").mkdir(parents=True)
        (self.directory / "agents/main/sessions").mkdir()
        cost = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
        sizes = {"contextWindow": 64_000, "maxTokens": 2_048}
        model = {"id": "fake-model", "name": "fake", "input": ["text"], "reasoning": False, "cost": cost, **sizes}
        base = {"baseUrl": f"http://127.0.0.1:{self.provider.port}/v1", "api": "openai-completions"}
        auth = {"mode": "token", "token": TOKEN}
        defaults = {
            "model": {"primary": "fakeai/fake-model"},
            "workspace": str(self.home / "workspace"),
            "skipBootstrap": True,
            "heartbeat": {"every": "0m"},
        }
        config = {
            "meta": {"lastTouchedVersion": self.openclaw.version},
            "gateway": {"mode": "local", "port": self.port, "bind": "loopback", "auth": auth},
            "models": {
                "mode": "merge",
                "providers": {"fakeai": {**base, "apiKey": "sk-fake-interop-key", "models": [model]}},
            },
            "agents": {"defaults": defaults},
            "update": {"checkOnStart": False},
        }
        (self.directory / "openclaw.json").write_text(json.dumps(config))

    def start(self) -> None:
        """Start it and wait until it serves.

        2026.9.6 gives up where its lease takes more than five seconds, as on a busy machine: it is started again then.
        """
        assert any(self._starts() for _ in range(STARTS)), (self.home / "gateway.log").read_text()[-4_000:]

    def _starts(self) -> bool:
        with (self.home / "gateway.log").open("ab") as log:
            begins = log.tell()
            self.process = subprocess.Popen(
                self.openclaw.command("gateway", "run"), env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        self.wait(lambda: self._gave_up(begins) or self._ready(), START_S)
        return self.process.poll() is None

    def _gave_up(self, begins: int) -> bool:
        """Whether it ended for lack of time; its log of this start begins at `begins`."""
        assert self.process is not None
        said = (self.home / "gateway.log").read_bytes()[begins:]
        return self.process.poll() is not None and b"heartbeat did not become ready" in said

    def kill(self) -> None:
        """kill -9 to what was started."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        self.provider.go.set()
        for child in self.children:
            child.kill()
            child.wait()
            for pipe in (child.stdout, child.stderr):
                if pipe is not None:
                    pipe.close()
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.kill()

    def clawtop(self, *words: str, codes: tuple[int, ...] = (0,)) -> dict[str, Any]:
        """A verb of ours with --json, to its end."""
        out, err = self.begin(*words).communicate(timeout=300)
        code = self.children.pop().returncode
        assert code in codes, f"{words}: {code}\n{out}\n{err}"
        found: dict[str, Any] = json.loads(out)
        return found

    def begin(self, *words: str) -> subprocess.Popen[str]:
        """A verb of ours with --json, begun."""
        command = [sys.executable, "-m", "clawtop", *words, "--json"]
        child = subprocess.Popen(
            command, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.children.append(child)
        return child

    def hang(self, message: str = "ping") -> subprocess.Popen[str]:
        """A turn that the gateway runs and that its provider does not answer."""
        before = len(self.provider.log)
        turn = self.begin("drive", "--session", KEY, "--message", message, "--through", "gateway")
        self.wait(lambda: len(self.provider.log) > before, START_S)
        return turn

    def queue(self, message: str = "second") -> subprocess.Popen[str]:
        """A turn that the gateway takes and that waits."""
        turn = self.begin("drive", "--session", KEY, "--message", message, "--through", "gateway")
        assert turn.stdout is not None
        assert json.loads(turn.stdout.readline())["type"] == "started"
        return turn

    def reader(self) -> SnapshotReader:
        env = {name: self.env[name] for name in ("TMPDIR", "OPENCLAW_STATE_DIR", "OPENCLAW_CONFIG_PATH")}
        return SnapshotReader(state_dir=None, env=env, home=self.home, clock=SystemClock(), processes=SystemProcesses())

    def words(self) -> GatewayWords:
        """What the gateway says now."""
        reader = self.reader()
        snapshot: Snapshot = reader.read()
        caller = Caller(Door(lambda: reader.layout, processes=SystemProcesses(), env={}), SystemClock())
        return asyncio.run(caller.words(snapshot.gateway, KEY))

    def wait(self, holds: Callable[[], bool], seconds: float) -> None:
        """Wait until something holds."""
        deadline = time.monotonic() + seconds
        while not holds():
            log = self.home / "gateway.log"
            assert time.monotonic() < deadline, log.read_text()[-4_000:] if log.exists() else "no log"
            assert self.process is None or self.process.poll() is None or holds(), log.read_text()[-4_000:]
            time.sleep(LOOK_S)

    def _ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=10) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


def reply_in(out: str) -> dict[str, Any]:
    """What `drive --json` said last of a turn's reply; the event that ends the run follows it."""
    found: dict[str, Any] = [line for line in map(json.loads, out.splitlines()) if line["type"] != "event"][-1]
    return found


Lab = TypeVar("Lab", bound=GatewayLab)


@contextmanager
def running(lab: Lab) -> Iterator[Lab]:
    """The lab with its gateway running, stopped at the end."""
    try:
        lab.prepare()
        lab.start()
        yield lab
    finally:
        lab.stop()


@contextmanager
def gateway_lab(openclaw: OpenClaw, home: Path) -> Iterator[GatewayLab]:
    """A lab with its gateway running, stopped at the end."""
    with Holding() as provider, running(GatewayLab(openclaw, home, provider, free_port())) as lab:
        yield lab
