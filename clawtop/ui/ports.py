"""What the app is plugged into: where snapshots come from, who carries operations out, how it was started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import tzinfo
from typing import TYPE_CHECKING, Protocol

from clawtop.commands import Command, Context
from clawtop.core.model import Snapshot
from clawtop.errors import ClawtopError

if TYPE_CHECKING:
    from clawtop.ui.app import ClawtopApp


class Source(Protocol):
    """Where snapshots come from: `engine.hub.Hub`, or a recording."""

    async def run(self, deliver: Callable[[Snapshot], None], failed: Callable[[ClawtopError], None]) -> None:
        """Deliver until cancelled."""

    def poke(self) -> None:
        """Read now."""


class Operator(Protocol):
    """Who takes commands that change something: `ui.operate.Desk`."""

    def start(self, app: ClawtopApp, item: Command, context: Context) -> None:
        """Preview, confirm, execute, receipt."""


@dataclass(frozen=True, slots=True)
class Options:
    """How the dashboard is started.

    Attributes:
        zone: of the clock times; None is this machine's.
        ascii_glyphs: the terminal's encoding has no glyphs.
    """

    read_only: bool = False
    mouse: bool = True
    theme: str | None = None
    agent: str | None = None
    zone: tzinfo | None = None
    ascii_glyphs: bool = False
