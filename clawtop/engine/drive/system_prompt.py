"""The system prompt that OpenClaw stored for a session, as OpenClaw sends it.

In its record stand marks for itself, which no provider sees, and some values are redacted; of those, the models are
known here.
"""

from __future__ import annotations

from clawtop.core.model import ModelRef
from clawtop.values import dataclass

BOUNDARY = "\n<!-- OPENCLAW_CACHE_BOUNDARY -->\n"
"""Before it stands what stays the same from turn to turn."""
RELOCATABLE = ("<!-- OPENCLAW-RELOCATABLE-BOUNDARY -->", "<!-- /OPENCLAW-RELOCATABLE-BOUNDARY -->")
REDACTED = "<redacted>"
RUNTIME = "Runtime:"
"""The line that tells the model which model it is."""


@dataclass(frozen=True, slots=True)
class SystemPrompt:
    """What is sent.

    Attributes:
        stable: the beginning of `text` that stays the same from turn to turn, for providers that cache it.
        redacted: how many values of it only OpenClaw knows.
    """

    text: str
    stable: str = ""
    redacted: int = 0


def as_sent(stored: str, model: ModelRef, default: ModelRef | None) -> SystemPrompt:
    """The stored prompt for a turn on `model`, of an agent whose own model is `default`."""
    for mark in RELOCATABLE:
        stored = stored.replace(f"\n{mark}", "").replace(mark, "")
    text = "\n".join(
        _with_models(line, model, default) if line.startswith(RUNTIME) else line for line in stored.split("\n")
    )
    before, mark, _ = text.partition(BOUNDARY)
    whole = text.replace(BOUNDARY, "\n")
    return SystemPrompt(whole, before.rstrip() if mark else "", whole.count(REDACTED))


def _with_models(line: str, model: ModelRef, default: ModelRef | None) -> str:
    line = line.replace(f" model={REDACTED}", f" model={model}")
    return line if default is None else line.replace(f" default_model={REDACTED}", f" default_model={default}")
