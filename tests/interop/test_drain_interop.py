"""Draining a session that a live gateway of 2026.5.20 works in: what clawtop says, and the gateway's own abort."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from tests.interop.fake_provider import FakeProvider
from tests.interop.openclaw_install import OpenClaw
from tests.interop.test_gateway import Lab, free_port

pytestmark = pytest.mark.interop


class HangingProvider(FakeProvider):
    """Takes a request and says nothing until the test is over."""

    def __init__(self) -> None:
        self.over = threading.Event()
        super().__init__()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        over, keys = self.over, self.keys

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                keys.append(self.headers.get("authorization", ""))
                over.wait(120)

        return Handler


@pytest.fixture
def lab(openclaw: OpenClaw, tmp_path: Path) -> Iterator[Lab]:
    with HangingProvider() as provider:
        made = Lab(openclaw, tmp_path, provider, free_port())
        yield made
        provider.over.set()
        made.stop()


def running_session(lab: Lab) -> dict[str, Any]:
    """The session that the gateway works in, as `clawtop status` shows it."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for session in lab.clawtop("status")["sessions"]:
            if session["status"] == "running" and lab.provider.keys:
                found: dict[str, Any] = session
                return found
        time.sleep(0.2)
    raise AssertionError("no session runs")


def test_a_run_of_a_live_gateway_is_never_called_drained_and_its_own_abort_frees_it(lab: Lab) -> None:
    lab.prepare(())
    lab.start()
    talk = ("agent", "--session-id", "stuck", "--message", "ping", "--json", "--timeout", "110")
    with subprocess.Popen(
        lab.openclaw.command(*talk), env=lab.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as turn:
        try:
            key = running_session(lab)["key"]
            preview = "\n".join(lab.clawtop("drain", key, "--dry-run")["preview"])
            assert "an OpenClaw run: stored as running, and its gateway lives" in preview
            assert "a gateway cannot be kept out" in preview

            left = lab.clawtop("drain", key, "--yes", "--deadline", "3", "--still", "0.5", code=2)
            assert left["outcome"] == "not-released"
            assert "OpenClaw run" in left["held_by"][0]
            assert left["offer"] == f"openclaw gateway call sessions.abort --params '{json.dumps({'key': key})}'"

            patient = ("--yes", "--gateway-abort", "--stop-after", "0", "--deadline", "90", "--still", "1")
            drained = lab.clawtop("drain", key, *patient)
            assert drained["outcome"] == "drained", drained
            assert [step["text"] for step in drained["steps"] if "ended with code" in step["text"]]
            assert lab.clawtop("status")["sessions"][0]["status"] != "running"
            assert turn.wait(60) is not None
        finally:
            turn.kill()
