"""The runs driven by this dashboard, one at a time. They continue when the screen is closed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType

from clawtop.ui.screens.reading import ReadingScreen
from clawtop.ui.shell import shell
from clawtop.view.fitting import cut
from clawtop.view.line import Line, Tone, width_of
from clawtop.view.run_lines import run_lines, run_title

if TYPE_CHECKING:
    from clawtop.ui.driven import DrivenRun
    from clawtop.ui.jobs import Jobs

LOOK_SECONDS = 0.1


class RunScreen(ReadingScreen):
    """Shows a run: F rotates, X cancels, Tab shows the next one. It follows the reply until it is scrolled."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("F", "rotate", show=False),
        Binding("X", "cancel", show=False),
        Binding("tab", "next(1)", show=False, priority=True),
        Binding("shift+tab", "next(-1)", show=False, priority=True),
        Binding("enter,question_mark", "nothing", show=False),
    ]

    def __init__(self, jobs: Jobs, run: DrivenRun) -> None:
        super().__init__("Run", self._lines)
        self._jobs = jobs
        self._run = run
        self._follows = True

    def on_mount(self) -> None:
        super().on_mount()
        self.set_interval(LOOK_SECONDS, self.refresh_time)

    def _lines(self, width: int) -> tuple[Line, ...]:
        app, log = shell(self), self._run.log
        holders = app.snapshot.holders if app.snapshot is not None else ()
        session = app.facts.session(log.request.session, log.request.agent) if app.facts is not None else None
        return run_lines(log, app.now, app.options.zone, width, holders=holders, session=session)

    def refresh_time(self) -> None:
        """Draw the run's latest state."""
        super().refresh_time()
        runs = self._jobs.runs
        place = runs.index(self._run) + 1 if self._run in runs else 1
        bar = self.title_bar
        keys = self._keys(len(runs))
        title = run_title(self._run.log, place, len(runs))
        bar.show((*cut(title, max(0, bar.size.width - width_of(keys))), *keys))
        if self._follows and self._run.under_way:
            self.pane.scroll_to_edge(1)

    def _keys(self, runs: int) -> Line:
        """The keys that do something now."""
        goes_on = self._run.under_way
        steer: Line = ((" F", Tone.KEY), (" rotate ", Tone.DIM), (" X", Tone.KEY), (" cancel ", Tone.DIM))
        more: Line = ((" Tab", Tone.KEY), (" next run ", Tone.DIM)) if runs > 1 else ()
        leave: Line = ((" q", Tone.KEY), (" leaves it running" if goes_on else " closes", Tone.DIM))
        return (*(steer if goes_on else ()), *more, *leave)

    def action_scroll(self, rows: int) -> None:
        self._follows = False
        super().action_scroll(rows)

    def action_page(self, pages: int) -> None:
        self._follows = False
        super().action_page(pages)

    def action_end(self, direction: int) -> None:
        self._follows = direction > 0
        super().action_end(direction)

    def action_rotate(self) -> None:
        """Cancel the attempt and continue with the next profile; nothing is marked."""
        why_not = self._run.rotate()
        if why_not is not None:
            self.notify(why_not, title="Not rotated", severity="warning", markup=False)
        self.refresh_time()

    def action_cancel(self) -> None:
        """Cancel the run."""
        why_not = self._run.cancel()
        if why_not is not None:
            self.notify(why_not, title="Not cancelled", severity="warning", markup=False)

    def action_next(self, step: int) -> None:
        """Show the next run."""
        runs = self._jobs.runs
        if self._run in runs:
            self._run = runs[(runs.index(self._run) + step) % len(runs)]
            self._follows = True
            self.refresh_time()

    def action_nothing(self) -> None:
        """Ignore keys that close other pages."""
