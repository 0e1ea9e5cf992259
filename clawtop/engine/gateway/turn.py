"""A turn that the gateway itself runs: `chat.send`, with its events streamed (2026.5.18 to 2026.9.6).

The gateway answers with its own models, profiles and queue. Everything reported is what the gateway says; ending the
wait does not end the turn.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from enum import StrEnum
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import Gateway
from clawtop.engine.gateway.client import connected
from clawtop.engine.gateway.door import Door
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.gateway.wire import WRITE, part, text
from clawtop.text import shown
from clawtop.values import dataclass

LONGEST_TEXT = 4 * 1024 * 1024
"""Maximum characters of a reply; the rest is left out."""


class TurnPhase(StrEnum):
    """STARTED: the gateway accepted the message (`text`: its status). PHASE: what it is doing, or the run that took the
    message in. DELTA: more of the reply. FINAL: the whole reply. FAILED, ABORTED: how else it ended (`text`: why).
    """

    STARTED = "started"
    PHASE = "phase"
    DELTA = "delta"
    FINAL = "final"
    FAILED = "failed"
    ABORTED = "aborted"


_OVER = frozenset({"final", "error", "aborted"})
ENDS = frozenset({TurnPhase.FINAL, TurnPhase.FAILED, TurnPhase.ABORTED})


@dataclass(frozen=True, slots=True)
class TurnEvent:
    """One event of the turn. `text` of DELTA and FINAL is the model's own text: not yet safe."""

    kind: TurnPhase
    text: str
    run_id: str


async def send_turn(
    door: Door, gateway: Gateway, key: str, message: str, *, run_id: str, clock: Clock
) -> AsyncGenerator[TurnEvent, None]:
    """Send a message to a session and report its progress until the turn has ended.

    Args:
        run_id: names the turn; a message that is sent twice under one name is accepted once.

    Raises:
        GatewayCallError: it was not accepted, or the gateway stopped reporting.
    """
    params = {"sessionKey": key, "message": message, "idempotencyKey": run_id}
    course = _TurnCourse(run_id, key)
    async with (
        connected(door, door.knock(gateway), (WRITE,), clock=clock) as link,
        aclosing(link.listen("chat.send", params)) as frames,
    ):
        async for frame in frames:
            told = _answer(frame, run_id) if frame.get("type") == "res" else course.told(frame)
            if told is None:
                continue
            yield told
            if told.kind in ENDS:
                return
    raise GatewayCallError(Trouble.MUTE, "the gateway stopped reporting the turn")


WITHOUT_A_RUN = (
    "the gateway ended it without a reply; if it was queued behind another run, a later run may still answer it, "
    "which clawtop does not see"
)


class _TurnCourse:
    """One turn by the gateway's events.

    A message that waited behind another run ends with a bare `final`: no beginning, no text. 2026.8.2 and 2026.9.6 send
    it when the message was taken into that run, whose reply then answers it, and when it was dropped because that run
    was aborted. Where messages queue up (`messages.queue` followup, collect), 2026.9.6 sends it as soon as that run has
    ended, and answers the message with a later run under another id.
    """

    def __init__(self, run_id: str, key: str) -> None:
        self._run_id = run_id
        self._key = key
        self._followed = run_id
        self._began = False
        self._so_far = ""
        self._others: dict[str, str | None] = {}

    def told(self, frame: Mapping[str, Any]) -> TurnEvent | None:
        """The event of the turn in a frame, if there is one."""
        payload = part(frame, "payload")
        kind, run = text(frame.get("event")), payload.get("runId")
        if kind not in {"agent", "chat"} or not isinstance(run, str):
            return None
        if run not in {self._run_id, self._followed}:
            if payload.get("sessionKey") == self._key and kind == "chat":
                self._others[run] = text(payload.get("state"))
            return None
        if run == self._run_id and self._is_bare_end(payload):
            return self._without_a_reply()
        self._began = True
        return _exhausted(part(payload, "data"), self._run_id) if kind == "agent" else self._chat(payload)

    def _is_bare_end(self, payload: Mapping[str, Any]) -> bool:
        return not self._began and payload.get("state") == "final" and "message" not in payload

    def _without_a_reply(self) -> TurnEvent:
        """The outcome of a message that no run of its own answered."""
        running = [run for run, state in self._others.items() if state not in _OVER]
        if running:
            self._followed = running[-1]
            return TurnEvent(
                TurnPhase.PHASE, f"taken into run {shown(self._followed, 60)}, which answers it", self._run_id
            )
        if "aborted" in self._others.values():
            return TurnEvent(TurnPhase.ABORTED, "dropped because the run it waited behind was aborted", self._run_id)
        return TurnEvent(TurnPhase.FAILED, WITHOUT_A_RUN, self._run_id)

    def _chat(self, payload: Mapping[str, Any]) -> TurnEvent | None:
        match payload.get("state"):
            case "status":
                return TurnEvent(TurnPhase.PHASE, text(payload.get("phase")) or "", self._run_id)
            case "delta":
                delta = payload.get("deltaText")
                more = delta if isinstance(delta, str) else _message_text(payload).removeprefix(self._so_far)
                self._so_far = (self._so_far + more)[:LONGEST_TEXT]
                return TurnEvent(TurnPhase.DELTA, more[:LONGEST_TEXT], self._run_id)
            case "final":
                return TurnEvent(TurnPhase.FINAL, _message_text(payload) or self._so_far, self._run_id)
            case "error":
                why = payload.get("errorMessage") or "it does not say why"
                return TurnEvent(TurnPhase.FAILED, shown(why, 400), self._run_id)
            case "aborted":
                return TurnEvent(TurnPhase.ABORTED, shown(payload.get("stopReason") or "aborted", 100), self._run_id)
        return None


def _answer(frame: Mapping[str, Any], run_id: str) -> TurnEvent:
    if frame.get("ok") is not True:
        error = part(frame, "error")
        raise GatewayCallError(Trouble.REFUSED, f"chat.send: {shown(error.get('message') or error.get('code'), 200)}")
    return TurnEvent(TurnPhase.STARTED, text(part(frame, "payload").get("status")) or "started", run_id)


def _exhausted(data: Mapping[str, Any], run_id: str) -> TurnEvent | None:
    """The end of a turn whose models all failed: 2026.5.20 sends no `chat` event for it."""
    if data.get("phase") != "fallback_step" or data.get("fallbackStepFinalOutcome") != "chain_exhausted":
        return None
    why = data.get("fallbackStepFromFailureDetail") or data.get("fallbackStepFromFailureReason")
    return TurnEvent(TurnPhase.FAILED, shown(f"all models failed: {why or 'it does not say why'}", 400), run_id)


def _message_text(payload: Mapping[str, Any]) -> str:
    content = part(payload, "message").get("content")
    if isinstance(content, str):
        return content[:LONGEST_TEXT]
    parts = content if isinstance(content, list) else []
    texts = (item.get("text") for item in parts[:1000] if isinstance(item, dict) and item.get("type") == "text")
    return "".join(piece for piece in texts if isinstance(piece, str))[:LONGEST_TEXT]
