"""Which profile a session is pinned to, and when OpenClaw moves the pin.

A session entry holds a profile, who pinned it ("user" or "auto") and the compaction count at that time. Pins that
OpenClaw set itself move with a new session, after a compaction, and away from a cooling profile; a person's pins move
only if the version allows it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from clawtop.core.model import Profile
from clawtop.core.rules import Schedule
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Pin:
    """A session's pin as its entry holds it; None for what the entry lacks.

    Attributes:
        source: "user", "auto" or None. Entries of old versions lack it: a compaction count then means "auto".
        compaction_count: the session's compaction count when the pin was set.
    """

    profile: str | None = None
    source: str | None = None
    compaction_count: int | None = None

    @property
    def pinned_by(self) -> str | None:
        """Who set the pin, even if the entry does not say so."""
        if self.source is not None:
            return self.source
        if self.compaction_count is not None:
            return "auto"
        return "user" if self.profile else None


@dataclass(frozen=True, slots=True)
class Override:
    """The profile that the session's next run prefers (None: the order decides), and the pin its entry then holds."""

    profile: str | None
    pin: Pin


def resolve_override(
    pin: Pin,
    order: Sequence[str],
    serves: Callable[[str], bool],
    is_cooling: Callable[[str], bool],
    schedule: Schedule,
    *,
    compaction_count: int = 0,
    is_new_session: bool = False,
    recovered: Callable[[str], bool] = lambda _: False,
    cools_for_all: Callable[[str], bool] | None = None,
    stored: bool = True,
) -> Override:
    """Resolve a session's pin before a run.

    Args:
        order: the provider's resolved order.
        serves: whether a profile, by its id, is stored and belongs to the run's provider.
        is_cooling: whether a profile is cooling now, for any model, as in OpenClaw.
        compaction_count: how often the session was compacted so far.
        cools_for_all: whether a profile cools whatever model is asked; None: as `is_cooling`.
        recovered: whether a profile was rate-limited and is usable again (2026.9).
        stored: the pinned profile is in the store, whichever provider it serves.
    """
    if schedule.pins_stay:
        asked = _PinQuery(
            order,
            serves,
            is_cooling,
            schedule,
            compaction_count,
            is_new_session,
            recovered,
            cools_for_all or is_cooling,
            stored,
        )
        return _staying(pin, asked)
    current = (pin.profile or "").strip() or None
    by_user = pin.pinned_by == "user"
    if current is not None and not _is_tenable(
        current, order, serves, stays_outside=by_user and schedule.user_pins_outlive_order
    ):
        pin, current = Pin(), None
    if not order:
        return Override(None, pin)
    replacement = _replacement(current, order, is_cooling) if pin.pinned_by in schedule.replaced_pins else None
    if by_user and current is not None and replacement is None and not is_new_session:
        return Override(current, pin)
    pinned_at = compaction_count if pin.compaction_count is None else pin.compaction_count
    if replacement is not None:
        chosen = replacement
    elif current is None:
        chosen = _after(None, order, is_cooling)
    elif is_new_session or compaction_count > pinned_at:
        chosen = _after(current, order, is_cooling)
    else:
        chosen = _after(None, order, is_cooling) if is_cooling(current) else current
    return Override(chosen, Pin(chosen, "auto", compaction_count))


@dataclass(frozen=True, slots=True)
class _PinQuery:
    order: Sequence[str]
    serves: Callable[[str], bool]
    is_cooling: Callable[[str], bool]
    schedule: Schedule
    compaction_count: int
    is_new_session: bool
    recovered: Callable[[str], bool]
    cools_for_all: Callable[[str], bool]
    stored: bool


def recovered_check(profiles: Iterable[Profile], *, ordered: bool) -> Callable[[str], bool]:
    """Whether a profile has rate limits on record although it is usable again; only with a stored or configured order.

    Args:
        ordered: the provider's order is stored or configured.
    """
    limited = {profile.id for profile in profiles if profile.stats.failure_counts.get("rate_limit")}
    return lambda id_: ordered and id_ in limited


def _staying(pin: Pin, asked: _PinQuery) -> Override:
    """2026.8 on: a person's pin always stays; an automatic one moves when needed."""
    current, order = (pin.profile or "").strip() or None, asked.order
    by_user = pin.pinned_by == "user" or (asked.schedule.linked_pins_stay and (pin.pinned_by or "").startswith("user"))
    if (
        by_user
        and current is not None
        and (asked.serves(current) or (asked.schedule.pins_go_back and not asked.stored))
    ):
        return Override(current, pin)
    if current is not None and (not asked.serves(current) or (order and current not in order)):
        pin, current = Pin(), None
    if not order or all(asked.cools_for_all(id_) for id_ in order):
        return Override(None, pin if current is None or not order else Pin())
    cools = current is not None and asked.is_cooling(current)
    better = _better(pin, current, asked) if not cools else None
    pinned_at = asked.compaction_count if pin.compaction_count is None else pin.compaction_count
    compacted = asked.schedule.compactions_move_pins and asked.compaction_count > pinned_at
    chosen = current
    if better is not None:
        chosen = better
    elif current is None or asked.is_new_session or cools or compacted:
        chosen = _after(None if cools else current, order, asked.is_cooling)
    counted = not asked.schedule.compactions_move_pins or pin.compaction_count == asked.compaction_count
    if chosen == pin.profile and pin.source == "auto" and counted:
        return Override(chosen, pin)
    return Override(chosen, Pin(chosen, "auto", asked.compaction_count))


def _better(pin: Pin, current: str | None, asked: _PinQuery) -> str | None:
    if not asked.schedule.pins_go_back or pin.pinned_by != "auto" or current not in asked.order:
        return None
    earlier = asked.order[: asked.order.index(current)]
    return next((id_ for id_ in earlier if asked.recovered(id_) and not asked.is_cooling(id_)), None)


def _is_tenable(current: str, order: Sequence[str], serves: Callable[[str], bool], *, stays_outside: bool) -> bool:
    """Whether a pin may stay at all: its profile serves the provider, and is in the order or allowed outside it."""
    if not serves(current):
        return False
    return not order or current in order or stays_outside


def _replacement(current: str | None, order: Sequence[str], is_cooling: Callable[[str], bool]) -> str | None:
    """The first usable profile, if there is one and the pinned one is cooling."""
    if current is None or not is_cooling(current):
        return None
    return next((id_ for id_ in order if id_ != current and not is_cooling(id_)), None)


def _after(current: str | None, order: Sequence[str], is_cooling: Callable[[str], bool]) -> str:
    """The next usable profile after `current`, wrapping around; the first one if `current` is not in the order. If all
    are cooling, the current one stays, or else the first of the order, which is usable again soonest.
    """
    place = order.index(current) if current is not None and current in order else -1
    turned = (*order[place + 1 :], *order[: place + 1])
    return next((id_ for id_ in turned if not is_cooling(id_)), order[max(place, 0)])
