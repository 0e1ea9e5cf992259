"""One host, supervised: greeting, silence, garbage, retries, skew; on a clock that the test moves."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import asdict
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.core.fleet.merged import timeline
from clawtop.core.fleet.summary import EventBrief
from clawtop.core.model import Event, EventKind, Snapshot
from clawtop.errors import ClawtopError, UsageError
from clawtop.fleet.fleet import Fleet
from clawtop.fleet.lines import LineBuffer
from clawtop.fleet.near import GREETING_S, STALE_S, NearHost, RemoteSource, SkewedClock
from clawtop.fleet.places import GreetingPlaces
from clawtop.fleet.protocol import DEAD_S, HEARTBEAT_S, MAX_LINE, ProtocolError, encode
from clawtop.fleet.transport import HostSpec, far_command, host_spec
from clawtop.store.own.deltas import Changes
from tests.support.clocks import ManualClock, settle

pytestmark = pytest.mark.anyio

HELLO = {"clawtop_stream": 2, "clawtop": "0.2.0", "host": "far", "state_dir": "/s", "at": 0}
SUMMARY = {"at": 5, "level": 1, "why": "one profile is cooling", "usable": 2, "known": 3}


class FakePipe:
    """A far command that says what the test lets it say."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[bytes | Exception] = asyncio.Queue()
        self.heard: list[dict[str, object]] = []
        self.end: tuple[int | None, str] = (None, "")
        self.closed = False
        self.longest = MAX_LINE

    def say(self, message: dict[str, object] | bytes) -> None:
        self.said.put_nowait(message if isinstance(message, bytes) else encode(message).rstrip())

    def hang_up(self, code: int | None = 255, stderr: str = "") -> None:
        self.end = (code, stderr)
        self.said.put_nowait(b"")

    async def read_line(self) -> bytes:
        line = await self.said.get()
        if isinstance(line, Exception):
            raise line
        if len(line) > self.longest:
            raise ProtocolError(f"a line of more than {self.longest} bytes")
        return line

    def write(self, line: bytes) -> None:
        self.heard.append(json.loads(line))

    async def close(self) -> tuple[int | None, str]:
        self.closed = True
        return self.end


class World:
    """A near host, its pipes in the order in which they were opened, and the clock."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.pipes: list[FakePipe] = []
        self.refusal: OSError | None = None
        self.near = NearHost(HostSpec("far"), self, self.clock, salt="ab12", on_change=lambda: None, chance=lambda: 0.5)

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> FakePipe:
        assert tuple(words) == ("stream",)
        if self.refusal is not None:
            raise self.refusal
        self.pipes.append(FakePipe())
        return self.pipes[-1]

    @property
    def pipe(self) -> FakePipe:
        return self.pipes[-1]

    @property
    def host(self) -> Host:
        return self.near.host

    async def greeted(self, at: int | None = None) -> None:
        self.pipe.say({**HELLO, "at": self.clock.now_ms() if at is None else at})
        await settle()


@asynccontextmanager
async def _world() -> AsyncIterator[World]:
    world = World()
    task = asyncio.create_task(world.near.run(GreetingPlaces(world.clock, 1)))
    await settle()
    try:
        yield world
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_an_unexpected_error_on_one_host_is_its_own_reason_and_it_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would end the supervision of every host, and the screen would stay as it was."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    async with _world() as world:
        await world.greeted()
        world.pipe.said.put_nowait(RecursionError("deep"))
        await settle()
        assert world.host.link is HostLink.UNREACHABLE
        assert world.host.why.startswith("unexpected error while following a host: RecursionError")
        await world.clock.advance(10)
        await world.greeted()
        assert (world.host.link, world.host.why) == (HostLink.LIVE, "")


@given(st.lists(st.sampled_from([b"", b"a", b"bc", b"\r", b"{}"]), max_size=12), st.integers(1, 9))
def test_lines_are_the_same_however_they_are_cut_into_pieces(lines: list[bytes], size: int) -> None:
    said, buffer, taken = b"\n".join(lines), LineBuffer(), list[bytes]()
    for at in range(0, len(said), size):
        buffer.feed(said[at : at + size])
        while (line := buffer.next_line(20)) is not None:
            taken.append(line)
    assert [*taken, *filter(None, [buffer.last()])] == [line for line in lines if line]


@pytest.mark.parametrize("said", [b"abcdef", b"abcdef\n", b"\n" * 6], ids=["unfinished", "whole", "blank"])
def test_a_line_or_a_row_of_blank_ones_beyond_the_limit_is_refused(said: bytes) -> None:
    buffer = LineBuffer()
    buffer.feed(said)
    with pytest.raises(ProtocolError):
        buffer.next_line(5)


async def test_a_host_is_live_after_its_greeting_and_gets_the_salt() -> None:
    async with _world() as world:
        assert world.host.link is HostLink.CONNECTING
        await world.greeted()
        assert (world.host.link, world.host.clawtop, world.host.state_dir) == (HostLink.LIVE, "0.2.0", "/s")
        assert world.pipe.heard[0] == {"hello": 1, "salt": "ab12"}
        assert world.host.level == 3, "nothing is known of it yet"
        world.pipe.say({"summary": SUMMARY})
        await settle()
        assert world.host.level == 1
        world.pipe.say({"summary": {"at": 9, "level": 0}})
        await settle()
        assert world.host.summary is not None
        assert (world.host.level, world.host.summary.usable) == (0, 2)


async def test_banners_before_the_greeting_are_passed_over() -> None:
    async with _world() as world:
        world.pipe.say(b"Welcome to far!")
        world.pipe.say(b"{not json")
        await world.greeted()
        assert world.host.link is HostLink.LIVE


async def test_a_banner_without_end_is_not_a_stream() -> None:
    async with _world() as world:
        for _ in range(100):
            world.pipe.say(b"y" * 1000)
        await settle()
        assert world.host.link is HostLink.UNREACHABLE
        assert "something other" in world.host.why


async def test_a_host_that_never_greets_is_given_up_in_time() -> None:
    async with _world() as world:
        await world.clock.advance(GREETING_S + 0.1)
        assert world.host.link is HostLink.UNREACHABLE
        assert "in 20 s" in world.host.why
        assert world.pipe.closed


async def test_a_host_that_did_not_greet_in_time_gets_twice_as_long_until_it_has_greeted() -> None:
    async with _world() as world:
        await world.clock.advance(GREETING_S + 0.1)
        await world.clock.advance(2.0)
        assert len(world.pipes) == 2
        await world.clock.advance(2 * GREETING_S - 1.0)
        assert not world.pipe.closed, "a far machine that is busy needs longer, and is not started again for nothing"
        await world.greeted()
        assert world.host.link is HostLink.LIVE
        world.pipe.hang_up()
        await settle()
        await world.clock.advance(2.0)
        await world.clock.advance(GREETING_S + 0.1)
        assert len(world.pipes) == 3
        assert world.pipe.closed


async def test_silence_makes_it_stale_then_unreachable_and_a_line_brings_it_back() -> None:
    async with _world() as world:
        await world.greeted()
        world.pipe.say({"summary": SUMMARY})
        await settle()
        await world.clock.advance(STALE_S + HEARTBEAT_S)
        assert (world.host.link, world.host.level) == (HostLink.STALE, 3)
        world.pipe.say({"beat": 1})
        await settle()
        assert (world.host.link, world.host.level) == (HostLink.LIVE, 1)
        await world.clock.advance(DEAD_S + 2 * HEARTBEAT_S)
        assert len(world.pipes) == 2 or world.host.link is HostLink.UNREACHABLE
        assert world.pipes[0].closed
        assert world.host.summary is not None, "what was last known stays to be seen"


async def test_retries_wait_longer_each_time_and_start_anew_after_a_steady_while() -> None:
    async with _world() as world:
        for tries in range(1, 5):
            world.pipe.hang_up(255, "ssh: connect to host far port 22: Connection refused")
            await settle()
            assert world.host.link is HostLink.UNREACHABLE
            assert "refused" in world.host.why
            assert world.host.retry_at is not None
            assert world.host.retry_at - world.clock.now_ms() == 2**tries * 1000
            await world.clock.advance(2**tries)
            assert len(world.pipes) == tries + 1
        await world.greeted()
        assert world.host.retry_at is None
        for _ in range(10):
            await world.clock.advance(HEARTBEAT_S)
            world.pipe.say({"beat": 1})
            await settle()
        world.pipe.hang_up()
        await settle()
        assert world.host.retry_at is not None
        assert world.host.retry_at - world.clock.now_ms() == 1_000


@pytest.mark.parametrize(
    "line",
    [
        b"\x1b]0;owned\x07",
        b"[" * 5_000,
        b'{"summary": 7}',
        b'{"summary": {"at": "x"}}',
        b"z" * (MAX_LINE + 1),
        b'"a string"',
    ],
)
async def test_garbage_ends_the_connection_and_nothing_of_it_is_shown_raw(line: bytes) -> None:
    async with _world() as world:
        await world.greeted()
        world.pipe.say(line)
        await settle()
        assert world.host.link is HostLink.UNREACHABLE
        assert world.pipes[0].closed
        assert world.host.why.isprintable()


@pytest.mark.parametrize("message", [{"pong": True, "at": 1}, {"pong": 1 << 80, "at": 1}, {"beat": "x"}, {"new": []}])
async def test_what_is_not_known_is_ignored(message: dict[str, object]) -> None:
    async with _world() as world:
        await world.greeted()
        world.pipe.say(message)
        await settle()
        assert world.host.link is HostLink.LIVE


async def test_the_other_clock_is_measured_by_the_quickest_round_trip() -> None:
    async with _world() as world:
        await world.greeted(world.clock.now_ms() + 60_500)
        await world.clock.advance(1.0)
        assert world.pipe.heard[-1] == {"ping": 1}
        await world.clock.advance(0.2)
        world.pipe.say({"pong": 1, "at": world.clock.now_ms() + 60_000 - 100})
        await settle()
        assert (world.host.skew, world.host.lag) == (60_000, 100)
        await world.clock.advance(0.8)
        await world.clock.advance(0.9)
        world.pipe.say({"pong": 2, "at": world.clock.now_ms() + 60_000 - 880})
        await settle()
        assert world.host.skew == 60_000, "a slower answer measures worse"
        assert SkewedClock(world.clock, world.near).now_ms() == world.clock.now_ms() + 60_000


@pytest.mark.parametrize("jump_ms", [300_000, -300_000, 6_000, -6_000])
async def test_a_clock_that_is_set_while_it_is_watched_is_measured_anew_at_the_next_heartbeat(jump_ms: int) -> None:
    async with _world() as world:
        await world.greeted()
        await world.clock.advance(1.0)
        world.pipe.say({"pong": 1, "at": world.clock.now_ms()})
        await settle()
        assert world.host.skew == 0
        world.pipe.say({"beat": world.clock.now_ms() + jump_ms})
        await settle()
        assert world.pipe.heard[-1] == {"ping": 2}
        await world.clock.advance(0.05)  # slower than the first, and still the better one
        world.pipe.say({"pong": 2, "at": world.clock.now_ms() + jump_ms - 25})
        await settle()
        assert world.host.skew == jump_ms
        before = len(world.pipe.heard)
        world.pipe.say({"beat": world.clock.now_ms() + jump_ms})
        await settle()
        assert len(world.pipe.heard) == before, "it is known now"


async def test_this_machines_clock_being_set_during_a_round_trip_does_not_spoil_it() -> None:
    async with _world() as world:
        await world.greeted(world.clock.now_ms())
        await world.clock.advance(1.0)
        theirs = world.clock.now_ms()
        world.clock.set_wall(world.clock.now_ms() - 300_000)
        await world.clock.advance(0.02)
        world.pipe.say({"pong": 1, "at": theirs + 10})
        await settle()
        assert (world.host.skew, world.host.lag) == (300_000, 10)


async def test_a_slow_line_is_no_clock_that_was_set() -> None:
    async with _world() as world:
        await world.greeted()
        await world.clock.advance(1.0)
        world.pipe.say({"pong": 1, "at": world.clock.now_ms()})
        await settle()
        before = list(world.pipe.heard)
        world.pipe.say({"beat": world.clock.now_ms() - 4_000})
        await settle()
        assert world.pipe.heard == before


async def test_an_opened_host_sends_snapshots_and_events_and_a_lost_one_says_why() -> None:
    got: list[Snapshot] = []
    errors: list[ClawtopError] = []
    async with _world() as world:
        await world.greeted()
        shown = asyncio.create_task(RemoteSource(world.near).run(got.append, errors.append))
        await settle()
        assert world.pipe.heard[-1] == {"open": True}
        first = Snapshot(1, 5, "far", "/s", None, "2026.5.20")
        changes = Changes()
        world.pipe.say({"records": changes.of(first)})
        await settle()
        event = Event(7, EventKind.ROTATE, "engine", "next account")
        world.pipe.say({"records": changes.of(Snapshot(2, 8, "far", "/s", None, "2026.9.6", events=(event,)))})
        await settle()
        assert [(item.openclaw_version, item.events) for item in got] == [("2026.5.20", ()), ("2026.9.6", (event,))]
        world.pipe.hang_up()
        await settle()
        assert "connection was lost" in errors[0].title
        await world.clock.advance(2.0)
        await world.greeted()
        assert {"open": True} in world.pipe.heard, "it goes on after the connection came back"
        shown.cancel()
        await asyncio.gather(shown, return_exceptions=True)
        assert world.pipe.heard[-1] == {"open": False}


async def test_the_first_snapshot_of_a_large_host_is_taken_though_its_line_was_waited_for_before() -> None:
    got: list[Snapshot] = []
    async with _world() as world:
        await world.greeted()
        await settle()
        world.near.open(got.append, lambda _e: None)
        large = Snapshot(1, 5, "far" * MAX_LINE, "/s", None, "2026.9.6")
        world.pipe.say({"records": Changes().of(large)})
        await settle()
        assert (world.host.link, len(got)) == (HostLink.LIVE, 1)
        world.near.close()
        world.pipe.say({"records": [], "padding": "x" * MAX_LINE})  # it was on its way
        await settle()
        assert world.host.link is HostLink.LIVE


async def test_a_snapshot_that_makes_no_sense_ends_the_connection() -> None:
    async with _world() as world:
        await world.greeted()
        world.near.open(lambda _s: None, lambda _e: None)
        world.pipe.say({"records": [{"at": 1, "set": {"sessions": {"splice": [5, 9, []]}}}]})
        await settle()
        assert world.host.link is HostLink.UNREACHABLE


async def test_a_command_that_is_missing_here_is_said() -> None:
    world = World()
    world.refusal = OSError(2, "No such file or directory")
    task = asyncio.create_task(world.near.run(GreetingPlaces(world.clock, 1)))
    await settle()
    assert "ssh cannot be started here: No such file" in world.host.why
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_one_host_that_hangs_delays_no_other() -> None:
    clock = ManualClock()
    pipes: dict[str, FakePipe] = {}

    async def connect(spec: HostSpec, words: Sequence[str]) -> FakePipe:
        pipes[spec.name] = FakePipe()
        return pipes[spec.name]

    fleet = Fleet([HostSpec("hangs"), HostSpec("good")], connect, clock)
    seen: list[tuple[Host, ...]] = []
    task = asyncio.create_task(fleet.run(seen.append))
    await settle()
    pipes["good"].say({**HELLO, "at": clock.now_ms()})
    pipes["good"].say({"summary": SUMMARY})
    await settle()
    await clock.advance(0.3)
    assert [(host.name, host.link) for host in seen[-1]] == [("hangs", HostLink.CONNECTING), ("good", HostLink.LIVE)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


def test_a_host_named_twice_is_refused() -> None:
    with pytest.raises(UsageError, match="named twice: a"):
        Fleet([HostSpec("a"), HostSpec("a")], World(), ManualClock())


@pytest.mark.parametrize("name", ["-oProxyCommand=sh", "a b;c'", "", "$(x)", "a\nb", "-", "a;b"])
def test_names_that_a_shell_or_ssh_would_misread_are_refused(name: str) -> None:
    with pytest.raises(UsageError):
        host_spec(name)


def test_the_command_is_ssh_or_what_the_operator_says() -> None:
    ssh = far_command(host_spec("web-1"), ["stream"], None)
    assert ssh[0] == "ssh"
    assert ssh[-3:] == ["--", "web-1", "clawtop stream"]
    assert "BatchMode=yes" in ssh
    assert far_command(host_spec("pod kubectl exec -i pod-0 --"), ["stream"], None) == [
        *("kubectl", "exec", "-i", "pod-0", "--", "clawtop", "stream")
    ]
    assert far_command(host_spec("box", "docker exec -i {host}"), ["status", "a b"], None)[:4] == [
        *("docker", "exec", "-i", "box")
    ]
    quoted = far_command(host_spec("web-1"), ["clear", "a;rm -rf"], None)
    assert quoted[-1] == "clawtop clear 'a;rm -rf'"


class SetClock:
    """A host whose clock is ahead of ours by `ahead` ms, followed by a near side that has measured it."""

    def __init__(self, world: World, ahead: int = 0) -> None:
        self.world, self.ahead = world, ahead
        self.events: list[EventBrief] = []

    async def greeted(self) -> None:
        await self.world.greeted(self.world.clock.now_ms() + self.ahead)
        self.tell()
        await settle()

    def happens(self, text: str, *, told: bool = True) -> int:
        """When it happened, by our clock."""
        at = self.world.clock.now_ms()
        self.events.append(EventBrief(at + self.ahead, "rotate", text))
        if told:
            self.tell()
        return at

    def tell(self) -> None:
        self.world.pipe.say({"summary": {**SUMMARY, "events": [asdict(event) for event in self.events]}})

    async def measured(self) -> None:
        """Heartbeats come until the next ping, which is answered at once."""
        heard = len(self.world.pipe.heard)
        for _ in range(121):
            self.world.pipe.say({"beat": self.world.clock.now_ms() + self.ahead})
            await settle()
            if len(self.world.pipe.heard) > heard:
                break
            await self.world.clock.advance(0.5)
        self.world.pipe.say({"pong": self.world.pipe.heard[-1]["ping"], "at": self.world.clock.now_ms() + self.ahead})
        await settle()

    def shown(self) -> dict[str, int]:
        return {item.moment.text: item.moment.at for item in timeline().of([self.world.host])}


@pytest.mark.parametrize("jump_ms", [3_600_000, -3_600_000, 4_000, -4_000])
async def test_events_from_before_a_clock_was_set_keep_their_place(jump_ms: int) -> None:
    async with _world() as world:
        far = SetClock(world, ahead=700)
        began = {"history": far.happens("history", told=False)}
        await world.clock.advance(10.0)
        await far.greeted()
        await far.measured()
        began["before"] = far.happens("before")
        await world.clock.advance(2.0)
        far.ahead += jump_ms
        began["between"] = far.happens("between")
        await far.measured()
        began["after"] = far.happens("after")
        await settle()
        assert far.shown() == began
        far.ahead -= jump_ms
        await far.measured()
        began["again"] = far.happens("again")
        await settle()
        assert far.shown() == began


async def test_this_machines_clock_being_set_moves_no_event_of_a_host_against_its_clock() -> None:
    async with _world() as world:
        far = SetClock(world)
        await far.greeted()
        await far.measured()
        happened = far.happens("before")
        await settle()
        world.clock.set_wall(world.clock.now_ms() + 3_600_000)
        far.ahead -= 3_600_000
        await far.measured()
        assert far.shown() == {"before": happened + 3_600_000}


async def test_a_clock_that_is_set_while_its_host_is_away_moves_none_of_the_events_that_were_told() -> None:
    async with _world() as world:
        far = SetClock(world)
        await far.greeted()
        await far.measured()
        began = {"before": far.happens("before")}
        await settle()
        world.pipe.hang_up()
        await world.clock.advance(30.0)
        far.ahead += 600_000
        began["away"] = far.happens("away", told=False)
        await world.clock.advance(60.0)
        await far.greeted()
        await far.measured()
        assert far.shown() == began


async def test_a_clock_that_drifts_a_little_was_not_set() -> None:
    async with _world() as world:
        far = SetClock(world)
        await far.greeted()
        await far.measured()
        far.happens("before")
        far.ahead += 400
        await far.measured()
        assert world.host.set_since == {}
