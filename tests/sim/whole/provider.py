"""A provider in the place of the network: every account behaves as the seed says, and every request is remembered."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field

from clawtop.clock import Clock
from clawtop.engine.providers.base import Endpoint, Finished, Prompt, ReplyPart, TextDelta, Timeouts, Usage
from clawtop.engine.providers.errors import ErrorKind, ProviderError, broke_off, from_status
from tests.sim.whole.process import Process

MOODS = ("well", "limited", "broke", "refused", "overloaded", "failing", "stalls", "breaks off", "hangs midway")
PARTITION = "partition"


@dataclass
class Request:
    """One request: `run` as its message names it, `mood` as it was answered; `began`, `ended`: loop seconds."""

    run: str
    profile: str | None
    model: str
    mood: str
    process: Process | None
    began: float = 0.0
    ended: float | None = None


@dataclass
class Provider:
    """All providers. `moods`: how an account behaves now, by profile; `cut`: the network is down."""

    chance: random.Random
    clock: Clock
    profiles: dict[str, str]
    moods: dict[str, str] = field(default_factory=dict)
    cut: bool = False
    requests: list[Request] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def mood_of(self, profile: str | None) -> str:
        return PARTITION if self.cut else self.moods.get(profile or "", "well")


@dataclass
class Client:
    """What a process asks with, in the place of `engine.providers.http.ProviderClient`."""

    provider: Provider
    process: Process
    heard: list[Request] = field(default_factory=list)

    async def aclose(self) -> None:
        """There is nothing to close."""

    async def stream(self, endpoint: Endpoint, prompt: Prompt, timeouts: Timeouts) -> AsyncGenerator[ReplyPart, None]:
        provider, sleep = self.provider, self.provider.clock.sleep
        key = endpoint.secret.reveal() if endpoint.secret is not None else ""
        profile = provider.profiles.get(key)
        mood = provider.mood_of(profile)
        run = prompt.messages[-1].text.rpartition("\n\n")[2].partition(" ")[0]
        request = Request(run, profile, prompt.model, mood, self.process, provider.clock.monotonic())
        provider.requests.append(request)
        provider.counts[f"provider: {mood}"] += 1
        name = endpoint.provider
        await sleep(provider.chance.choice((0.003, 0.05, 0.4, 2.0)))
        if mood in ANSWERS:
            raise from_status(name, *ANSWERS[mood], now_ms=provider.clock.now_ms(), elapsed_s=0.1)
        if mood == PARTITION:
            raise ProviderError(ErrorKind.TRANSPORT, "connection refused", provider=name, code="ECONNREFUSED")
        if mood == "stalls":
            await self._out_of_time(name, "first-byte", timeouts.first_byte, timeouts.total)
        for number in range(3):
            yield TextDelta(f"{run} part {number} of {len(provider.requests)}. ")
            await sleep(provider.chance.choice((0.001, 0.02, 0.3)))
            if mood == "breaks off":
                raise broke_off(name)
            if mood == "hangs midway":
                await self._out_of_time(name, "idle", timeouts.idle, timeouts.total)
        request.ended = provider.clock.monotonic()
        yield Finished("stop", Usage(10, 5), model=prompt.model)

    async def _out_of_time(self, name: str, phase: str, limit: float | None, total: float | None) -> None:
        seconds = min(limit or 60.0, total or 60.0)
        await self.provider.clock.sleep(seconds)
        which = "total" if total is not None and total <= (limit or 60.0) else phase
        raise ProviderError(ErrorKind.TIMEOUT, f"no answer within {seconds:g} s", provider=name, phase=which)


ANSWERS: dict[str, tuple[int, dict[str, str], str]] = {
    "limited": (429, {"retry-after": "20"}, '{"error":{"type":"rate_limit_error","message":"rate limited"}}'),
    "broke": (402, {}, '{"error":{"type":"billing_error","message":"Your credit balance is too low"}}'),
    "refused": (401, {}, '{"error":{"type":"authentication_error","message":"invalid x-api-key"}}'),
    "overloaded": (529, {}, '{"error":{"type":"overloaded_error","message":"Overloaded"}}'),
    "failing": (500, {}, '{"error":{"type":"api_error","message":"Internal server error"}}'),
}
