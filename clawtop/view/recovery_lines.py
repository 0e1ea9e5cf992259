"""Recovering a stuck session, in lines: what is wrong, what would be done, the outcome."""

from __future__ import annotations

from clawtop.core.model import GatewayState
from clawtop.core.session.attention import AttentionReport
from clawtop.core.session.recovery import AbortRun, RecoveryAction, RecoveryMove, RecoveryOutcome, SessionRecovery
from clawtop.text import safe, shown
from clawtop.view.humanize import duration
from clawtop.view.line import Line, Tone, piece

REASONS = {
    "stale_session_state": "marked as running, but no run is alive",
    "queued_work_without_active_run": "messages are queued and no run is alive",
    "blocked_tool_call": "its tool call has made no progress",
    "queued_behind_terminal_active_work": "messages wait behind a run that has already ended",
    "active_work_without_progress": "its run has made no progress",
    "queued_behind_active_work": "messages wait behind a long run",
    "active_work": "its run takes long, but is still making progress",
    "active_model_call_without_progress": "its model has not answered for a long time",
    "provider_retry_wait": "its run waits to retry the same account",
    "runtime_owned_wait": "its run waits, supervised by its own runtime",
    "repeated_model_requests_without_progress": "its run sends the same request again and again",
}
"""OpenClaw's reasons (`logging/diagnostic.ts`) in words."""


def reason_words(report: AttentionReport) -> str:
    """Why the session is stuck."""
    return REASONS.get(report.reason, report.reason.replace("_", " "))


def is_stuck(report: AttentionReport | None) -> bool:
    """Whether recovery would do anything now."""
    return report is not None and (report.recoverable or report.abortable)


def openclaw_words(would: RecoveryOutcome | AbortRun, gateway: GatewayState = GatewayState.UNKNOWN) -> str:
    """What OpenClaw's own watchdog does about a stuck session; it is part of the gateway."""
    if gateway.is_gone:
        return "no gateway runs, so OpenClaw itself does nothing about it"
    checks = "it checks every 30 s"
    if isinstance(would, AbortRun):
        return f"OpenClaw itself aborts this run: {checks}"
    if would.action is RecoveryAction.RELEASE_LANE:
        return f"OpenClaw itself frees the lane for what waits in it: {checks}"
    if would.reason == "no_recovery":
        return "OpenClaw itself only logs this"
    return "OpenClaw itself leaves it alone"


def recovery_preview(
    session: str,
    report: AttentionReport | None,
    wait_s: float,
    would: RecoveryOutcome | AbortRun | None = None,
    gateway: GatewayState = GatewayState.UNKNOWN,
) -> tuple[Line, ...]:
    """What would be done, before it is confirmed. `would`: what OpenClaw's own watchdog does."""
    head = piece(f"recover {safe(session)}", Tone.STRONG)
    if report is None:
        return (head, piece("Not stuck: idle, or working within its limits. Nothing would be done.", Tone.OK))
    if not is_stuck(report):
        return (
            head,
            piece(f"{reason_words(report)}, within its limits. Nothing would be done.", Tone.INFO),
        )
    wait = duration(round(wait_s * 1000))
    return (
        head,
        piece(f"stuck: {reason_words(report)}", Tone.WARN),
        *((piece(openclaw_words(would, gateway), Tone.INFO),) if would is not None else ()),
        piece(f"1. if something holds the session: wait up to {wait} for it to let go", Tone.PLAIN),
        piece("2. once it is free: drain it, and remove its lock if the owner is proven dead", Tone.PLAIN),
        piece(
            "3. if it is not released: copy the conversation to a fresh session id, and leave the old one alone",
            Tone.PLAIN,
        ),
        piece("No message is sent again.", Tone.STRONG),
    )


def recovery_lines(session: str, done: SessionRecovery) -> tuple[Line, ...]:
    """The outcome of a recovery."""
    words = tuple(piece(f"  {shown(word)}") for word in done.words)
    if done.move is RecoveryMove.NOTHING:
        return (piece(f"nothing done: {shown(done.why)}", Tone.INFO),)
    if done.fresh is not None:
        return (
            piece("the holder did not release it: the conversation was copied to a fresh session", Tone.WARN),
            piece(f"continue with: clawtop drive --session {safe(done.fresh)}", Tone.INFO),
            piece("OpenClaw's session list still points to the old transcript", Tone.WARN),
        )
    if done.free:
        return (
            piece("recovered: the session is free", Tone.OK),
            *words,
            piece(f"continue with: clawtop drive --session {safe(session)}", Tone.INFO),
        )
    return (piece("NOT recovered: something still holds it", Tone.BAD), *words)
