"""Watching a store after a change: whether the gateway has loaded it, or restored the old values.

A gateway works from its memory. From 2026.5.18 on it re-reads the store under its lock whenever it writes to it, and
publishes the result (docs/formats.md 2.5): a later write of its own that kept clawtop's values proves that it has them.
2026.3 does not publish, so there only a reload or a restart makes it load anything.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence

from clawtop.clock import Clock
from clawtop.core.model import Event, EventKind
from clawtop.core.operations.edit import FieldChange, moved_on
from clawtop.core.operations.receipt import Sight
from clawtop.errors import ClawtopError
from clawtop.store.auth.port import AuthPlace
from clawtop.text import safe, shown
from clawtop.values import dataclass

POLL_S = 0.2
RELOAD = ("openclaw", "secrets", "reload")
"""What an operator types if clawtop may not call the gateway; OpenClaw's command must be paired."""


@dataclass(frozen=True, slots=True)
class Watched:
    """A change on the disk that is being watched.

    `since` is when it was written; `others` gives clawtop's own journal since a time, to tell its writes from the
    gateway's.
    """

    place: AuthPlace
    changes: tuple[FieldChange, ...]
    since: int
    others: Callable[[int], Sequence[Event]]


async def watch(watched: Sequence[Watched], seconds: float, clock: Clock) -> tuple[Sight, str]:
    """Watch for at most `seconds`. Ends at once when one place is REVERTED, or when all of them are SEEN."""
    deadline = clock.monotonic() + seconds
    written = [await asyncio.to_thread(one.place.revision) for one in watched]
    seen: dict[int, tuple[Sight, str]] = {}
    while True:
        for number, one in enumerate(watched):
            found = None if number in seen else await asyncio.to_thread(_look, one, written[number])
            if found is not None and found[0] is Sight.REVERTED:
                return found
            if found is not None:
                seen[number] = found
        if len(seen) == len(watched):
            return next(iter(seen.values()))
        left = deadline - clock.monotonic()
        if left <= 0:
            return Sight.NOT_YET, f"nothing in the store showed it within {seconds:g} s"
        await clock.sleep(min(POLL_S, left))


def _look(watched: Watched, written: Hashable) -> tuple[Sight, str] | None:
    """What one check of the store shows, or None if it shows nothing yet."""
    try:
        state = watched.place.in_force()
    except ClawtopError:
        # 2026.3 truncates its file and then fills it: the next look will show whether there is a store.
        return None if watched.place.is_there() else (Sight.REVERTED, "the store is gone")
    kept = tuple(change.inverted() for change in watched.changes)
    differing = moved_on(state, kept)
    back = [change for change in differing if change.before == change.after]
    if back:
        return Sight.REVERTED, f"{safe(back[0].where)} is {shown(back[0].before, 60)} again"
    if not watched.place.publishes or watched.place.revision() == written:
        return None
    if any(event.kind in {EventKind.OPERATION, EventKind.MARK} for event in watched.others(watched.since + 1)):
        return None
    if differing:
        return Sight.SEEN, f"OpenClaw has used it since: {safe(differing[0].where)} is newer than this change"
    return Sight.SEEN, "OpenClaw wrote the store after this change and kept it"
