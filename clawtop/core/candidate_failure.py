"""A candidate model that gave no answer: what kind of failure it was, and what is recorded of it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from clawtop.core.model import FailureReason, ModelRef
from clawtop.text import shown

DETAIL_CELLS = 400


class FailureKind(StrEnum):
    """What a failed call was. In order of precedence; the first that fits is the kind."""

    LANE_TIMEOUT = "lane-timeout"
    USER_ABORT = "user-abort"
    COORDINATION = "coordination"
    CONTEXT_OVERFLOW = "context-overflow"
    NO_HARNESS = "no-harness"
    MODEL_SWITCH = "model-switch"
    PROVIDER = "provider"
    UNKNOWN = "unknown"


RETHROWN = frozenset(
    {
        FailureKind.LANE_TIMEOUT,
        FailureKind.USER_ABORT,
        FailureKind.COORDINATION,
        FailureKind.CONTEXT_OVERFLOW,
        FailureKind.NO_HARNESS,
    }
)
"""Another model would meet the same condition, or nobody wants its answer any more."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A failed call, as the chain sees it.

    Attributes:
        message: the error's text; `raw` the provider's own words, where they are known apart.
        reason: why, for the kind PROVIDER; else what could be classified, or None.
        switch_to: the model that the session was switched to, for the kind MODEL_SWITCH.
    """

    kind: FailureKind
    message: str
    reason: FailureReason | None = None
    status: int | None = None
    code: str | None = None
    raw: str | None = None
    switch_to: ModelRef | None = None

    @property
    def detail(self) -> str:
        return self.raw or self.message


@dataclass(frozen=True, slots=True)
class Attempt:
    """A candidate that gave no answer: it failed, or was skipped while it cooled."""

    model: ModelRef
    error: str
    reason: FailureReason | None = None
    status: int | None = None
    code: str | None = None

    def __str__(self) -> str:
        why = f" ({self.reason})" if self.reason else ""
        return f"{shown(self.model)}: {shown(self.error, DETAIL_CELLS)}{why}"


@dataclass(frozen=True, slots=True)
class FallbackSummary:
    """No candidate answered. `soonest_recovery`: when a profile of any of them is usable again (ms since the epoch)."""

    attempts: tuple[Attempt, ...]
    total: int
    soonest_recovery: int | None = None

    @property
    def text(self) -> str:
        listed = " | ".join(str(attempt) for attempt in self.attempts) or "unknown"
        return f"All models failed ({len(self.attempts) or self.total}): {listed}"
