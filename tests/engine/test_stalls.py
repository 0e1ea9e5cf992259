"""Everything outside a turn stands still in turn, longer than any limit: the turn ends by its limit with the true
reason, the session is free at once, marks have landed or are written down.

The limits are shortened; `CLAWTOP_STALL_SCALE=40` runs the matrix with 40 times longer ones (about 6 minutes).
"""

from __future__ import annotations

import asyncio
import errno
import json
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import pytest

from clawtop.core.model import Event, EventKind
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import Respond, Stall, rate_limited
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE, Lab, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive import attempt, probe, resolving, turn_run
from clawtop.engine.drive import resources as resources_module
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.engine.drive.journal_writer import JournalWriter
from clawtop.engine.drive.turn import TurnTimeoutError
from clawtop.engine.operations import locked
from clawtop.engine.prompt import foreign
from clawtop.engine.providers.base import Timeouts
from clawtop.engine.providers.errors import ProviderError
from clawtop.errors import ClawtopError, OperationFailedError, SessionContendedError, SessionWriteLockTimeoutError
from clawtop.store.own.journal import Journal
from clawtop.store.own.mark_spool import spool_dir
from clawtop.store.place.layout import Layout
from clawtop.store.sessions.conversation import KeptConversations
from clawtop.store.sessions.lists import Lists, NotReadYetError, ReadLists
from tests.support.wire_server import Wire, served, sse, wire_server

pytestmark = pytest.mark.anyio

SCALE = float(os.environ.get("CLAWTOP_STALL_SCALE", "1"))
LIMIT_S = 0.5 * SCALE
SLACK_S = 5.0
"""What a loaded machine may add to a limit before the test believes that there is none."""


def held_by(lab: Lab) -> list[str]:
    state = lab.world.state_dir
    locks = [path.name for path in state.rglob("*.jsonl.lock")]
    return locks + [path.name for path in (state / "clawtop" / "holders").glob("*.json")]


@asynccontextmanager
async def within(lab: Lab, limit: float = LIMIT_S) -> AsyncIterator[None]:
    """What happens here ends by its limit, and leaves the session free."""
    began = lab.clock.monotonic()
    async with asyncio.timeout(limit + SLACK_S):
        yield
    assert lab.clock.monotonic() - began >= limit * 0.9
    assert held_by(lab) == []


def served_at(lab: Lab, url: str) -> None:
    """Have both providers of the world at one address."""
    path = lab.world.state_dir / "openclaw.json"
    config = json.loads(path.read_text())
    for provider in config["models"]["providers"].values():
        provider["baseUrl"] = url
    path.write_text(json.dumps(config))


async def driver_of(lab: Lab, call: Timeouts) -> Driver:
    return Driver(lab.world.state_dir, environ={}, home=lab.world.state_dir.parent, settings=EngineSettings(call=call))


FULL = Timeouts(connect=60 * SCALE, first_byte=60 * SCALE, idle=60 * SCALE, total=LIMIT_S)
IDLE = Timeouts(connect=60 * SCALE, first_byte=60 * SCALE, idle=LIMIT_S, total=60 * SCALE)
FIRST = Timeouts(connect=60 * SCALE, first_byte=LIMIT_S, idle=60 * SCALE, total=60 * SCALE)


async def _pings(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, first: bytes, ping: bytes) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + first)
    while True:
        writer.write(ping)
        await writer.drain()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def pinging(first: bytes, ping: bytes) -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _pings(reader, writer, first, ping)

    async with served(serve) as port:
        yield f"http://127.0.0.1:{port}"


WORD = sse({"choices": [{"index": 0, "delta": {"content": "po"}}]})
EMPTY_DELTA = sse({"choices": [{"index": 0, "delta": {"content": ""}}]})


@pytest.mark.parametrize(
    ("first", "ping", "call", "phase"),
    [
        (b"", b": ping\n\n", FIRST, "first-byte"),
        (b"", b": ping\n\n", FULL, "total"),
        (b"", b'data: {"type": "ping"}\n\n', FIRST, "first-byte"),
        (b"", b"\n", FIRST, "first-byte"),
        (b"", b" ", FIRST, "first-byte"),
        (b"data: ", b" ", FIRST, "first-byte"),
        (WORD, b": ping\n\n", IDLE, "idle"),
        (WORD, EMPTY_DELTA, IDLE, "idle"),
        (WORD, WORD, FULL, "total"),
    ],
)
async def test_a_provider_that_pings_for_ever_ends_at_its_limit(
    tmp_path: Path, first: bytes, ping: bytes, call: Timeouts, phase: str
) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab, pinging(first, ping) as url:
        served_at(lab, url)
        async with await driver_of(lab, call) as driver:
            async with within(lab):
                with pytest.raises(ProviderError) as caught:
                    await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", model=SECONDARY)).result()
            assert (caught.value.phase, caught.value.timed_out) == (phase, True)


@pytest.mark.parametrize("where", ["headers", "body", "stream"])
async def test_a_provider_that_says_nothing_more_ends_at_its_limit(tmp_path: Path, where: str) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, call=FULL) as lab:
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), Stall(where))
        async with within(lab):
            with pytest.raises(ProviderError) as caught:
                await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert caught.value.phase == "total"
        assert lab.of(EventKind.MARK) == []


async def test_the_turns_own_limit_counts_where_the_calls_have_none(tmp_path: Path) -> None:
    endless = Timeouts(connect=None, first_byte=None, idle=None, total=None)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, call=endless) as lab:
        path = lab.world.state_dir / "openclaw.json"
        config = json.loads(path.read_text())
        config["agents"]["defaults"]["timeoutSeconds"] = LIMIT_S
        path.write_text(json.dumps(config))
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), Stall())
        async with within(lab):
            with pytest.raises(ClawtopError) as caught:
                await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert isinstance(caught.value, ProviderError | TurnTimeoutError)


def test_a_turn_always_has_a_limit() -> None:
    assert EngineSettings().turn_s == 600.0
    assert EngineSettings().call.total == 600.0


@pytest.mark.parametrize(
    "finish",
    [
        sse({"choices": [{"index": 0, "delta": {"content": "pong"}, "finish_reason": "stop"}]}),
        sse({"choices": [{"index": 0, "delta": {"content": "pong"}}]}, "[DONE]"),
    ],
)
async def test_a_reply_that_has_its_end_is_complete_though_the_connection_stays(tmp_path: Path, finish: bytes) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab, wire_server(Wire(finish, hold=True)) as server:
        served_at(lab, server.url)
        async with await driver_of(lab, Timeouts()) as driver, asyncio.timeout(20):
            answer = await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", model=SECONDARY)).result()
        assert answer.text == "pong"


async def test_a_name_that_is_not_resolved_ends_at_the_connections_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    real = socket.getaddrinfo

    def hangs(host: object, *rest: object, **more: object) -> object:
        if host in {"never.example", b"never.example"}:
            let_go.wait(60 * SCALE)
            raise socket.gaierror(socket.EAI_AGAIN, "at last")
        return real(host, *rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "getaddrinfo", hangs)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        served_at(lab, "http://never.example")
        call = Timeouts(connect=LIMIT_S, first_byte=60 * SCALE, idle=60 * SCALE, total=60 * SCALE)
        async with await driver_of(lab, call) as driver:
            async with within(lab):
                with pytest.raises(ProviderError) as caught:
                    await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
            assert caught.value.phase == "connect"
        let_go.set()


async def test_a_server_that_does_not_accept_ends_at_the_connections_limit(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        with socket.socket() as full:
            full.bind(("127.0.0.1", 0))
            full.listen(0)
            taken = [_began_to_connect(full.getsockname()) for _ in range(4)]
            served_at(lab, f"http://127.0.0.1:{full.getsockname()[1]}")
            call = Timeouts(connect=LIMIT_S, first_byte=LIMIT_S, idle=60 * SCALE, total=60 * SCALE)
            async with await driver_of(lab, call) as driver:
                async with within(lab):
                    with pytest.raises(ProviderError) as caught:
                        await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
                assert caught.value.phase in {"connect", "first-byte"}
            for sock in taken:
                sock.close()


class Swallowed:
    """A function that a disk has swallowed: it returns when the test is over."""

    def __init__(self, error: Exception) -> None:
        self._error = error
        self.called = threading.Event()
        self.let_go = threading.Event()

    def __call__(self, *_given: object, **_named: object) -> None:
        self.called.set()
        self.let_go.wait(60 * SCALE)
        raise self._error


@contextmanager
def swallowing(error: Exception | None = None) -> Iterator[Swallowed]:
    """The loop's end waits for its threads: they have to return before."""
    function = Swallowed(error or OSError(errno.EIO, "at last"))
    try:
        yield function
    finally:
        function.let_go.set()


@pytest.mark.parametrize("where", ["the list of sessions", "OpenClaw's runs", "the transcript"])
async def test_a_disk_that_does_not_answer_ends_at_the_turns_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(turn_run, "LAST_S", 0.1)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        with swallowing() as swallowed:
            match where:
                case "the list of sessions":
                    monkeypatch.setattr(resolving, "choose_session", partial(_from_lists_alone, swallowed))
                case "OpenClaw's runs":
                    monkeypatch.setattr(foreign.ForeignRuns, "_judged", swallowed)
                case _:
                    monkeypatch.setattr(attempt, "READ_INLINE_BYTES", 0)
                    monkeypatch.setattr(KeptConversations, "read", swallowed)
            async with within(lab):
                with pytest.raises(TurnTimeoutError) as caught:
                    await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", timeout_s=LIMIT_S)).result()
            assert swallowed.called.is_set()
        phase = "while the session was looked up" if where == "the list of sessions" else "in phase locking"
        assert phase in caught.value.title
        assert lab.provider.requests == []


def _from_lists_alone(swallowed: Swallowed, layout: Layout, session: str, agent: str | None, lists: Lists) -> None:
    """`choose_session`, whose reading of the disk does not return."""
    if isinstance(lists, ReadLists):
        raise NotReadYetError
    swallowed(layout, session, agent)


async def test_a_list_that_cannot_be_written_does_not_keep_the_reply(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn_run, "LIST_S", LIMIT_S)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        with swallowing() as swallowed:
            monkeypatch.setattr(turn_run, "add_entry", swallowed)
            async with within(lab):
                answer = await lab.driver.drive(TurnRequest("elsewhere", "hello", may_create=True)).result()
        assert answer.text
        told = [event.text for event in lab.of(EventKind.NOTICE)]
        assert any("has not been written within" in text for text in told), told


async def test_cancelled_work_that_a_disk_has_swallowed_is_left_to_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locked, "SWALLOWED_S", LIMIT_S)
    with swallowing() as swallowed:
        waiting = asyncio.ensure_future(locked.settled(asyncio.to_thread(swallowed)))
        while not swallowed.called.is_set():
            await asyncio.sleep(0)
        waiting.cancel()
        async with asyncio.timeout(LIMIT_S + SLACK_S):
            with pytest.raises(asyncio.CancelledError):
                await waiting


async def test_a_probe_whose_credential_does_not_answer_is_unknown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "WHOLE_S", LIMIT_S)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        resources = lab.driver.resources
        with swallowing() as swallowed:
            monkeypatch.setattr(resources_module, "_new_client", swallowed)
            monkeypatch.setattr(resources, "_client", None)
            async with within(lab):
                (found, *_) = await probe.probe(
                    resources, "main", resources.auth("main").profiles, mark=False, model=PRIMARY
                )
        assert (found.state, found.latency_ms) == ("unknown", None)
        assert "does not answer" in found.why


def test_a_journal_that_a_disk_has_swallowed_is_left_at_the_end(tmp_path: Path) -> None:
    with swallowing(OperationFailedError("at last")) as swallowed:
        journal = Journal(tmp_path)
        vars(journal)["append"] = swallowed
        writer = JournalWriter(journal)
        writer.put(Event(0, EventKind.NOTICE, "engine", "hello"))
        closing = threading.Thread(target=writer.close, args=(LIMIT_S,))
        closing.start()
        closing.join(LIMIT_S + SLACK_S)
        assert not closing.is_alive()


async def test_closing_waits_a_moment_for_a_look_that_a_disk_has_swallowed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "CLOSE_S", LIMIT_S)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        runs = lab.driver.resources.foreign
        with swallowing() as swallowed:
            monkeypatch.setattr(foreign.ForeignRuns, "_judged", swallowed)
            look = asyncio.ensure_future(runs.look(lab.world.transcript(LIGHTHOUSE)))
            runs._looks["a look"] = look
            async with within(lab):
                await runs.aclose()
        with pytest.raises(OSError, match="at last"):
            await look


def _began_to_connect(address: object) -> socket.socket:
    sock = socket.socket()
    sock.setblocking(False)
    sock.connect_ex(address)  # type: ignore[arg-type]
    return sock


async def test_a_store_that_stays_locked_holds_no_turn_up_and_the_mark_is_written_down(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        for name in ("coral:clawdia", "coral:larry"):
            lab.provider.standing[lab.key(name)] = rate_limited()
        async with LockProcess("auth", lab.world.agent_dir()), asyncio.timeout(20):
            answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
            assert answer.model == SECONDARY
            assert held_by(lab) == []
            settings = EngineSettings(drain_s=0.1)
            async with Driver(lab.world.state_dir, environ={}, home=tmp_path, settings=settings) as other:
                await other.drive(TurnRequest("elsewhere", "hello", model=PRIMARY)).result()
            while len(list(spool_dir(lab.world.state_dir).glob("*.json"))) < 2:
                await asyncio.sleep(0.02)
        await lab.driver.resources.marks.drained()


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_session_lock_of_a_living_program_is_waited_for_no_longer_than_the_limit(
    tmp_path: Path, frozen: bool
) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        other = LockProcess("session", lab.world.transcript(LIGHTHOUSE))
        async with other:
            if frozen:
                os.kill(_pid(other), signal.SIGSTOP)
            began = lab.clock.monotonic()
            async with asyncio.timeout(LIMIT_S + SLACK_S):
                with pytest.raises((SessionWriteLockTimeoutError, TurnTimeoutError, SessionContendedError)):
                    await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", timeout_s=LIMIT_S)).result()
            assert lab.clock.monotonic() - began >= LIMIT_S * 0.9
            assert list((lab.world.state_dir / "clawtop" / "holders").glob("*.json")) == []
            assert lab.provider.requests == []
            if frozen:
                os.kill(_pid(other), signal.SIGCONT)


def _pid(other: LockProcess) -> int:
    assert other.pid is not None
    return other.pid


async def test_a_full_disk_gives_the_reply_back_and_frees_the_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        transcript = lab.world.transcript(LIGHTHOUSE)
        before = transcript.read_bytes()
        real = os.write

        def full(descriptor: int, data: bytes) -> int:
            if Path(f"/proc/self/fd/{descriptor}").readlink() == transcript:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(descriptor, data)

        monkeypatch.setattr(os, "write", full)
        lab.provider.default = Respond("worth keeping")
        run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
        async with asyncio.timeout(20):
            with pytest.raises(OperationFailedError):
                await run.result()
        monkeypatch.undo()
        assert run.unstored == "worth keeping"
        assert transcript.read_bytes() == before
        assert held_by(lab) == []


async def test_the_session_is_free_when_the_run_says_that_it_is_over(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, call=FULL) as lab:
        lab.provider.standing = dict.fromkeys(lab.world.keys.values(), Stall())
        run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
        freed = [held_by(lab) async for item in run if getattr(item, "kind", None) is EventKind.RUN_END]
        with pytest.raises(ProviderError):
            await run.result()
        assert freed == [[]]
