"""Where clawtop's engine classifies an error differently from OpenClaw on purpose: one rule per difference.

A rule compares how both classified one error. OpenClaw's own classification predicts what it will do; these rules say
why clawtop's engine does something else.
"""

from __future__ import annotations

from collections.abc import Callable

from clawtop.core.model import FailureReason
from clawtop.values import dataclass

R = FailureReason


@dataclass(frozen=True, slots=True)
class Readings:
    """What both make of one error.

    Attributes:
        openclaw, engine: the classes; None: none.
        openclaw_local, engine_local: it is a fault on this machine, which ends the run with the true error.
        names_sdk_status: its status is only in `$metadata`.
        says_when: its provider says when it will be usable again.
    """

    openclaw: FailureReason | str | None
    engine: FailureReason | None
    openclaw_local: bool = False
    engine_local: bool = False
    names_sdk_status: bool = False
    says_when: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """One deliberate difference: a stable id, when it applies, and how it is worded."""

    id: str
    applies: Callable[[Readings], bool]
    text: str


def _classes(openclaw: frozenset[str | None], engine: frozenset[str | None]) -> Callable[[Readings], bool]:
    def applies(readings: Readings) -> bool:
        compared = not readings.engine_local and not readings.openclaw_local
        return compared and readings.openclaw in openclaw and readings.engine in engine

    return applies


_SILENT: frozenset[str | None] = frozenset({None, R.UNCLASSIFIED, R.UNKNOWN, R.NO_ERROR_DETAILS})
_ACCOUNT: frozenset[str | None] = frozenset({R.BILLING, R.AUTH, R.AUTH_PERMANENT})
_AT_ONCE: frozenset[str | None] = frozenset({R.SERVER_ERROR, R.NETWORK})

DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "local-trouble",
        lambda it: it.engine_local and not it.openclaw_local,
        "this is a fault on this machine, not the provider's: clawtop ends the run with the true error; OpenClaw walks"
        " the models",
    ),
    Difference(
        "account-sent-as-400",
        _classes(frozenset({R.FORMAT}), _ACCOUNT),
        "OpenClaw treats it as a malformed request: no other account, no mark. Its text points to the account:"
        " clawtop rotates and marks",
    ),
    Difference(
        "model-sent-as-400",
        _classes(frozenset({R.FORMAT}), frozenset({R.MODEL_NOT_FOUND})),
        "OpenClaw treats it as a malformed request; the model is retired or unsupported: clawtop tries the next model",
    ),
    Difference(
        "conversation-sent-as-400",
        _classes(frozenset({R.FORMAT}) | _SILENT, frozenset({R.CONTEXT_OVERFLOW, R.MODERATION})),
        "OpenClaw treats it as a malformed request; the conversation is too long, or refused: clawtop asks"
        " no other account, and no other model but one with a larger window",
    ),
    Difference(
        "place-sent-as-400",
        _classes(frozenset({R.FORMAT}), frozenset({R.NETWORK})),
        "OpenClaw treats it as a malformed request; this place is not served: clawtop tries another endpoint",
    ),
    Difference(
        "sdk-status",
        lambda it: it.names_sdk_status and it.openclaw in _SILENT and it.engine is not None,
        "its status is in $metadata, where OpenClaw does not look: clawtop goes by it and by the error's name",
    ),
    Difference(
        "subscription-limit",
        _classes(_SILENT, frozenset({R.RATE_LIMIT})),
        "OpenClaw does not recognise these words; it is a limit of the subscription: clawtop rotates at once",
    ),
    Difference(
        "empty-account",
        _classes(frozenset({R.RATE_LIMIT}), frozenset({R.BILLING})),
        "it looks like a rate limit, but the account is empty: clawtop treats it as billing",
    ),
    Difference(
        "free-usage",
        _classes(frozenset({R.BILLING}), frozenset({R.RATE_LIMIT})),
        "OpenClaw disables the account as unpaid; the wording announces a temporary limit: clawtop treats it as a"
        " rate limit",
    ),
    Difference(
        "revoked",
        _classes(frozenset({R.AUTH}), frozenset({R.AUTH_PERMANENT})),
        "the credential was revoked or leaked, so waiting does not help: clawtop disables the account",
    ),
    Difference(
        "good-key",
        _classes(
            frozenset({R.AUTH, R.AUTH_PERMANENT}),
            frozenset({R.BILLING, R.RATE_LIMIT, R.MODERATION, R.NETWORK, R.FORMAT, R.SERVER_ERROR, R.MODEL_NOT_FOUND}),
        ),
        "OpenClaw cools a good key as if it were invalid; clawtop goes by the wording and leaves the key alone",
    ),
    Difference(
        "failed-at-once",
        _classes(frozenset({R.TIMEOUT, R.SERVER_ERROR}) | _SILENT, _AT_ONCE),
        "it failed at once, so nothing timed out: clawtop tries an account on another endpoint, else the next model",
    ),
    Difference(
        "provider-time",
        lambda it: it.says_when and not it.engine_local,
        "the provider says when it will be usable again: the window is written by the schedule, as OpenClaw does, and"
        " clawtop's engine tries no earlier than the provider says",
    ),
)


def differences(readings: Readings) -> tuple[Difference, ...]:
    """The differences that apply, most important first; an unlisted one is reported as such."""
    found = tuple(difference for difference in DIFFERENCES if difference.applies(readings))
    told = any(difference.id != "provider-time" for difference in found)
    alike = readings.openclaw == readings.engine or {readings.openclaw, readings.engine} <= _SILENT
    if told or alike or readings.engine_local:
        return found
    return (_OTHERWISE, *found)


_OTHERWISE = Difference("read-otherwise", lambda _: False, "clawtop's engine classifies it differently than OpenClaw")
