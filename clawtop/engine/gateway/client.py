"""Querying a live gateway over its WebSocket, with the least scope: a short connection for each action, and one that
stays open for regular questions (`line`). The token is sent only after the other end of this connection was verified to
be the process of the gateway's lock. OpenClaw provides this interface for its own local programs: it is optional, and
everything works without it.
"""

from __future__ import annotations

import asyncio
import itertools
import os
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus, WebSocketException
from websockets.protocol import State

import clawtop
from clawtop.clock import Clock
from clawtop.engine.gateway.door import Door, Pass
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.wire import MAX_FRAME, Hello, connect_params, error_of, hello_of, parsed
from clawtop.store.locks.processes import answers_to
from clawtop.text import safe, shown

HOST = "127.0.0.1"
CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 5.0
STARTING_PAUSE_SECONDS = 0.5
MAX_EVENTS = 10_000
"""How many events may arrive while waiting for one answer."""

TRY_AGAIN_LATER = 1013
TOO_BIG = 1009
SERVICE_UNAVAILABLE = 503


class _Socket(ClientConnection):
    """A connection that closes at the first frame that it refuses, even if the peer keeps sending."""

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.protocol.parser_exc is not None:
            self.transport.abort()


class _LoopbackConnect(connect):
    """A connection that is never redirected."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class GatewayConnection:
    """An open connection whose scopes were granted. One question at a time; events are dropped unless `listen`ed to."""

    def __init__(self, socket: ClientConnection, hello: Hello, clock: Clock) -> None:
        self.hello = hello
        self._socket = socket
        self._clock = clock
        self._ids = itertools.count(2)

    def knows(self, method: str) -> bool:
        """Whether it may have this method: one that does not say which it has is believed to have all."""
        return not self.hello.methods or method in self.hello.methods

    async def ask(self, method: str, params: Mapping[str, Any], *, seconds: float = ANSWER_SECONDS) -> Any:
        """The payload of the answer. Raises GatewayCallError."""
        if not self.knows(method):
            raise GatewayCallError(Trouble.UNKNOWN, f"this gateway has no {method}")
        with _named(method):
            async with self._clock.timeout(seconds):
                return await _asked(self._socket, str(next(self._ids)), method, params)

    async def listen(self, method: str, params: Mapping[str, Any]) -> AsyncGenerator[Mapping[str, Any], None]:
        """Ask, then yield every frame that arrives, including the answer. Raises GatewayCallError; no deadline."""
        with _named(method):
            await _send(self._socket, str(next(self._ids)), method, params)
            while True:
                yield parsed(await self._socket.recv())

    async def pass_over(self, most: int) -> None:
        """Drop what the gateway sends unasked, until it closes the connection or has sent this many frames."""
        with suppress(WebSocketException, UnicodeError):
            for _ in range(most):
                await self._socket.recv()

    @property
    def is_open(self) -> bool:
        """Whether neither side has begun to close it."""
        return self._socket.state is State.OPEN

    async def close(self) -> None:
        """Close it; the closing handshake gets at most half a second."""
        try:
            await self._socket.close()
        except (WebSocketException, OSError):
            self._socket.transport.abort()


@asynccontextmanager
async def connected(
    door: Door,
    leave: Pass,
    scopes: Sequence[str],
    *,
    clock: Clock,
    seconds: float = CONNECT_SECONDS,
) -> AsyncIterator[GatewayConnection]:
    """A connection as from `open_connection`, closed at the end of the block."""
    link = await open_connection(door, leave, scopes, clock=clock, seconds=seconds)
    try:
        yield link
    finally:
        await link.close()


async def open_connection(
    door: Door,
    leave: Pass,
    scopes: Sequence[str],
    *,
    clock: Clock,
    seconds: float = CONNECT_SECONDS,
) -> GatewayConnection:
    """A connection to the listener of `leave` with these scopes.

    A gateway that is still starting is tried again until `seconds` are over.

    Raises:
        GatewayCallError: no connection, not the lock's process, another directory, or fewer scopes than asked for.
    """
    until = clock.monotonic() + seconds
    starting: GatewayCallError | None = None
    while True:
        try:
            socket, hello = await _enter(leave, scopes, clock, max(0.1, until - clock.monotonic()))
            return GatewayConnection(socket, hello, clock)
        except GatewayCallError as error:
            if error.trouble is Trouble.TOKEN:
                door.refused(leave)
            if error.trouble is Trouble.MUTE and starting is not None:
                raise starting from None
            starting = error
            if error.trouble is not Trouble.STARTING or clock.monotonic() + STARTING_PAUSE_SECONDS >= until:
                raise
        await clock.sleep(STARTING_PAUSE_SECONDS)


async def _enter(leave: Pass, scopes: Sequence[str], clock: Clock, seconds: float) -> tuple[ClientConnection, Hello]:
    with _named("connect"):
        async with clock.timeout(seconds):
            socket = await _LoopbackConnect(
                f"ws://{HOST}:{leave.listener.port}/",
                create_connection=_Socket,
                proxy=None,
                compression=None,
                max_size=MAX_FRAME,
                open_timeout=None,
                ping_interval=None,
                close_timeout=0.5,
                user_agent_header=f"clawtop/{clawtop.__version__}",
            )
            try:
                return socket, await _introduced(socket, leave, scopes)
            except BaseException:
                socket.transport.abort()
                raise


async def _introduced(socket: ClientConnection, leave: Pass, scopes: Sequence[str]) -> Hello:
    challenge = parsed(await socket.recv())
    if challenge.get("event") != "connect.challenge":
        raise GatewayCallError(Trouble.NONSENSE, "what listens on the gateway's port is not a gateway")
    listener, our_port = leave.listener, socket.local_address[1]
    if not await asyncio.to_thread(answers_to, listener.pid, listener.port, our_port):
        raise GatewayCallError(
            Trouble.FOREIGN,
            f"port {listener.port} was not answered by process {listener.pid} of the gateway's lock: no token was sent",
        )
    params = connect_params(leave.token, scopes, clawtop.__version__)
    hello = hello_of(await _asked(socket, "1", "connect", params))
    for said, ours in ((hello.state_dir, leave.state_dir), (hello.config_path, leave.config_path)):
        if said is not None and not _is_same_place(said, ours):
            raise GatewayCallError(
                Trouble.FOREIGN, f"the gateway on port {listener.port} serves {safe(said, 120)}, not {safe(ours, 120)}"
            )
    missing = set(scopes) - hello.scopes if hello.scopes is not None else set()
    if missing:
        raise GatewayCallError(Trouble.SCOPE, f"the gateway does not grant {', '.join(sorted(missing))}")
    return hello


def _is_same_place(said: str, ours: str) -> bool:
    return os.path.realpath(said) == os.path.realpath(ours)


async def _asked(socket: ClientConnection, id_: str, method: str, params: Mapping[str, Any]) -> Any:
    await _send(socket, id_, method, params)
    for _ in range(MAX_EVENTS):
        frame = await socket.recv()
        if is_event(frame):
            continue
        answer = parsed(frame)
        if answer.get("type") != "res" or answer.get("id") != id_:
            continue
        if answer.get("ok") is not True:
            raise error_of(answer, method)
        return answer.get("payload")
    raise GatewayCallError(Trouble.NONSENSE, f"{method}: no answer among {MAX_EVENTS} frames")


async def _send(socket: ClientConnection, id_: str, method: str, params: Mapping[str, Any]) -> None:
    import json

    await socket.send(json.dumps({"type": "req", "id": id_, "method": method, "params": params}))


def is_event(frame: str | bytes) -> bool:
    """Whether the beginning of a frame shows that it is an event, so that it need not be parsed."""
    return isinstance(frame, str) and frame.startswith('{"type":"event"')


class _named:  # noqa: N801 - a context manager that reads as a word
    """Turns errors inside the block into a GatewayCallError."""

    def __init__(self, method: str) -> None:
        self._method = method

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        found = _trouble(error, self._method) if error is not None else None
        if found is not None:
            raise found from error


def _trouble(error: BaseException, method: str) -> GatewayCallError | None:
    match error:
        case TimeoutError():
            return GatewayCallError(Trouble.MUTE, f"the gateway did not answer {method} in time")
        case ConnectionClosed():
            return _closed(error, method)
        case InvalidStatus() if error.response.status_code == SERVICE_UNAVAILABLE:
            return GatewayCallError(Trouble.STARTING, "the gateway is starting or stopping")
        case InvalidHandshake() | WebSocketException():
            what = shown(error, 100) or type(error).__name__
            return GatewayCallError(Trouble.NONSENSE, f"the gateway's port does not speak WebSocket ({what})")
        case OSError():
            return GatewayCallError(
                Trouble.UNREACHABLE, f"the gateway's port refuses connections ({error.strerror or 'refused'})"
            )
    return None


def _closed(error: ConnectionClosed, method: str) -> GatewayCallError:
    if error.sent is not None and error.sent.code == TOO_BIG:
        return GatewayCallError(
            Trouble.NONSENSE, f"{method}: the answer is larger than {MAX_FRAME // 1024 // 1024} MiB; it was not read"
        )
    code = error.rcvd.code if error.rcvd is not None else None
    reason = shown(error.rcvd.reason, 80) if error.rcvd is not None and error.rcvd.reason else ""
    if code == TRY_AGAIN_LATER:
        return GatewayCallError(Trouble.STARTING, f"the gateway is starting ({reason or code})")
    said = ": ".join(part for part in (str(code) if code is not None else "", reason) if part) or "without a reason"
    return GatewayCallError(Trouble.MUTE, f"{method}: the gateway closed the connection ({said})")
