"""A gateway on loopback that says what a test wants, in OpenClaw's protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection, serve

TOKEN = "gateway-token-0123456789"
METHODS = (
    "sessions.list",
    "tasks.list",
    "diagnostics.lanes",
    "diagnostics.stability",
    "sessions.abort",
    "secrets.reload",
)

Answer = Callable[[Mapping[str, Any]], Any]


@dataclass
class FakeGateway:
    """What the gateway answers, and what it was asked.

    Attributes:
        answers: by method, from its parameters to a payload, an exception's text (a refusal), or a string sent raw.
        connects: the parameters of every `connect`. asked: the method and parameters of every question.
        after: frames that follow each answer but the one to `connect`. sockets: every connection, the last one last.
        hello: added to the hello. starting: how many connections it turns away first.
    """

    answers: dict[str, Answer] = field(default_factory=dict)
    hello: dict[str, Any] = field(default_factory=dict)
    methods: tuple[str, ...] = METHODS
    granted: tuple[str, ...] | None = None
    token: str = TOKEN
    starting: int = 0
    first: str | None = None
    after: tuple[str, ...] = ()
    port: int = 0
    connects: list[Mapping[str, Any]] = field(default_factory=list)
    asked: list[tuple[str, Mapping[str, Any]]] = field(default_factory=list)
    over: asyncio.Event = field(default_factory=asyncio.Event)
    sockets: list[ServerConnection] = field(default_factory=list)

    async def serve(self, socket: ServerConnection) -> None:
        self.sockets.append(socket)
        if self.starting:
            self.starting -= 1
            await socket.close(1013, "gateway starting")
            return
        challenge = {"type": "event", "event": "connect.challenge", "payload": {"nonce": "n", "ts": 1}}
        await socket.send(self.first or json.dumps(challenge))
        async for frame in socket:
            request = json.loads(frame)
            reply = await self._reply(request["method"], request.get("params", {}))
            if isinstance(reply, str):
                await socket.send(reply)
                continue
            event = {"type": "event", "event": "tick", "payload": {}}
            await socket.send(json.dumps(event, separators=(",", ":")))
            await socket.send(json.dumps({"type": "res", "id": request["id"], **reply}))
            for more in self.after if request["method"] != "connect" else ():
                await socket.send(more)

    async def _reply(self, method: str, params: Mapping[str, Any]) -> dict[str, Any] | str:
        if method == "connect":
            self.connects.append(params)
            if params["auth"]["token"] != self.token:
                return _no("INVALID_REQUEST", "unauthorized", details={"code": "AUTH_TOKEN_MISMATCH"})
            scopes = list(self.granted) if self.granted is not None else params["scopes"]
            said = {
                "type": "hello-ok",
                "protocol": 4,
                "server": {"version": "2026.9.6", "bootId": "b"},
                "features": {"methods": list(self.methods)},
                "auth": {"role": "operator", "scopes": scopes},
                "snapshot": {},
            }
            return {"ok": True, "payload": {**said, **self.hello}}
        self.asked.append((method, params))
        answer = self.answers.get(method)
        if answer is None:
            return _no("INVALID_REQUEST", f"unknown method: {method}")
        try:
            payload = answer(params)
        except RefusingError as error:
            return _no(error.code, str(error))
        if payload is HANG:
            await self.over.wait()
        return payload if isinstance(payload, str) else {"ok": True, "payload": payload}


HANG = object()
"""Payload of an answer that never comes."""


class RefusingError(Exception):
    """Raised by an answer: the gateway refuses."""

    def __init__(self, message: str, code: str = "INVALID_REQUEST") -> None:
        super().__init__(message)
        self.code = code


def _no(code: str, message: str, **more: Any) -> dict[str, Any]:
    return {"ok": False, "error": {"code": code, "message": message, **more}}


@asynccontextmanager
async def serving(gateway: FakeGateway) -> AsyncIterator[FakeGateway]:
    """Serve until the block ends; `port` is then set."""
    async with serve(gateway.serve, "127.0.0.1", 0, max_size=None) as server:
        gateway.port = server.sockets[0].getsockname()[1]
        try:
            yield gateway
        finally:
            gateway.over.set()
            for connection in list(server.connections):
                connection.transport.abort()


def session_row(key: str, active: bool | None, **more: Any) -> dict[str, Any]:
    """A row of `sessions.list`."""
    return {"key": key, "status": "running" if active else "done", "hasActiveRun": active, **more}


def listing(*rows: dict[str, Any], total: int | None = None) -> dict[str, Any]:
    """An answer to `sessions.list`."""
    count = len(rows)
    return {"count": count, "totalCount": total or count, "hasMore": bool(total and total > count), "sessions": [*rows]}
