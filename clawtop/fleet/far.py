"""The far side: this host's state as a stream on stdout, for as long as stdin is open."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from typing import Any

from clawtop import __version__
from clawtop.clock import Clock
from clawtop.core.fleet.summary import HostSummary, SecretFingerprint
from clawtop.core.model import Profile, Snapshot
from clawtop.core.source import SnapshotSource
from clawtop.errors import ClawtopError
from clawtop.fleet.protocol import HEARTBEAT_S, STREAM, ProtocolError, SummaryWriter, decode, encode, is_whole
from clawtop.store.own.deltas import Changes
from clawtop.text import shown

Summarise = Callable[[Snapshot, SecretFingerprint], HostSummary]
SecretOf = Callable[[Profile], str | None]


class Far:
    """Streams one state directory. One event loop; `out` takes whole lines and must not block it for long."""

    def __init__(
        self,
        source: SnapshotSource,
        clock: Clock,
        summarise: Summarise,
        secret_of: SecretOf,
        out: Callable[[bytes], None],
        *,
        host: str,
        state_dir: str,
    ) -> None:
        self._source = source
        self._clock = clock
        self._summarise = summarise
        self._secret_of = secret_of
        self._out = out
        self._handshake = {"clawtop_stream": STREAM, "clawtop": __version__, "host": host, "state_dir": state_dir}
        self._latest: Snapshot | None = None
        self._writer = SummaryWriter()
        self._changes: Changes | None = None
        self._salt = b""
        self._fingerprints: dict[tuple[str, str, str], str | None] = {}
        self._stores: tuple[str, ...] = ()
        self._problem: str | None = None

    async def run(self, lines: asyncio.StreamReader) -> None:
        """Stream until the reader of the stream goes."""
        self._send({**self._handshake, "at": self._clock.now_ms()})
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(self._beat()), tasks.create_task(self._source.run(self._take, self._failed))]
            await self._listen(lines)
            for task in work:
                task.cancel()

    async def _listen(self, lines: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await lines.readline()
            except ValueError:
                return
            if not line:
                return
            try:
                self._answer(decode(line))
            except ProtocolError:
                return

    def _answer(self, message: dict[str, Any]) -> None:
        if is_whole(message.get("ping")):
            self._send({"pong": message["ping"], "at": self._clock.now_ms()})
        salt = message.get("salt")
        if isinstance(salt, str) and salt.isalnum() and len(salt) <= 128:
            self._salt = salt.encode("ascii", "ignore")
            self._fingerprints.clear()
            self._tell()
        if message.get("open") is True:
            self._changes = Changes()
            self._source.poke()
            self._tell()
        elif message.get("open") is False:
            self._changes = None

    async def _beat(self) -> None:
        while True:
            await self._clock.sleep(HEARTBEAT_S)
            self._send({"beat": self._clock.now_ms()})

    def _take(self, snapshot: Snapshot) -> None:
        stores = tuple(agent.store.fingerprint for agent in snapshot.agents if agent.store is not None)
        if stores != self._stores:
            self._stores = stores
            self._fingerprints.clear()
        self._latest, self._problem = snapshot, None
        self._tell()

    def _failed(self, error: ClawtopError) -> None:
        words = shown(str(error), 400)
        if words != self._problem:
            self._problem = words
            self._send({"problem": words})

    def _tell(self) -> None:
        if self._latest is None:
            return
        changed = self._writer.changed(self._summarise(self._latest, self._fingerprint))
        if changed is not None:
            self._send({"summary": changed})
        if self._changes is not None and (records := self._changes.of(self._latest)):
            self._send({"records": records})

    def _fingerprint(self, profile: Profile) -> str | None:
        """Twelve hex digits that can only be computed with the fleet's salt and the credential itself."""
        if not self._salt:
            return None
        key = (profile.owner_agent, profile.id, profile.path)
        if key not in self._fingerprints:
            secret = self._secret_of(profile)
            digest = None if secret is None else hmac.new(self._salt, secret.encode(), hashlib.sha256).hexdigest()
            self._fingerprints[key] = digest and digest[:12]
        return self._fingerprints[key]

    def _send(self, message: dict[str, Any]) -> None:
        self._out(encode(message))
