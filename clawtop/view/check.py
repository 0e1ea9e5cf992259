"""Why `clawtop status --check` exits as it does, in one line of plain text."""

from __future__ import annotations

from clawtop.core.health.cause import RECENT_MS
from clawtop.core.health.judgement import Health
from clawtop.core.health.wording import GATEWAY_NOT_SEEN
from clawtop.core.model import counted

MOST_TOLD = 4
"""Causes that are written out; the others are named by their codes."""


def check_line(health: Health) -> str:
    """The level, the worst cause and the next ones; if there is none, what was seen to succeed."""
    if not health.causes:
        return f"{int(health.level)} OK: {_all_well(health)}"
    told = "; ".join(cause.text for cause in health.causes[:MOST_TOLD])
    codes = ", ".join(dict.fromkeys(cause.code for cause in health.causes[MOST_TOLD:]))
    return f"{int(health.level)} {health.causes[0].badge}: {told}" + (f"; also {codes}" if codes else "")


def _all_well(health: Health) -> str:
    """Success is claimed only if turns were seen to succeed."""
    answered, lately = health.recent.answered, f"in the last {RECENT_MS // 60_000} min"
    if answered:
        seen = f"{counted(answered, 'turn')} answered {lately}, and nothing needs attention"
    else:
        seen = f"nothing needs attention; no turn ended {lately}"
    return seen if health.gateway_seen else f"{seen}; {GATEWAY_NOT_SEEN}"
