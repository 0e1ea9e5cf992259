"""What ends a window besides time: an empty purse and a refused key do not mend by waiting, nor by clearing."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from clawtop.core.cooldown.windows import active_windows
from clawtop.core.model import UsageStats
from clawtop.core.rules import Schedule

_MENDED_BY: Mapping[str, str] = MappingProxyType(
    {
        "billing": "its account has credit again",
        "auth_permanent": "its key or login is renewed",
        "auth": "its key or login is valid again",
    }
)


def mended_by(stats: UsageStats, now: int, schedule: Schedule) -> str | None:
    """What has to happen first, as the end of a sentence; None where the end of the windows is enough.

    The reason of the open window that counts most decides: disabled, then blocked, then cooldown.
    """
    reasons = (window.reason or "" for window in active_windows(stats, now, schedule))
    return next((_MENDED_BY[reason] for reason in reasons if reason in _MENDED_BY), None)
