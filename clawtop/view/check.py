"""Why `clawtop status --check` exits as it does, in one line of plain text."""

from __future__ import annotations

from clawtop.core.health.cause import RECENT_MS
from clawtop.core.health.judgement import Health
from clawtop.core.health.wording import GATEWAY_NOT_SEEN
from clawtop.core.model import counted


def check_line(health: Health) -> str:
    """The level, the worst cause and the next ones; if there is none, what was seen to succeed."""
    if not health.causes:
        return f"{int(health.level)} OK: {_all_well(health)}"
    worst, *others = health.causes
    more = "; ".join(cause.text for cause in others[:2])
    hidden = f"; and {len(others) - 2} more" if len(others) > 2 else ""
    return f"{int(health.level)} {worst.badge}: {worst.text}" + (f"; {more}{hidden}" if more else "")


def _all_well(health: Health) -> str:
    """Success is claimed only if turns were seen to succeed."""
    answered, lately = health.recent.answered, f"in the last {RECENT_MS // 60_000} min"
    if answered:
        seen = f"{counted(answered, 'turn')} answered {lately}, and nothing needs attention"
    else:
        seen = f"nothing needs attention; no turn ended {lately}"
    return seen if health.gateway_seen else f"{seen}; {GATEWAY_NOT_SEEN}"
