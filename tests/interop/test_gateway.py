"""Beside a live gateway of 2026.5.20: it keeps serving, and what clawtop says about it is true."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.interop.fake_provider import FakeProvider
from tests.interop.openclaw_install import OpenClaw
from tests.support.stores import auth_state, credentials, write_store

pytestmark = pytest.mark.interop
ROOT = Path(__file__).resolve().parents[2]
HOUR = 3_600_000
START_S = 180.0


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def healthy(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=10) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@dataclass
class Lab:
    """An OpenClaw home with a provider, and a gateway once it is started."""

    openclaw: OpenClaw
    home: Path
    provider: FakeProvider
    port: int
    process: subprocess.Popen[bytes] | None = None
    health: list[bool] = field(default_factory=list)
    _watching: threading.Event = field(default_factory=threading.Event)

    @property
    def directory(self) -> Path:
        return self.home / ".openclaw"

    @property
    def env(self) -> dict[str, str]:
        return self.openclaw.environment(self.home, self.directory)

    def prepare(self, cooling: tuple[str, ...]) -> None:
        """A store in which these profiles cool for an hour."""
        until = time.time_ns() // 1_000_000 + HOUR
        stats = {
            id_: {
                "cooldownUntil": until,
                "cooldownReason": "rate_limit",
                "errorCount": 1,
                "failureCounts": {"rate_limit": 1},
                "lastFailureAt": until - HOUR,
            }
            for id_ in cooling
        }
        (self.directory / "agents/main/agent").mkdir(parents=True)
        (self.directory / "agents/main/sessions").mkdir()
        write_store(self.directory, "main", "B", credentials(), {"usageStats": stats})
        (self.directory / "openclaw.json").write_text(json.dumps(self._config()))

    def start(self) -> None:
        """Start the gateway and keep asking whether it lives."""
        with (self.home / "gateway.log").open("wb") as log:
            self.process = subprocess.Popen(
                self.openclaw.command("gateway", "run"), env=self.env, stdout=log, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_S
        while not healthy(self.port):
            assert self.process.poll() is None, (self.home / "gateway.log").read_text()
            assert time.monotonic() < deadline, (self.home / "gateway.log").read_text()
            time.sleep(0.1)
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        self._watching.set()
        if self.process is not None:
            self.process.terminate()
            try:
                self.process.wait(30)
            finally:
                self.process.kill()

    def turn(self, session: str) -> str:
        """One turn by the gateway; which key it used."""
        before = len(self.provider.keys)
        out = self.openclaw.run(
            ("agent", "--session-id", session, "--message", "ping", "--json", "--timeout", "60"), self.env
        )
        assert json.loads(out)["result"]["payloads"][0]["text"] == "pong"
        used = self.provider.keys[before:]
        assert len(used) == 1
        return used[0]

    def clawtop(self, *words: str, code: int = 0) -> dict[str, Any]:
        """A verb of ours with --json, as a process of its own."""
        done = self.begin(*words)
        out, err = done.communicate(timeout=120)
        assert done.returncode == code, f"{words}: {done.returncode}\n{out}\n{err}"
        found: dict[str, Any] = json.loads(out)
        return found

    def begin(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "clawtop", *words, "--json"]
        return subprocess.Popen(
            command, cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def _watch(self) -> None:
        while not self._watching.wait(0.1):
            self.health.append(healthy(self.port))

    def _config(self) -> dict[str, Any]:
        def model(name: str) -> dict[str, Any]:
            cost = {"input": 0, "output": 0, "cacheRead": 0, "cacheWrite": 0}
            sizes = {"contextWindow": 64_000, "maxTokens": 2_048}
            return {"id": name, "name": name, "input": ["text"], "reasoning": False, "cost": cost, **sizes}

        base = {"baseUrl": f"http://127.0.0.1:{self.provider.port}/v1", "api": "openai-completions"}
        ids = [id_ for id_ in credentials() if id_.startswith("fakeai:")]
        return {
            "meta": {"lastTouchedVersion": self.openclaw.version},
            "gateway": {
                "mode": "local",
                "port": self.port,
                "bind": "loopback",
                "auth": {"mode": "token", "token": "interop-gateway-token"},
            },
            "models": {
                "mode": "merge",
                "providers": {
                    "fakeai": {**base, "models": [model("fake-model")]},
                    "backupai": {**base, "models": [model("backup-model")]},
                },
            },
            "auth": {"order": {"fakeai": ids}},
            "agents": {
                "defaults": {
                    "model": {"primary": "fakeai/fake-model", "fallbacks": ["backupai/backup-model"]},
                    "workspace": str(self.home / "workspace"),
                    "skipBootstrap": True,
                },
                "list": [{"id": "main", "default": True}],
            },
            "update": {"checkOnStart": False},
        }


@pytest.fixture
def lab(openclaw: OpenClaw, tmp_path: Path) -> Iterator[Lab]:
    with FakeProvider() as provider:
        made = Lab(openclaw, tmp_path, provider, free_port())
        try:
            yield made
        finally:
            made.stop()


def unusable_by_openclaw(lab: Lab) -> dict[str, int]:
    status = json.loads(lab.openclaw.run(("models", "status", "--json"), lab.env))
    return {entry["profileId"]: entry["until"] for entry in status["auth"]["unusableProfiles"]}


def unusable_by_clawtop(lab: Lab) -> dict[str, int]:
    status = lab.clawtop("status")
    ends = {
        profile["id"]: [window["until"] for window in profile["windows"] if window["until"] > status["taken_at"]]
        for profile in status["agents"][0]["profiles"]
    }
    return {id_: max(untils) for id_, untils in ends.items() if untils}


def test_both_say_the_same_about_what_is_unusable_until_when(lab: Lab) -> None:
    lab.prepare(("fakeai:one", "fakeai:three", "backupai:default"))
    assert unusable_by_clawtop(lab) == unusable_by_openclaw(lab)
    assert set(unusable_by_clawtop(lab)) == {"fakeai:one", "fakeai:three", "backupai:default"}
    lab.clawtop("clear", "fakeai:one", "--yes")
    assert unusable_by_clawtop(lab) == unusable_by_openclaw(lab)
    assert set(unusable_by_clawtop(lab)) == {"fakeai:three", "backupai:default"}
    lab.clawtop("undo", "--yes")
    assert unusable_by_clawtop(lab) == unusable_by_openclaw(lab)
    assert len(unusable_by_clawtop(lab)) == 3


def test_a_stored_order_is_read_by_openclaw_as_it_was_meant(lab: Lab) -> None:
    lab.prepare(())
    get = ("models", "auth", "order", "get", "--provider", "fakeai", "--json")
    lab.clawtop("rotate", "fakeai", "--yes")
    assert json.loads(lab.openclaw.run(get, lab.env))["order"] == ["fakeai:two", "fakeai:three", "fakeai:one"]
    lab.clawtop("rotate", "fakeai", "--reset", "--yes")
    assert json.loads(lab.openclaw.run(get, lab.env))["order"] is None


def test_a_gateway_serves_through_it_all_and_sees_what_it_is_said_to_see(lab: Lab) -> None:
    lab.prepare(("fakeai:one", "fakeai:two"))
    lab.start()

    # Over its WebSocket, which needs no pairing and leaves none behind.
    receipt = lab.clawtop("clear", "fakeai:two", "--yes", "--reload", "--verify", "0")["receipt"]
    assert receipt["gateway"] == {
        "state": "seen",
        "how": "the gateway was made to load it (secrets.reload)",
    }
    assert not (lab.directory / "devices").exists()
    assert lab.turn("t1") == credentials()["fakeai:two"]["token"]

    # Without a sign nothing is claimed.
    receipt = lab.clawtop("clear", "fakeai:one", "--yes", "--verify", "0.5")["receipt"]
    assert receipt["gateway"]["state"] == "not yet seen"
    assert receipt["follow_up"] == ["openclaw", "secrets", "reload"]
    lab.clawtop("undo", receipt["undo"], "--yes", "--verify", "0")

    # While it is watched, the gateway's own write of another profile shows that it has read the change.
    watcher = lab.begin("clear", "fakeai:one", "--yes", "--verify", "60")
    while "cooldownUntil" in auth_state(lab.directory)["usageStats"]["fakeai:one"]:
        assert watcher.poll() is None
        time.sleep(0.05)
    assert lab.turn("t2") == credentials()["fakeai:two"]["token"]
    out, _ = watcher.communicate(timeout=90)
    assert json.loads(out)["receipt"]["gateway"]["state"] == "seen"
    assert lab.turn("t3") == credentials()["fakeai:one"]["key"]

    # Many writers beside it, and a turn among them.
    agent = str(lab.directory / "agents/main/agent")
    command = [sys.executable, "-m", "tests.interop.python_writer", agent, "backupai:default", "0", "0"]
    writer = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert writer.stdout is not None
    assert writer.stdin is not None
    assert writer.stdout.readline() == "ready\n"
    writer.stdin.write("go\n")
    writer.stdin.flush()
    lab.turn("t4")
    result = json.loads(writer.communicate()[0])
    state = auth_state(lab.directory)["usageStats"]
    assert state["backupai:default"]["errorCount"] == result["done"] > 50
    assert state["fakeai:one"]["errorCount"] == 0

    assert lab.process is not None
    assert lab.process.poll() is None
    assert all(lab.health)
    assert len(lab.health) > 20
