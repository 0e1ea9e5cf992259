"""What has to be fixed before a profile works again: waiting or clearing does not help an account without credit, a
rejected key, or a model that its provider does not have.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from clawtop.core.cooldown.windows import active_windows
from clawtop.core.model import FailureReason, UsageStats
from clawtop.core.rules import Schedule


class NeededFix(NamedTuple):
    """What must happen first: as the end of `it keeps failing until ...`, and as short advice."""

    until: str
    advice: str


NO_SUCH_MODEL = NeededFix("its provider has the model", "choose another model")

_BY_REASON: Mapping[str, NeededFix] = MappingProxyType(
    {
        "billing": NeededFix("its account has credit again", "pay, then clear"),
        "auth_permanent": NeededFix("its key or login is renewed", "renew the key"),
        "auth": NeededFix("its key or login is valid again", "renew the key"),
        FailureReason.MODEL_NOT_FOUND: NO_SUCH_MODEL,
    }
)


def needed_fix(stats: UsageStats, now: int, schedule: Schedule) -> NeededFix | None:
    """What must happen before the profile works again; None if it works as soon as its windows end.

    The reason of the open window that counts most decides: disabled, then blocked, then cooldown.
    """
    reasons = (window.reason or "" for window in active_windows(stats, now, schedule))
    return next((_BY_REASON[reason] for reason in reasons if reason in _BY_REASON), None)
