"""A provider's own time for an account, beside the window that OpenClaw's schedule gives it."""

from __future__ import annotations

from datetime import tzinfo

from clawtop.core.cooldown.provider_times import open_provider_time
from clawtop.core.model import Profile
from clawtop.text import safe, shown
from clawtop.view.humanize import countdown, time_near


def provider_time_words(profile: Profile, now: int, zone: tzinfo | None) -> str:
    """`says not before 14:03:07 (in 59m12s): rate_limit, all models`; empty if the provider named no time, or the time
    has come.
    """
    told = open_provider_time(profile, now)
    if told is None:
        return ""
    when = f"{time_near(told.until, now, zone)} (in {countdown(told.until, now)})"
    return f"says not before {when}: {shown(told.reason)}, {models_words(told.model)}"


def models_words(model: str | None) -> str:
    """The models that a window or a time applies to."""
    return f"model {safe(model)} only" if model else "all models"
