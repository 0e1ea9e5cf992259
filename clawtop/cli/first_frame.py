"""The dashboard's first frame: drawn from the first snapshot, before what draws the dashboard is imported."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.errors import ClawtopError

if TYPE_CHECKING:
    from clawtop.cli.common import LiveReader
    from clawtop.core.model import Snapshot
    from clawtop.view.tour import Tour


class FirstFrame:
    """What is on the terminal until the dashboard draws. Where it cannot be drawn, nothing is."""

    def __init__(self, args: argparse.Namespace, clock: Clock, tour: Tour | None) -> None:
        from clawtop.ui.early import early_screen
        from clawtop.ui.terminal import given_environment, speaks_unicode

        self._args, self._clock, self._tour = args, clock, tour
        self._ascii = not speaks_unicode(given_environment())
        opens_here = args.view in {None, "overview"}
        self._screen = early_screen(args.theme, os.environ, ascii_glyphs=self._ascii) if opens_here else None

    def read(self) -> tuple[LiveReader, Snapshot | None]:
        """The reader, and its first snapshot, drawn; what keeps it from being read, the dashboard will tell.

        Raises StateUnreadableError, UsageError.
        """
        from clawtop.cli.common import live_reader

        live = live_reader(self._args, self._clock, self._draw_accounts)
        try:
            snapshot = live.reader.read()
        except ClawtopError:
            return live, None
        self._draw(snapshot, whole=True)
        return live, snapshot

    def give_back(self) -> None:
        """Leave the terminal as it was, unless the dashboard has it by now."""
        if self._screen is not None:
            self._screen.give_back()

    def _draw_accounts(self, snapshot: Snapshot) -> None:
        self._draw(snapshot, whole=False)

    def _draw(self, snapshot: Snapshot, *, whole: bool) -> None:
        if self._screen is None:
            return
        try:
            self._compose(snapshot, whole=whole)
        except Exception:  # noqa: BLE001 - the dashboard meets it too, and tells it
            self._screen.give_back()
            self._screen = None

    def _compose(self, snapshot: Snapshot, *, whole: bool) -> None:
        from clawtop.commands import Arming
        from clawtop.view.columns import Env
        from clawtop.view.facts import Facts
        from clawtop.view.overview import FrameWishes, first_frame, first_view

        screen, args = self._screen, self._args
        size = screen.room() if screen is not None else None
        if screen is None or size is None:
            return
        now = snapshot.judged_at if snapshot.judged_at is not None else self._clock.now_ms()
        facts = Facts(snapshot, now, args.agent, labels=args.settings["labels"])
        if whole and args.view is None and first_view(facts) != "overview":
            return
        wishes = FrameWishes(
            arming=Arming.LOCKED if args.read_only or args.at is not None else Arming.READ_ONLY,
            columns=args.settings["columns"],
            sorting=args.settings["sort"],
            tour=self._tour.lines(size[0]) if self._tour is not None else (),
            scroll_bars=not self._ascii,
        )
        screen.draw(first_frame(Env(facts, now), *size, wishes, whole=whole), size)
