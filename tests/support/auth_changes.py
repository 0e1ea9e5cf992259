"""Changes of an auth store, as an operation would make them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from clawtop.core.model import UsageStats
from clawtop.core.operations.edit import AuthState
from clawtop.store.auth.port import Change


def profile_change(
    profile_id: str, change: Callable[[UsageStats], UsageStats], *, last_good: str | None = None
) -> Change:
    """The `Change` that applies `change` to one profile's statistics, and names it as `last_good` of that provider.

    A profile that the place does not have is left alone, as OpenClaw does.
    """

    def apply(state: AuthState) -> AuthState:
        if profile_id not in state.profiles:
            return state
        before = state.stats.get(profile_id, UsageStats())
        after = change(before)
        stats = state.stats if after == before else {**state.stats, profile_id: after}
        good = state.last_good if last_good is None else {**state.last_good, last_good: profile_id}
        return replace(state, stats=stats, last_good=good)

    return apply
