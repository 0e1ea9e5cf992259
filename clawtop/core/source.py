"""Where snapshots come from: the port between readers of a state directory and the code that shows or streams it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from clawtop.core.model import Snapshot
from clawtop.errors import ClawtopError

Deliver = Callable[[Snapshot], None]
Failed = Callable[[ClawtopError], None]


class SnapshotSource(Protocol):
    """The hub, a recording that plays, or another host's stream."""

    async def run(self, deliver: Deliver, failed: Failed) -> None:
        """Deliver until cancelled; `failed` receives what could not be read."""

    def poke(self) -> None:
        """Read now."""
