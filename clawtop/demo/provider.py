"""A provider on loopback with scripted faults: Anthropic Messages and chat completions, both streaming.

Plain asyncio sockets, so that every fault is a real one: headers that never come, bytes that trickle, connections
that are reset. Profiles are recognised by the credential they send; each has a queue of acts, then a standing one.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import field
from http import HTTPStatus
from typing import Any

from clawtop.clock import Clock, SystemClock
from clawtop.values import dataclass

REQUEST_LIMIT = 4 * 1024 * 1024
KEY_PLACEHOLDER = "{key}"
"""In a body or header of an act: the credential that the request carried, as careless providers echo it."""


@dataclass(frozen=True, slots=True)
class Respond:
    """A good reply: `text` in pieces, `first_after` seconds to the first byte, `pause` seconds between pieces.

    `once` holds the first byte back until it is set. `bytewise` sends the stream one byte per pause; `cut` stops after
    that many pieces without an end; `close` leaves out the api's own end marker and closes.
    """

    text: str = "Snip snap, all claws present."
    first_after: float = 0.0
    once: asyncio.Event | None = None
    pause: float = 0.0
    pieces: int = 4
    bytewise: bool = False
    cut: int | None = None


@dataclass(frozen=True, slots=True)
class Refuse:
    """An error status with a JSON error body (or any `body`), and headers such as retry-after or location."""

    status: int
    code: str = ""
    message: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    content_type: str = "application/json"


@dataclass(frozen=True, slots=True)
class BreakStream:
    """A reply that begins well and then holds an error event of its api, after `after` pieces."""

    code: str
    message: str
    after: int = 1


@dataclass(frozen=True, slots=True)
class Raw:
    """Status 200 with a body given literally: malformed events, wrong content types, emptiness."""

    body: str
    content_type: str = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Stall:
    """Stall: before the headers, after them ("body"), or in the middle of a reply ("stream"), until released."""

    where: str = "headers"


@dataclass(frozen=True, slots=True)
class Drop:
    """The connection is reset: before the headers, or in the middle of a reply ("stream")."""

    where: str = "headers"


Act = Respond | Refuse | BreakStream | Raw | Stall | Drop


def rate_limited(retry_after: float | str | None = None) -> Refuse:
    """A 429, with the words of thread 57281; `retry_after`: seconds, or an HTTP date."""
    value = f"{retry_after:g}" if isinstance(retry_after, float | int) else retry_after
    return Refuse(
        429,
        "rate_limit_error",
        "Extra usage is required for long context requests.",
        headers={} if value is None else {"retry-after": value},
    )


def out_of_credit() -> Refuse:
    return Refuse(402, "billing_error", "Your credit balance is too low. Please top up.")


def overloaded() -> Refuse:
    return Refuse(529, "overloaded_error", "Overloaded")


@dataclass(slots=True)
class ReceivedRequest:
    """One request as it arrived. Times are the clock's monotonic seconds; `ended` is set when the answer is out."""

    number: int
    key: str
    path: str
    model: str
    body: Mapping[str, Any]
    headers: Mapping[str, str]
    began: float
    act: Act
    ended: float | None = None
    cancelled: bool = False

    @property
    def prompt(self) -> str:
        """The last message's text."""
        return (self.said or ("",))[-1]

    @property
    def said(self) -> tuple[str, ...]:
        """The text of each message, the system prompt's included where it is one."""
        return tuple(_text_of(message.get("content", "")) for message in self.body.get("messages") or ())


def _text_of(content: object) -> str:
    if not isinstance(content, list):
        return str(content)
    return "\n".join(str(block["text"]) for block in content if isinstance(block, dict) and "text" in block)


class ScriptedProvider:
    """The server. `async with ScriptedProvider() as provider:`, then `provider.base_url(api)`.

    Attributes:
        requests: everything that was asked, in order of arrival.
        standing: what a credential answers when its queue is empty; `default` for the rest. An act may also be a
            function of the request.
    """

    def __init__(self, clock: Clock | None = None, default: Act | None = None) -> None:
        self._clock: Clock = clock or SystemClock()
        self._server: asyncio.Server | None = None
        self._changed = asyncio.Event()
        self._let_go = asyncio.Event()
        self._connections: set[asyncio.Task[None]] = set()
        self._queues: dict[str, deque[Act]] = {}
        self.requests: list[ReceivedRequest] = []
        self.default: Act | Callable[[ReceivedRequest], Act] = default or Respond()
        self.standing: dict[str, Act | Callable[[ReceivedRequest], Act]] = {}

    async def __aenter__(self) -> ScriptedProvider:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, backlog=1024)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._let_go.set()
        if self._server is not None:
            self._server.close()
        for task in tuple(self._connections):
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    @property
    def port(self) -> int:
        if self._server is None:
            raise RuntimeError("the provider is not started")
        return int(self._server.sockets[0].getsockname()[1])

    def base_url(self, api: str) -> str:
        """What openclaw.json holds for a provider of that api."""
        return f"http://127.0.0.1:{self.port}" + ("/v1" if api == "openai-completions" else "")

    def queue(self, key: str, *acts: Act) -> None:
        """What the next requests with that credential get, in order."""
        self._queues.setdefault(key, deque()).extend(acts)

    def let_go(self) -> None:
        """End every stall: stalled requests are answered with their standing act's end, a closed connection."""
        self._let_go.set()
        self._let_go = asyncio.Event()

    async def until(self, condition: Callable[[list[ReceivedRequest]], bool]) -> None:
        """Wait until `condition(requests)` holds; looked at whenever a request begins or ends."""
        while not condition(self.requests):
            self._changed.clear()
            await self._changed.wait()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        ahead = b""
        try:
            while (request := await self._read(ahead, reader)) is not None:
                self.requests.append(request)
                self._changed.set()
                try:
                    stays, ahead = await _while_connected(reader, self._perform(request, writer))
                    request.cancelled = stays is None
                finally:
                    request.ended = self._clock.monotonic()
                    self._changed.set()
                if not stays:
                    break
        except (ConnectionError, asyncio.IncompleteReadError, ValueError, asyncio.LimitOverrunError):
            pass
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _read(self, ahead: bytes, reader: asyncio.StreamReader) -> ReceivedRequest | None:
        try:
            head = ahead + await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        fields = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in fields}
        length = int(headers.get("content-length", "0"))
        if length > REQUEST_LIMIT:
            raise ValueError("request too large")
        body = json.loads(await reader.readexactly(length) or b"{}")
        request = ReceivedRequest(
            number=len(self.requests) + 1,
            key=headers.get("x-api-key") or headers.get("authorization", "").removeprefix("Bearer "),
            path=first.split(" ")[1],
            model=str(body.get("model", "")),
            body=body,
            headers=headers,
            began=self._clock.monotonic(),
            act=Respond(),
        )
        request.act = self._act_for(request)
        return request

    def _act_for(self, request: ReceivedRequest) -> Act:
        queued = self._queues.get(request.key)
        if queued:
            return queued.popleft()
        act = self.standing.get(request.key, self.default)
        return act if isinstance(act, Act) else act(request)

    async def _perform(self, request: ReceivedRequest, writer: asyncio.StreamWriter) -> bool:
        """Play the act; True if the connection can serve another request."""
        act = request.act
        wire = _Wire(writer, request, self._clock)
        match act:
            case Respond():
                return await wire.answer(act)
            case Refuse():
                await wire.whole(act.status, act.content_type, wire.error_body(act), act.headers)
                return True
            case BreakStream():
                return await wire.break_stream(act)
            case Raw():
                await wire.whole(200, act.content_type, act.body, {})
                return True
            case Stall():
                if act.where != "headers":
                    await wire.begin()
                if act.where == "stream":
                    await wire.pieces(Respond(cut=1))
                await self._let_go.wait()
                return False
            case Drop():
                if act.where == "stream":
                    await wire.begin()
                    await wire.pieces(Respond(cut=1))
                _reset(writer)
                return False


async def _while_connected(
    reader: asyncio.StreamReader, answer: Coroutine[Any, Any, bool]
) -> tuple[bool | None, bytes]:
    """Run the answer, but end with the client: a cancelled call must not keep a stalled answer alive.

    Returns the answer's result (None if the client went away), and the first byte of a next request if it came early.
    """
    answering = asyncio.create_task(answer)
    listening = asyncio.create_task(reader.read(1))
    try:
        await asyncio.wait({answering, listening}, return_when=asyncio.FIRST_COMPLETED)
        ahead = listening.result() if listening.done() else b""
        if listening.done() and not ahead and not answering.done():
            return None, b""
        return await answering, ahead
    except ConnectionError:
        return None, b""
    finally:
        answering.cancel()
        listening.cancel()
        await asyncio.gather(answering, listening, return_exceptions=True)


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST instead of FIN."""
    sock = writer.get_extra_info("socket")
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class _Wire:
    """The bytes of one answer, in the api of the request's path."""

    def __init__(self, writer: asyncio.StreamWriter, request: ReceivedRequest, clock: Clock) -> None:
        self._writer = writer
        self._request = request
        self._clock = clock
        self._anthropic = request.path.split("?")[0].endswith("/messages")

    async def whole(self, status: int, content_type: str, body: str, headers: Mapping[str, str]) -> None:
        data = self._filled(body).encode()
        extra = "".join(f"{name}: {self._filled(value)}\r\n" for name, value in headers.items())
        reason = HTTPStatus(status).phrase if status in {item.value for item in HTTPStatus} else "Unknown"
        self._writer.write(
            f"HTTP/1.1 {status} {reason}\r\ncontent-type: {content_type}\r\ncontent-length: {len(data)}\r\n"
            f"request-id: req_{self._request.number}\r\n{extra}\r\n".encode()
            + data
        )
        await self._writer.drain()

    def error_body(self, act: Refuse) -> str:
        return act.body if act.body is not None else json.dumps(self._error(act.code, act.message))

    async def begin(self) -> None:
        self._writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
            + f"request-id: req_{self._request.number}\r\n\r\n".encode()
        )
        await self._writer.drain()

    async def answer(self, act: Respond) -> bool:
        if act.once is not None:
            await act.once.wait()
        await self._wait(act.first_after)
        await self.begin()
        await self.pieces(act)
        if act.cut is not None:
            return False
        await self._end(act)
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def break_stream(self, act: BreakStream) -> bool:
        await self.begin()
        await self.pieces(Respond(cut=act.after))
        error = self._error(act.code, act.message)
        await self._event("error" if self._anthropic else None, error)
        self._writer.write(b"0\r\n\r\n")
        await self._writer.drain()
        return True

    async def pieces(self, act: Respond) -> None:
        number = self._request.number
        if self._anthropic:
            usage = {"input_tokens": 12, "output_tokens": 1}
            message = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": self._request.model}
            await self._event("message_start", {"type": "message_start", "message": {**message, "usage": usage}}, act)
        for index, piece in enumerate(_split(act.text, act.pieces)):
            if act.cut is not None and index >= act.cut:
                return
            if index:
                await self._wait(0 if act.bytewise else act.pause)
            if self._anthropic:
                delta = {"type": "text_delta", "text": piece}
                event = {"type": "content_block_delta", "index": 0, "delta": delta}
                await self._event("content_block_delta", event, act)
            else:
                await self._event(None, self._chunk({"delta": {"content": piece}}), act)

    async def _end(self, act: Respond) -> None:
        if self._anthropic:
            usage = {"output_tokens": 7}
            delta = {"stop_reason": "end_turn"}
            await self._event("message_delta", {"type": "message_delta", "delta": delta, "usage": usage}, act)
            await self._event("message_stop", {"type": "message_stop"}, act)
            return
        await self._event(None, self._chunk({"delta": {}, "finish_reason": "stop"}), act)
        await self._event(None, {**self._chunk(None), "usage": {"prompt_tokens": 12, "completion_tokens": 7}}, act)
        await self._send(b"data: [DONE]\n\n", act)

    def _chunk(self, choice: Mapping[str, Any] | None) -> dict[str, Any]:
        return {
            "id": f"chatcmpl_{self._request.number}",
            "model": self._request.model,
            "choices": [] if choice is None else [{"index": 0, **choice}],
        }

    def _error(self, code: str, message: str) -> dict[str, Any]:
        words = self._filled(message)
        if self._anthropic:
            return {"type": "error", "error": {"type": code, "message": words}}
        return {"error": {"type": code, "code": code, "message": words}}

    async def _event(self, name: str | None, data: Mapping[str, Any], act: Respond | None = None) -> None:
        head = f"event: {name}\n" if name else ""
        await self._send(f"{head}data: {json.dumps(data)}\n\n".encode(), act)

    async def _send(self, data: bytes, act: Respond | None) -> None:
        async for piece in self._paced(data, act):
            self._writer.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            await self._writer.drain()

    async def _paced(self, data: bytes, act: Respond | None) -> AsyncIterator[bytes]:
        if act is None or not act.bytewise:
            yield data
            return
        for index in range(len(data)):
            await self._wait(act.pause)
            yield data[index : index + 1]

    async def _wait(self, seconds: float) -> None:
        if seconds > 0:
            await self._clock.sleep(seconds)

    def _filled(self, text: str) -> str:
        return text.replace(KEY_PLACEHOLDER, self._request.key)


def _split(text: str, pieces: int) -> list[str]:
    size = max(1, -(-len(text) // max(1, pieces)))
    return [text[at : at + size] for at in range(0, len(text), size)]
