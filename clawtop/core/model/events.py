"""What happened."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import Any

from clawtop.values import dataclass


class EventKind(StrEnum):
    """The kinds of events: one vocabulary for the journal, the gateway's log and differences between snapshots."""

    RUN_START = "run-start"
    ATTEMPT = "attempt"
    FAILURE = "failure"
    ROTATE = "rotate"
    MARK = "mark"
    MARK_LOST = "mark-lost"
    FALLBACK = "fallback"
    REPLY = "reply"
    RUN_END = "run-end"
    TAKEOVER = "takeover"
    CONTENDED = "contended"
    WAIT = "wait"
    ACQUIRE = "acquire"
    RELEASE = "release"
    RECOVERY = "recovery"
    STUCK = "stuck"
    INTENT = "intent"
    OPERATION = "operation"
    REVERTED = "reverted"
    DRAIN = "drain"
    LANE = "lane"
    GATEWAY = "gateway"
    PROFILE = "profile"
    LOCK = "lock"
    SESSION = "session"
    NOTICE = "notice"


GATEWAY_LOG = "gateway-log"
"""The source of an event that a gateway's log tells."""
ENGINE = "engine"
"""The source of an event of clawtop's own engine."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event, from the journal, the gateway's log, clawtop's engine or the difference of two snapshots.

    `text` is one safe line for people. `data` holds JSON-ready facts of the kind; never a secret.
    """

    at: int
    kind: EventKind
    source: str
    text: str
    agent: str | None = None
    session_key: str | None = None
    session_file: str | None = None
    lane: str | None = None
    run_id: str | None = None
    provider: str | None = None
    model: str | None = None
    profile: str | None = None
    reason: str | None = None
    duration_ms: int | None = None
    pid: int | None = None
    data: Mapping[str, Any] = field(default_factory=dict)
