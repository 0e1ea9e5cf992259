"""How states are shown: one glyph, one word and one tone each, as tables."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.core.cooldown.stats import ProfileState
from clawtop.core.failover.same_account import Retries
from clawtop.core.health.silence import Silence, silence_of
from clawtop.core.model import Gateway, GatewayState, Lock, Session, VerdictKind, counted
from clawtop.text import safe
from clawtop.view.line import Line, Tone
from clawtop.view.provider_facts import ProfileFacts

StateWords = tuple[str, str, Tone]
"""Glyph, word, tone."""

PROFILE_STATES: dict[ProfileState, StateWords] = {
    ProfileState.USABLE: ("●", "usable", Tone.OK),
    ProfileState.COOLING: ("◐", "cooling", Tone.WARN),
    ProfileState.DISABLED: ("✗", "disabled", Tone.BAD),
    ProfileState.BLOCKED: ("‖", "blocked", Tone.NOTE),
    ProfileState.EXPIRED: ("⊘", "expired", Tone.BAD),
    ProfileState.INVALID: ("⚠", "invalid", Tone.BAD),
}

UNLISTED: StateWords = ("○", "unlisted", Tone.DIM)
SCOPED: StateWords = ("◐", "scoped", Tone.WARN)

STATUSES: dict[str, StateWords] = {
    "running": ("▶", "running", Tone.OK),
    "done": ("✓", "done", Tone.DIM),
    "failed": ("✗", "failed", Tone.BAD),
    "killed": ("⊘", "killed", Tone.WARN),
    "timeout": ("⧗", "timeout", Tone.WARN),
}
GHOST: StateWords = ("○", "ghost", Tone.BAD)
MAYBE: StateWords = ("◌", "running?", Tone.WARN)
SUSPENDED: StateWords = ("‖", "suspended", Tone.NOTE)
IDLE: StateWords = ("·", "idle", Tone.FAINT)

VERDICTS: dict[VerdictKind, StateWords] = {
    VerdictKind.HELD: ("●", "held", Tone.INFO),
    VerdictKind.STALE: ("✗", "stale", Tone.BAD),
    VerdictKind.UNKNOWN: ("◌", "unknown", Tone.WARN),
}

GATEWAYS: dict[GatewayState, StateWords] = {
    GatewayState.LIVE: ("●", "gateway live", Tone.OK),
    GatewayState.DEAD: ("✗", "gateway dead", Tone.BAD),
    GatewayState.ABSENT: ("○", "no gateway", Tone.WARN),
    GatewayState.UNKNOWN: ("◌", "gateway unknown", Tone.WARN),
}

SILENT_GATEWAYS: dict[Silence, StateWords] = {
    Silence.STARTING: ("◐", "gateway starting", Tone.WARN),
    Silence.CLOSED: ("✗", "gateway closed", Tone.BAD),
    Silence.BUSY: ("◐", "gateway busy", Tone.WARN),
    Silence.FROZEN: ("✗", "gateway frozen", Tone.BAD),
    Silence.PAUSED: ("‖", "gateway paused", Tone.BAD),
}
"""Alive, but not answering."""


def gateway_words(gateway: Gateway, now: int) -> StateWords:
    """The words for a gateway at `now` (ms since epoch)."""
    silence = silence_of(gateway, now)
    return SILENT_GATEWAYS[silence] if silence is not None else GATEWAYS[gateway.state]


MARKS: tuple[StateWords, ...] = (
    ("▸", "the next profile to be tried", Tone.ACCENT),
    ("⊙", "pinned profile (bright: by a user)", Tone.ACCENT),
    ("◆", "marked row", Tone.ACCENT),
    ("⚠", "warning", Tone.WARN),
    ("‖", "blocked, or waiting", Tone.WARN),
    ("━", "time left in a window", Tone.WARN),
)
LEGEND: tuple[tuple[str, tuple[StateWords, ...]], ...] = (
    ("Profiles", (*PROFILE_STATES.values(), UNLISTED, SCOPED)),
    ("Sessions", (*STATUSES.values(), GHOST, MAYBE, SUSPENDED, IDLE)),
    ("Locks", tuple(VERDICTS.values())),
    ("Gateway", (*GATEWAYS.values(), *SILENT_GATEWAYS.values())),
    ("Everywhere", MARKS),
)
"""What the glyphs mean, by table."""


def said(words: StateWords) -> Line:
    """A glyph and a word in their tone: `● usable`."""
    glyph, word, tone = words
    return ((f"{glyph} {word}", tone),)


def profile_words(entry: ProfileFacts) -> StateWords:
    """The state of a profile, as the table shows it."""
    return profile_state_words(entry.state, in_order=entry.rank is not None, has_windows=bool(entry.windows))


def profile_state_words(state: ProfileState, *, in_order: bool, has_windows: bool) -> StateWords:
    """The state of a profile.

    `scoped` is usable, but not for the model that its window names; `unlisted` is usable, but not in the order.
    """
    if state is ProfileState.USABLE and not in_order:
        return UNLISTED
    if state is ProfileState.USABLE and has_windows:
        return SCOPED
    return PROFILE_STATES[state]


def session_words(session: Session) -> StateWords:
    """The state of a session: what is really happening, rather than what is stored."""
    if session.status == "running" and session.active is False:
        return GHOST
    if session.status == "running" and session.active is None:
        return MAYBE
    if session.active:
        return STATUSES["running"]
    return STATUSES.get(session.status or "", IDLE)


OPENCLAW_SHORT: dict[bool | None, tuple[str, Tone]] = {
    True: ("removes it", Tone.WARN),
    False: ("keeps it", Tone.DIM),
    None: ("unsure", Tone.WARN),
}
OPENCLAW_LONG: dict[bool | None, str] = {
    True: "will remove it",
    False: "will not remove it",
    None: "whether it will remove it cannot be known from here",
}


def openclaw_words(lock: Lock) -> Line:
    """What OpenClaw will do with the lock, in short."""
    return (OPENCLAW_SHORT[lock.openclaw.would_remove],)


def retry_words(retries: Retries) -> str:
    """How long OpenClaw keeps retrying one failing account."""
    if retries.count == 0:
        return "no: it rotates at once"
    return (
        f"the same account up to {counted(retries.count, 'more time', 'more times')} before it rotates;"
        f" {retries.waits_ms / 1000:.0f} s of waiting, with nothing written meanwhile"
    )


def log_words(paths: Iterable[str], how: str) -> str:
    """Which files of the gateway's log are followed and by which rule, or why none is."""
    names = ", ".join(safe(path) for path in paths)
    return f"log: {names} ({safe(how)})" if names else f"log: none is followed: {safe(how)}"
