"""When clawtop's writers leave an auth store's lock to OpenClaw's.

A writer of OpenClaw that finds the lock taken asks again after 100 to 200 ms, then after pauses that double, up to
10 s. After eleven refusals it writes without the lock (docs/formats.md 3). Between two holds of clawtop's, which hand
the lock on at once, it would rarely find it free. So under such use the lock is left free for a part of each cycle.
Cycles are counted on the machine's monotonic clock, which all processes share: they agree without communicating.
"""

from __future__ import annotations

from clawtop.values import dataclass

WANTED_S = 3.0
"""How long after OpenClaw was seen at the lock it is expected back."""

UNBROKEN_S = 5.0
"""After this long without a pause, the lock is left free now and then even if no other program was seen: on a file
system without access times a waiter cannot be seen.
"""


@dataclass(frozen=True, slots=True)
class Share:
    """Of each `cycle_s`, clawtop takes the lock only in the first `ours_s`."""

    cycle_s: float
    ours_s: float

    def left_free_s(self, now: float) -> float:
        into = now % self.cycle_s
        return self.cycle_s - into if into >= self.ours_s else 0.0


SEEN = Share(0.32, 0.1)
"""Whoever is refused in the first 100 ms asks again 100 to 200 ms later, which is always in the part left free; 20 ms
are for the hold that begins last."""

UNSEEN = Share(1.0, 0.8)


def left_free_s(now: float, *, wanted_at: float | None, pressing_since: float | None) -> float:
    """For how many seconds the lock must not be taken yet; 0 for now. All times are monotonic, in seconds.

    Args:
        wanted_at: when another program was last seen holding the lock or waiting for it.
        pressing_since: since when clawtop's processes have used the lock without a pause; None: they have paused, and a
            single hold keeps no one out for long.
    """
    if pressing_since is None:
        return 0.0
    if wanted_at is not None and now - wanted_at <= WANTED_S:
        return SEEN.left_free_s(now)
    if now - pressing_since >= UNBROKEN_S:
        return UNSEEN.left_free_s(now)
    return 0.0
