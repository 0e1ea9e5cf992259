"""A profile's state as one word, and what is odd about its statistics."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from enum import StrEnum

from clawtop.core.cooldown.windows import active_windows, back_at, windows
from clawtop.core.model import (
    AgentInfo,
    Credential,
    CredentialState,
    ModelRef,
    Moment,
    Problem,
    Profile,
    Sentence,
    UsageStats,
    WindowKind,
    span,
    timed_problem,
)
from clawtop.core.rules import DAY_MS, MINUTE_MS, Schedule
from clawtop.text import shown

CLOCK_SKEW = "clock-skew"
YEAR_2100_MS = 4_102_444_800_000
SECONDS_RANGE = range(1_000_000_000, 100_000_000_000)
"""Numbers that are a date of our time in seconds, and one of the early seventies in milliseconds."""


class ProfileState(StrEnum):
    """Usable, or the most serious reason why the profile cannot be used.

    `expired` and `invalid` are about the credential; the other three are about windows.
    """

    USABLE = "usable"
    COOLING = "cooling"
    DISABLED = "disabled"
    BLOCKED = "blocked"
    EXPIRED = "expired"
    INVALID = "invalid"


_STATE_OF_WINDOW = {
    WindowKind.DISABLED: ProfileState.DISABLED,
    WindowKind.BLOCKED: ProfileState.BLOCKED,
    WindowKind.COOLDOWN: ProfileState.COOLING,
}


def credential_fault(credential: Credential, now: int) -> str | None:
    """Why OpenClaw leaves a profile with this credential out of every order; None where it does not.

    Returns:
        "no-credential", "invalid-expires" or "expired". OAuth logins are never left out for being expired: OpenClaw
        tries to refresh them.
    """
    if credential.type == "api_key":
        return None if credential.has_secret else "no-credential"
    if credential.type != "token":
        return None if credential.has_secret or credential.has_refresh else "no-credential"
    if not credential.has_secret:
        return "no-credential"
    if credential.expires is None:
        return None
    if credential.expires <= 0:
        return "invalid-expires"
    return "expired" if now >= credential.expires else None


def is_past_expiry(credential: Credential, now: int) -> bool:
    """Whether the credential carries an expiry that has passed, refreshable or not."""
    return credential.expires is not None and 0 < credential.expires <= now


def credential_state(credential: Credential, now: int) -> CredentialState:
    """Whether the credential can still authenticate. An expired login that cannot be refreshed cannot."""
    fault = credential_fault(credential, now)
    if fault == "expired":
        return CredentialState.EXPIRED
    if fault is not None:
        return CredentialState.INVALID
    runs_out = credential.type not in {"api_key", "token"} and not credential.has_refresh
    return CredentialState.EXPIRED if runs_out and is_past_expiry(credential, now) else CredentialState.USABLE


def profile_state(
    profile: Profile, now: int, schedule: Schedule, for_model: str | None = None
) -> tuple[ProfileState, int | None]:
    """The state of a profile, and until when it lasts (None if it does not end by itself).

    Without `for_model` a cooldown of one model is a cooldown; with it, only what concerns that model counts. Of
    several open windows the most serious kind gives the state (disabled, blocked, cooldown) and the last to end gives
    the time.
    """
    credential = credential_state(profile.credential, now)
    if credential is not CredentialState.USABLE:
        return ProfileState(credential.value), None
    until = back_at(profile.stats, profile.provider, now, schedule, for_model)
    if until is None:
        return ProfileState.USABLE, None
    active = active_windows(profile.stats, now, schedule)
    concerning = [window for window in active if for_model is None or window.model in {None, for_model}]
    return _STATE_OF_WINDOW[(concerning or active)[0].kind], until


def is_usable(profile: Profile, models: Iterable[ModelRef], now: int, schedule: Schedule) -> bool:
    """Whether a profile is usable for one of these models, or, where none is of its provider, for any."""
    own: list[str | None] = [ref.model for ref in models if ref.provider == profile.provider]
    return any(profile_state(profile, now, schedule, model)[0] is ProfileState.USABLE for model in own or [None])


ANY_OTHER_MODEL = "\0"
"""Asks for a model that no window names, so that only windows of all models count."""


def state_for_models(
    profile: Profile, now: int, schedule: Schedule, models: Iterable[str]
) -> tuple[ProfileState, int | None]:
    """The state of a profile for these models of its provider: usable if it serves one of them.

    Without models, only windows that concern every model count. If it cannot serve any of them, the model that is
    available again first decides state and time.
    """
    found = [profile_state(profile, now, schedule, model) for model in dict.fromkeys(models) or (ANY_OTHER_MODEL,)]
    usable = next((state for state in found if state[0] is ProfileState.USABLE), None)
    return usable or min(found, key=lambda state: (state[1] is None, state[1] or 0))


def configured_models(agents: Iterable[AgentInfo]) -> Mapping[str, Sequence[str]]:
    """Provider -> the models that agents use from it."""
    found: dict[str, list[str]] = {}
    for agent in agents:
        for ref in agent.models:
            found.setdefault(ref.provider, []).append(ref.model)
    return found


def stat_problems(profile: Profile, now: int, schedule: Schedule, *, in_the_past: bool = False) -> tuple[Problem, ...]:
    """What is odd about a profile's statistics, each by its name.

    `in_the_past`: `now` is a chosen time rather than a clock's, so that a later time need not mean a skewed clock.

    Codes: `lapsed-window` (ended, still recorded), `seconds-not-ms`, `absurd-time` (negative, after 2100, or longer
    than any window of this generation), `clock-skew` (used or failed in the future), `unknown-reason`.
    """
    found = (*_window_oddities(profile.stats, now, schedule), *_time_oddities(profile.stats, now, in_the_past))
    reasons = _unknown_reasons(profile.stats, schedule)
    return tuple(timed_problem(code, profile.id, said) for code, said in (*found, *reasons))


def _window_oddities(stats: UsageStats, now: int, schedule: Schedule) -> Iterator[tuple[str, Sentence]]:
    longest = max(schedule.longest_ms, DAY_MS)
    for window in windows(stats):
        name = f"the {window.kind} window"
        if _is_nonsense(window.until) or window.until in SECONDS_RANGE:
            yield _nonsense(f"{name} ends at", window.until)
        elif 0 < window.until <= now:
            rest = " and is still recorded; it no longer counts"
            yield "lapsed-window", (f"{name} ended ", Moment(window.until), rest)
        elif window.kind is not WindowKind.BLOCKED and window.until - now > longest:
            hours = longest // (60 * MINUTE_MS)
            yield "absurd-time", (f"{name} ends ", Moment(window.until), f"; OpenClaw sets none longer than {hours} h")


def _time_oddities(stats: UsageStats, now: int, in_the_past: bool) -> Iterator[tuple[str, Sentence]]:
    for name, time in (("last used", stats.last_used), ("last failed", stats.last_failure_at)):
        if time is None:
            continue
        if _is_nonsense(time) or time in SECONDS_RANGE:
            yield _nonsense(f"{name} at", time)
        elif time > now + MINUTE_MS:
            ahead = f", {span(time - now)} ahead of "
            why = (
                "the chosen time: later, or by another clock"
                if in_the_past
                else "this clock: two machines' clocks differ"
            )
            yield CLOCK_SKEW, (f"{name} ", Moment(time), ahead, why)


def _unknown_reasons(stats: UsageStats, schedule: Schedule) -> Iterator[tuple[str, Sentence]]:
    known = {*schedule.reasons, "session_expired"}
    given = (("cooldown", stats.cooldown_reason), ("disabled", stats.disabled_reason))
    named = [(f"the {kind} reason", reason) for kind, reason in given if reason is not None]
    named += [("a failure count", reason) for reason in stats.failure_counts]
    for what, reason in named:
        if reason not in known:
            yield (
                "unknown-reason",
                f"{what} {shown(reason, 40)} is not one that OpenClaw {schedule.name} knows; it will be dropped",
            )


def _is_nonsense(time: int) -> bool:
    return time < 0 or time > YEAR_2100_MS


def _nonsense(what: str, time: int) -> tuple[str, Sentence]:
    if time in SECONDS_RANGE:
        rest = " in seconds; it should be milliseconds"
        return "seconds-not-ms", (f"{what} {time}, which is ", Moment(time * 1000), rest)
    return "absurd-time", f"{what} {time}, which is not a plausible time"
