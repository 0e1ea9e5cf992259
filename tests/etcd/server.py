"""A real etcd on loopback, for tests; Debian: etcd-server."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

ETCD = shutil.which("etcd")


class EtcdServer:
    """One member with its data in a directory; it can be stopped, frozen and started again on the same port."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port, self._peer = _free_port(), _free_port()
        self.url = f"etcd://127.0.0.1:{self._port}/test"
        self.endpoint = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start and wait until it answers."""
        assert ETCD is not None
        client, peer = self.endpoint, f"http://127.0.0.1:{self._peer}"
        self._process = subprocess.Popen(
            [
                *(ETCD, "--name", "one", "--data-dir", str(self._directory)),
                *("--listen-client-urls", client, "--advertise-client-urls", client),
                *("--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer),
                *("--initial-cluster", f"one={peer}", "--unsafe-no-fsync"),
            ],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "ETCD_UNSUPPORTED_ARCH": os.uname().machine},
        )
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{client}/health", timeout=1) as answer:
                    if b"true" in answer.read():
                        return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError("etcd does not answer")

    def stop(self) -> None:
        """Kill it: what it has acknowledged stays."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._process.kill()
            self._process.wait(timeout=30)
            self._process = None

    def members(self) -> set[str]:
        """The keys of the engines that are known to live."""
        first, end = (base64.b64encode(key).decode() for key in (b"test/members/", b"test/members0"))
        found = self._asked("/v3/kv/range", {"key": first, "range_end": end, "keys_only": True})
        return {one["key"] for one in found.get("kvs", [])}

    def take_no_writes(self, refuses: bool) -> None:
        """The alarm that etcd itself raises when its disk is full; or its end."""
        action = "ACTIVATE" if refuses else "DEACTIVATE"
        member = self._asked("/v3/maintenance/status", {})["header"]["member_id"]
        self._asked("/v3/maintenance/alarm", {"action": action, "memberID": member, "alarm": "NOSPACE"})

    def _asked(self, path: str, body: dict[str, object]) -> dict[str, Any]:
        asked = urllib.request.Request(f"{self.endpoint}{path}", json.dumps(body).encode())
        with urllib.request.urlopen(asked, timeout=5) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def freeze(self) -> None:
        """It accepts connections and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
