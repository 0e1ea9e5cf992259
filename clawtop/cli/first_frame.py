"""The dashboard's first frame: drawn from the first snapshot, before the dashboard's own code is imported."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.errors import ClawtopError

if TYPE_CHECKING:
    from clawtop.cli.common import LiveReader
    from clawtop.core.model import Snapshot
    from clawtop.ui.early import EarlyScreen
    from clawtop.view.facts import Facts, Memory
    from clawtop.view.tour import Tour


class FirstFrame:
    """The frame on the terminal until the dashboard draws; nothing where it cannot be drawn."""

    def __init__(self, args: argparse.Namespace, clock: Clock, tour: Tour | None) -> None:
        from clawtop.ui.early import early_screen
        from clawtop.ui.terminal import given_environment, speaks_unicode

        self._args, self._clock, self._tour = args, clock, tour
        self._memory: Memory | None = None
        self._ascii = not speaks_unicode(given_environment())
        opens_here = args.view in {None, "overview"}
        self._screen = early_screen(args.theme, os.environ, ascii_glyphs=self._ascii) if opens_here else None

    def read(self) -> tuple[LiveReader, Facts | None]:
        """The reader, and its first snapshot, judged and drawn; the dashboard reports what cannot be read.

        Raises StateUnreadableError, UsageError.
        """
        from clawtop.cli.common import live_reader

        live = live_reader(self._args, self._clock, self._draw_accounts)
        try:
            facts = self._judged(live.reader.read())
        except ClawtopError:
            return live, None
        self._draw(facts, whole=True)
        return live, facts

    def give_back(self) -> None:
        """Leave the terminal as it was, unless the dashboard has it by now."""
        if self._screen is not None:
            self._screen.give_back()

    def _draw_accounts(self, snapshot: Snapshot) -> None:
        self._draw(self._judged(snapshot), whole=False)

    def _judged(self, snapshot: Snapshot) -> Facts:
        from clawtop.view.facts import Facts, Memory

        if self._memory is None:
            self._memory = Memory()
        now = snapshot.present(self._clock.now_ms())
        labels = dict(self._args.settings["labels"])
        return Facts(snapshot, now, self._args.agent, memory=self._memory, labels=labels)

    def _draw(self, facts: Facts, *, whole: bool) -> None:
        if self._screen is None:
            return
        try:
            if not whole or self._opens_here(facts):
                self._compose(self._screen, facts, whole=whole)
        except Exception:  # noqa: BLE001 - the dashboard meets it too, and tells it
            self._screen.give_back()
            self._screen = None

    def _opens_here(self, facts: Facts) -> bool:
        from clawtop.view.overview import first_view

        return self._args.view is not None or first_view(facts) == "overview"

    def _compose(self, screen: EarlyScreen, facts: Facts, *, whole: bool) -> None:
        from clawtop.commands import Arming
        from clawtop.view.columns import Env
        from clawtop.view.overview import FrameWishes, first_frame

        args, size = self._args, screen.room()
        if size is None:
            return
        wishes = FrameWishes(
            arming=Arming.LOCKED if args.read_only or args.at is not None else Arming.READ_ONLY,
            columns=args.settings["columns"],
            sorting=args.settings["sort"],
            tour=self._tour.lines(size[0]) if self._tour is not None else (),
            scroll_bars=not self._ascii,
        )
        screen.draw(first_frame(Env(facts, facts.now), *size, wishes, whole=whole), size)
