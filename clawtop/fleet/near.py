"""The near side of one host: connect, greet, follow, notice silence, reconnect. One host never delays another."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from clawtop.clock import Clock
from clawtop.core.fleet.clock_settings import ClockSettings
from clawtop.core.fleet.diagnosis import Diagnosis, not_a_stream, why_ended, wrong_version
from clawtop.core.fleet.hosts import Host, HostLink
from clawtop.core.model import Event, Snapshot
from clawtop.core.source import Deliver, Failed
from clawtop.crash import unexpected
from clawtop.errors import StateUnreadableError
from clawtop.fleet.places import GreetingPlaces
from clawtop.fleet.protocol import (
    DEAD_S,
    HEARTBEAT_S,
    MAX_GREETING,
    MAX_LINE,
    MAX_OPENED_LINE,
    STREAM,
    ProtocolError,
    SummaryReader,
    decode,
    encode,
    handshake_of,
    is_whole,
)
from clawtop.fleet.transport import Connect, HostSpec, Pipe
from clawtop.store.own.deltas import SENSELESS, Assembly
from clawtop.text import shown
from clawtop.values import dataclass

GREETING_S = 20.0
"""How long a host may take from the start of the command to its handshake: a jump host, a slow login."""

LONGEST_GREETING_S = 4 * GREETING_S
"""A host that did not answer in time gets twice as long at the next try, up to this."""

STALE_S = 3 * HEARTBEAT_S

PING_S = 60.0
FIRST_PING_S = 1.0
EARLY_MS, LATE_MS = 1_000, 5_000
"""A heartbeat this far ahead of the host's clock as measured, or behind it, may mean that a clock was set."""

ROUNDED_MS = 2
SET_MS = 1_000
"""Clocks that are corrected little by little differ by less between two readings."""

FIRST_RETRY_S, LONGEST_RETRY_S = 1.0, 60.0
STEADY_S = 30.0
"""A connection that lasted this long was good: the next retry is quick again."""

KEPT_EVENTS = 1_000


@dataclass(frozen=True, slots=True)
class _Reading:
    """One reading of a host's clock: how far it is ahead, how long the round trip took, and this machine's clock
    against its monotonic one; all in ms.
    """

    skew: int
    trip: int
    own_offset: int


class NearHost:
    """Supervises the stream of one host until cancelled.

    Mutable state is touched on the event loop only. `host` is what is known; `on_change` is called whenever it
    changed.
    """

    def __init__(
        self,
        spec: HostSpec,
        connect: Connect,
        clock: Clock,
        *,
        salt: str,
        on_change: Callable[[], None],
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.spec = spec
        self.host = Host(spec.name, since=clock.now_ms())
        self._connect = connect
        self._clock = clock
        self._salt = salt
        self._on_change = on_change
        self._chance = chance
        self._pipe: Pipe | None = None
        self._pings: dict[int, float] = {}  # when each was sent, by the monotonic clock
        self._quickest: int | None = None
        self._doubted = asyncio.Event()
        self._settings = ClockSettings()
        self._greeting = True
        self._greeting_s = GREETING_S
        self._reading: _Reading | None = None
        self._opened: tuple[Deliver, Failed] | None = None
        self._summaries = SummaryReader()
        self._assembly = Assembly()
        self._events: deque[Event] = deque(maxlen=KEPT_EVENTS)
        self._heard_at = clock.monotonic()
        self._wanted = asyncio.Event()

    # --- being opened --------------------------------------------------------------------------------------------

    def open(self, deliver: Deliver, failed: Failed) -> None:
        """Ask for whole snapshots; `failed` receives the reason if none come."""
        self._opened = (deliver, failed)
        self._begin_snapshots()
        self.retry_now()

    def close(self) -> None:
        """Go back to summaries only."""
        self._opened = None
        self._assembly = Assembly()
        self._events.clear()
        self._say({"open": False})

    @property
    def latest(self) -> Snapshot | None:
        """The last whole snapshot of a host that is opened."""
        return self._assembly.value

    def retry_now(self) -> None:
        """Do not wait for the next try."""
        self._wanted.set()

    def _begin_snapshots(self) -> None:
        self._assembly = Assembly()
        self._events.clear()
        if self._pipe is not None:
            self._pipe.longest = MAX_OPENED_LINE
        self._say({"open": True})

    def _say(self, message: dict[str, Any]) -> None:
        if self._pipe is not None and self.host.link in {HostLink.LIVE, HostLink.STALE}:
            self._pipe.write(encode(message))

    # --- supervision ---------------------------------------------------------------------------------------------

    async def run(self, places: GreetingPlaces) -> None:
        """Keep the stream up until cancelled. `places` bounds how many hosts are greeted at once."""
        pause = FIRST_RETRY_S
        while True:
            began = self._clock.monotonic()
            trouble = await self._once(places)
            lasted = self._clock.monotonic() - began
            pause = FIRST_RETRY_S if lasted >= STEADY_S else min(LONGEST_RETRY_S, pause * 2)
            wait = pause * (0.5 + self._chance())
            now = self._clock.now_ms()
            self._move(
                link=HostLink.UNREACHABLE,
                since=now if self.host.link is not HostLink.UNREACHABLE else self.host.since,
                why=trouble.why,
                hint=trouble.hint,
                retry_at=now + round(wait * 1000),
            )
            if self._opened is not None:
                self._opened[1](StateUnreadableError(f"{self.spec.name}: {trouble.why}", hint=trouble.hint))
            self._wanted.clear()
            await self._pause(wait, self._wanted)

    async def _pause(self, seconds: float, wanted: asyncio.Event) -> None:
        """Wait for the next try, or until one is wanted now."""
        tasks = [asyncio.create_task(self._clock.sleep(seconds)), asyncio.create_task(wanted.wait())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()

    async def _once(self, places: GreetingPlaces) -> Diagnosis:
        """One connection from its start to its end; why it ended."""
        name, greeted, printed = self.spec.name, False, ""
        trouble: Diagnosis | None = None
        pipe: Pipe | None = None
        try:
            async with places.turn():
                if self.host.link is not HostLink.UNREACHABLE:
                    self._move(link=HostLink.CONNECTING)
                pipe = await self._connect(self.spec, ("stream",))
                async with self._clock.timeout(self._greeting_s):
                    trouble = await self._greet(pipe)
            if trouble is None:
                greeted, self._pipe, self._greeting_s = True, pipe, GREETING_S
                trouble = await self._follow(pipe)
        except TimeoutError:
            trouble = Diagnosis(f"it does not answer in {self._greeting_s:.0f} s")
            self._greeting_s = min(LONGEST_GREETING_S, 2 * self._greeting_s)
        except OSError as error:
            program = self.spec.transport[0] if self.spec.transport else "ssh"
            return Diagnosis(f"{shown(program, 60)} cannot be started here: {shown(error.strerror or error, 120)}")
        except EOFError as end:
            greeted, printed = False, str(end)
        except ProtocolError as error:
            trouble = not_a_stream(name, str(error))
        except Exception as error:  # noqa: BLE001 - what one host provokes never ends the others
            fault = unexpected(error, "following a host")
            trouble = Diagnosis(fault.title, fault.hint)
        finally:
            self._pipe = None
            if pipe is not None:
                code, said = await asyncio.shield(pipe.close())
        ended = why_ended(name, code, said, greeted=greeted, printed=printed)
        return ended if trouble is None else trouble

    async def _greet(self, pipe: Pipe) -> Diagnosis | None:
        """Wait for the handshake, skipping what login scripts print; None if it arrived, else what came instead.

        Raises EOFError, with the first line that came, when the stream ends before one.
        """
        passed, first = 0, ""
        pipe.longest = MAX_GREETING
        while line := await pipe.read_line():
            passed += len(line)
            first = first or line[:200].decode("utf-8", "replace")
            try:
                handshake = handshake_of(decode(line))
            except ProtocolError:
                handshake = None
            if handshake is None:
                if passed > MAX_GREETING:
                    return not_a_stream(self.spec.name, first)
                continue
            if handshake.stream != STREAM:
                return wrong_version(self.spec.name, handshake.stream, STREAM, handshake.clawtop)
            now = self._clock.now_ms()
            self._heard_at = self._clock.monotonic()
            self._quickest = None
            self._pings.clear()
            self._summaries = SummaryReader()
            self._greeting = True
            self._move(
                link=HostLink.LIVE,
                since=now,
                why="",
                hint="",
                retry_at=None,
                skew=handshake.at - now,
                clawtop=shown(handshake.clawtop, 30),
                state_dir=handshake.state_dir,
                heard_at=now,
            )
            pipe.longest = MAX_LINE
            pipe.write(encode({"hello": 1, "salt": self._salt}))
            return None
        raise EOFError(first)

    async def _follow(self, pipe: Pipe) -> Diagnosis | None:
        """Take lines until the stream ends or stays silent for too long."""
        if self._opened is not None:
            self._begin_snapshots()
        silence = asyncio.create_task(self._watch_silence(), name=f"silence of {self.spec.name}")
        reading = asyncio.create_task(self._take_lines(pipe), name=f"stream of {self.spec.name}")
        pinging = asyncio.create_task(self._ping(), name=f"pings of {self.spec.name}")
        try:
            await asyncio.wait({silence, reading}, return_when=asyncio.FIRST_COMPLETED)
            return reading.result() if reading.done() else silence.result()
        finally:
            for task in (silence, reading, pinging):
                task.cancel()
            await asyncio.gather(silence, reading, pinging, return_exceptions=True)

    async def _watch_silence(self) -> Diagnosis:
        while True:
            silent = self._clock.monotonic() - self._heard_at
            if silent >= DEAD_S:
                return Diagnosis(f"no data for {round(silent)} s")
            if silent >= STALE_S and self.host.link is HostLink.LIVE:
                self._move(link=HostLink.STALE, since=self._clock.now_ms(), why="no data")
            await self._clock.sleep(max(0.5, min(STALE_S, DEAD_S) - silent if silent < STALE_S else HEARTBEAT_S))

    async def _ping(self) -> None:
        """Measure the round trip: soon after the greeting, while the line is quiet, then from time to time, and when
        a heartbeat says that a clock was set.
        """
        pause, number = FIRST_PING_S, 0
        while True:
            self._doubted.clear()
            await self._pause(pause, self._doubted)
            number += 1
            self._pings = {number: self._clock.monotonic()}
            self._say({"ping": number})
            pause = PING_S if number >= 3 else FIRST_PING_S

    async def _take_lines(self, pipe: Pipe) -> Diagnosis | None:
        while line := await pipe.read_line():
            self._heard_at = self._clock.monotonic()
            self._take(decode(line))
        return None

    def _take(self, message: dict[str, Any]) -> None:
        """One message. Raises ProtocolError."""
        now = self._clock.now_ms()
        changes: dict[str, Any] = {}
        if self.host.link is HostLink.STALE:
            changes |= {"link": HostLink.LIVE, "since": now, "why": ""}
        if "summary" in message:
            changes["summary"] = summary = self._summaries.take(message["summary"])
            changes["why"] = ""
            self._settings.told(summary.events, now + (self.host.skew or 0), greeting=self._greeting)
            changes["set_since"] = self._settings.since()
            self._greeting = False
        if "problem" in message:
            changes["why"] = shown(message["problem"], 200)
        if is_whole(message.get("pong")) and is_whole(message.get("at")):
            changes |= self._measured(int(message["pong"]), int(message["at"]), now)
        if is_whole(message.get("beat")):
            off = message["beat"] - now - (self.host.skew or 0)
            if not -LATE_MS < off < EARLY_MS:
                self._doubted.set()
        self.host = replace(self.host, heard_at=now)
        if changes:
            self._move(**changes)
        if "records" in message and self._opened is not None:
            self._deliver(message["records"])

    def _measured(self, number: int, theirs: int, now: int) -> dict[str, Any]:
        """Skew from the quickest round trip: half of it is the most that the measurement can be wrong by. A slower one
        counts when both cannot be right, since then a clock was set.
        """
        sent = self._pings.pop(number, None)
        if sent is None:
            return {}
        trip = round((self._clock.monotonic() - sent) * 1000)
        skew = theirs - now + trip // 2
        slower = self._quickest is not None and trip > self._quickest
        if slower and abs(skew - (self.host.skew or 0)) <= (trip + (self._quickest or 0)) // 2 + ROUNDED_MS:
            self._settings.agreed()
            return {}
        self._quickest = trip
        return {"skew": skew, "lag": trip // 2, **self._compared(_Reading(skew, trip, self._own_offset(now)))}

    def _own_offset(self, now: int) -> int:
        """This machine's clock against its monotonic one, in ms: moved only by whoever sets the clock."""
        return now - round(self._clock.monotonic() * 1000)

    def _compared(self, reading: _Reading) -> dict[str, Any]:
        """Whether the host's clock was set since the last reading; this machine's own being set does not count."""
        before, self._reading = self._reading, reading
        by = 0 if before is None else reading.skew - before.skew + reading.own_offset - before.own_offset
        if before is None or abs(by) <= SET_MS + (reading.trip + before.trip) // 2:
            self._settings.agreed()
            return {}
        self._settings.was_set(by)
        return {"set_since": self._settings.since()}

    def _deliver(self, records: object) -> None:
        """Records of one snapshot become one delivery, under the name that the operator knows. Raises ProtocolError."""
        try:
            for record in records if isinstance(records, list) else ():
                value = self._assembly.take(record)
                if isinstance(value, Event):
                    self._events.append(value)
        except SENSELESS as error:
            raise ProtocolError(f"an invalid snapshot ({type(error).__name__})") from error
        if self._assembly.value is not None and self._opened is not None:
            named = replace(self._assembly.value, host=self.host.name, events=tuple(self._events))
            self._opened[0](named)

    def _move(self, **changes: Any) -> None:
        moved = replace(self.host, **changes)
        if moved != self.host:
            self.host = moved
            self._on_change()


class RemoteSource:
    """A host's snapshots in place of the hub: the source of that host's dashboard."""

    def __init__(self, near: NearHost) -> None:
        self._near = near

    def poke(self) -> None:
        """Read now; a host that is not reached is tried at once."""
        self._near.retry_now()

    async def run(self, deliver: Deliver, failed: Failed) -> None:
        """Deliver until cancelled; summaries go on afterwards."""
        self._near.open(deliver, failed)
        try:
            await asyncio.Event().wait()
        finally:
            with suppress(OSError):
                self._near.close()


class SkewedClock(Clock):
    """A host's clock as far as it was measured: ages and countdowns of its snapshots are right by it."""

    def __init__(self, clock: Clock, near: NearHost) -> None:
        self._clock = clock
        self._near = near

    def now_ms(self) -> int:
        return self._clock.now_ms() + (self._near.host.skew or 0)

    def monotonic(self) -> float:
        return self._clock.monotonic()

    def pause(self, seconds: float) -> None:
        self._clock.pause(seconds)

    async def sleep(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
