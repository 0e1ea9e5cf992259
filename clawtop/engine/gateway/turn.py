"""A turn that the gateway itself runs: `chat.send`, with its events streamed (2026.5.18 to 2026.9.6).

The gateway answers with its own models, profiles and queue. Everything reported is what the gateway says; ending the
wait does not end the turn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import Gateway
from clawtop.engine.gateway.client import connected
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.wire import WRITE, part, text
from clawtop.text import shown

LONGEST_TEXT = 4 * 1024 * 1024
"""Maximum characters of a reply; the rest is left out."""


class TurnPhase(StrEnum):
    """STARTED: the gateway accepted the message (`text`: its status). PHASE: what it is doing. DELTA: more of the
    reply. FINAL: the whole reply. FAILED, ABORTED: how else it ended (`text`: why).
    """

    STARTED = "started"
    PHASE = "phase"
    DELTA = "delta"
    FINAL = "final"
    FAILED = "failed"
    ABORTED = "aborted"


ENDS = frozenset({TurnPhase.FINAL, TurnPhase.FAILED, TurnPhase.ABORTED})


@dataclass(frozen=True, slots=True)
class TurnTold:
    """One event of the turn. `text` of DELTA and FINAL is the model's own text: not yet safe."""

    kind: TurnPhase
    text: str
    run_id: str


async def send_turn(
    door: Door, gateway: Gateway, key: str, message: str, *, run_id: str, clock: Clock
) -> AsyncGenerator[TurnTold, None]:
    """Send a message to a session and report its progress until the turn has ended.

    Args:
        run_id: names the turn; a message that is sent twice under one name is accepted once.

    Raises:
        GatewayCallError: it was not accepted, or the gateway stopped reporting.
    """
    params = {"sessionKey": key, "message": message, "idempotencyKey": run_id}
    so_far = ""
    async with (
        connected(door, door.knock(gateway), (WRITE,), clock=clock) as link,
        aclosing(link.listen("chat.send", params)) as frames,
    ):
        async for frame in frames:
            told = _answer(frame, run_id) if frame.get("type") == "res" else _event(frame, run_id, so_far)
            if told is None:
                continue
            if told.kind is TurnPhase.DELTA:
                so_far = (so_far + told.text)[:LONGEST_TEXT]
            yield told
            if told.kind in ENDS:
                return
    raise GatewayCallError(Trouble.MUTE, "the gateway stopped reporting the turn")


def _answer(frame: Mapping[str, Any], run_id: str) -> TurnTold:
    if frame.get("ok") is not True:
        error = part(frame, "error")
        raise GatewayCallError(Trouble.REFUSED, f"chat.send: {shown(error.get('message') or error.get('code'), 200)}")
    return TurnTold(TurnPhase.STARTED, text(part(frame, "payload").get("status")) or "started", run_id)


def _event(frame: Mapping[str, Any], run_id: str, so_far: str) -> TurnTold | None:
    payload = part(frame, "payload")
    if frame.get("event") == "agent" and payload.get("runId") == run_id:
        return _exhausted(part(payload, "data"), run_id)
    if frame.get("event") != "chat" or payload.get("runId") != run_id:
        return None
    match payload.get("state"):
        case "status":
            return TurnTold(TurnPhase.PHASE, text(payload.get("phase")) or "", run_id)
        case "delta":
            delta = payload.get("deltaText")
            more = delta if isinstance(delta, str) else _message_text(payload).removeprefix(so_far)
            return TurnTold(TurnPhase.DELTA, more[:LONGEST_TEXT], run_id)
        case "final":
            return TurnTold(TurnPhase.FINAL, _message_text(payload) or so_far, run_id)
        case "error":
            return TurnTold(TurnPhase.FAILED, shown(payload.get("errorMessage") or "it does not say why", 400), run_id)
        case "aborted":
            return TurnTold(TurnPhase.ABORTED, shown(payload.get("stopReason") or "aborted", 100), run_id)
    return None


def _exhausted(data: Mapping[str, Any], run_id: str) -> TurnTold | None:
    """The end of a turn whose models all failed: 2026.5.20 sends no `chat` event for it."""
    if data.get("phase") != "fallback_step" or data.get("fallbackStepFinalOutcome") != "chain_exhausted":
        return None
    why = data.get("fallbackStepFromFailureDetail") or data.get("fallbackStepFromFailureReason")
    return TurnTold(TurnPhase.FAILED, shown(f"all models failed: {why or 'it does not say why'}", 400), run_id)


def _message_text(payload: Mapping[str, Any]) -> str:
    content = part(payload, "message").get("content")
    if isinstance(content, str):
        return content[:LONGEST_TEXT]
    parts = content if isinstance(content, list) else []
    texts = (item.get("text") for item in parts[:1000] if isinstance(item, dict) and item.get("type") == "text")
    return "".join(piece for piece in texts if isinstance(piece, str))[:LONGEST_TEXT]
