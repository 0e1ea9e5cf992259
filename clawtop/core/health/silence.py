"""Why a live gateway gives no answer: starting, busy, frozen or paused.

Its port tells that nothing is answered; its process tells why: whether it is stopped by a signal, takes a share of a
core, or would take one and does not get it on a machine where many want to.
"""

from __future__ import annotations

from enum import StrEnum

from clawtop.core.model import Gateway, GatewayState, ProcessCondition, Serving

STARTING_MS = 90_000
"""A gateway takes up to half a minute to answer after its start, on a slow machine longer."""

BUSY_SHARE = 0.1
"""Of a core, used and wanted together. A process that waits for something that never comes wants none; one that works
on a machine where many do gets little (2026.5.20 was seen with 0.14, its event loop 13 s late)."""

BUSY_MS = 60_000
"""A gateway that answers nothing for this long serves nobody, whatever it is working on."""

YOUNG_SILENCE_MS = 15_000
"""A gateway that began to answer goes on loading for a while; until it is `STARTING_MS` old it may fall silent so
long."""

UNSEEN_MS = 5_000
"""A share of a core is one of the time between two looks: so long, one look has to be enough."""


class Silence(StrEnum):
    """STARTING: it has not answered yet. CLOSED: nothing listens, long after its start. BUSY: it works, and answers
    late. FROZEN: it connects but never answers. PAUSED: its process is stopped by a signal, debugger or freezer.
    """

    STARTING = "starting"
    CLOSED = "closed"
    BUSY = "busy"
    FROZEN = "frozen"
    PAUSED = "paused"


def silence_of(gateway: Gateway, now: int) -> Silence | None:
    """Why a gateway that lives gives no answer at `now` (ms since the epoch); None for one that does, or is not asked.

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


def turns_at(gateway: Gateway) -> tuple[int, ...]:
    """The moments (ms since the epoch) at which `silence_of` may say something else, though nothing happens."""
    spans = (UNSEEN_MS, YOUNG_SILENCE_MS, BUSY_MS)
    ends = [gateway.silent_since + span for span in spans] if gateway.silent_since is not None else []
    if gateway.serving in {Serving.SILENT, Serving.REFUSES} and gateway.started_at is not None:
        ends.append(gateway.started_at + STARTING_MS)
    return tuple(ends)


def _is_patient(gateway: Gateway, now: int, *, young: bool) -> bool:
    """Whether its silence may be that of one at work."""
    silent_ms = now - gateway.silent_since if gateway.silent_since is not None else 0
    if young and silent_ms < YOUNG_SILENCE_MS:
        return True
    if gateway.usage is None:
        return False
    if gateway.usage.cpu is None:
        return silent_ms < UNSEEN_MS
    return gateway.usage.cpu + (gateway.usage.waiting or 0) >= BUSY_SHARE and silent_ms < BUSY_MS
