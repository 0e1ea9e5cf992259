"""Why a live gateway gives no answer: starting, stopping, busy, frozen or paused.

Its port shows that it does not answer; its process shows why: it is stopped by a signal, is using CPU, or wants CPU
and does not get it because the machine is overloaded.
"""

from __future__ import annotations

from enum import StrEnum

from clawtop.core.model import Event, Gateway, GatewayState, ProcessCondition, Serving, Snapshot

STARTING_MS = 90_000
"""A gateway takes up to half a minute to answer after its start; longer on a slow machine."""

BUSY_SHARE = 0.1
"""Share of one core, used and waited for. A deadlocked process wants none; a working one on an overloaded machine gets
little (2026.5.20 was seen with 0.14, its event loop 13 s late).
"""

BUSY_MS = 60_000
"""A gateway that answers nothing for this long is out of service, whatever it is working on."""

YOUNG_SILENCE_MS = 15_000
"""A gateway that has begun to answer continues loading for a while; until it is `STARTING_MS` old it may be silent for
this long.
"""

UNSEEN_MS = 5_000
"""A share of a core needs two measurements: for this long, one has to be enough."""


class Silence(StrEnum):
    """STARTING: it has not answered yet. CLOSED: nothing listens, long after its start. BUSY: it is working and
    answers late. FROZEN: it connects but never answers. PAUSED: its process is stopped by a signal, debugger or
    freezer.
    """

    STARTING = "starting"
    CLOSED = "closed"
    BUSY = "busy"
    FROZEN = "frozen"
    PAUSED = "paused"


def silence_of(gateway: Gateway, now: int) -> Silence | None:
    """Why a live gateway does not answer at `now` (ms since the epoch); None if it does, or is not queried.

    A paused process does not answer, whatever it answered last.
    """
    if gateway.state is not GatewayState.LIVE:
        return None
    if gateway.usage is not None and gateway.usage.condition is ProcessCondition.PAUSED:
        return Silence.PAUSED
    if gateway.serving not in {Serving.SILENT, Serving.REFUSES}:
        return None
    young = gateway.started_at is not None and now - gateway.started_at <= STARTING_MS
    if gateway.serving is Serving.REFUSES:
        return Silence.STARTING if young else Silence.CLOSED
    if young and not gateway.has_answered:
        return Silence.STARTING
    return Silence.BUSY if _is_patient(gateway, now, young=young) else Silence.FROZEN


def stop_told(snapshot: Snapshot) -> Event | None:
    """Where a live gateway logged that it was told to end or to restart; None if it was not, or has started since."""
    if snapshot.gateway.state is not GatewayState.LIVE:
        return None
    last = next((event for event in reversed(snapshot.events) if event.data.get("step") in _LIFE), None)
    since = snapshot.gateway.started_at or 0
    return last if last is not None and last.data["step"] == "stopping" and last.at >= since else None


_LIFE = frozenset({"start", "ready", "stopping"})


def turns_at(gateway: Gateway) -> tuple[int, ...]:
    """The times (ms since the epoch) at which `silence_of` may change without any event."""
    spans = (UNSEEN_MS, YOUNG_SILENCE_MS, BUSY_MS)
    ends = [gateway.silent_since + span for span in spans] if gateway.silent_since is not None else []
    if gateway.serving in {Serving.SILENT, Serving.REFUSES} and gateway.started_at is not None:
        ends.append(gateway.started_at + STARTING_MS)
    return tuple(ends)


def _is_patient(gateway: Gateway, now: int, *, young: bool) -> bool:
    """Whether it may be silent because it is busy."""
    silent_ms = now - gateway.silent_since if gateway.silent_since is not None else 0
    if young and silent_ms < YOUNG_SILENCE_MS:
        return True
    if gateway.usage is None:
        return False
    if gateway.usage.cpu is None:
        return silent_ms < UNSEEN_MS
    return gateway.usage.cpu + (gateway.usage.waiting or 0) >= BUSY_SHARE and silent_ms < BUSY_MS
