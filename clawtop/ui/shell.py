"""The dashboard's interface for screens, widgets and commands. Everything in ui/ depends on this, not on the app."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Protocol, cast

from textual.dom import DOMNode
from textual.screen import Screen

from clawtop.clock import Clock
from clawtop.commands import Context, Target
from clawtop.core.model import Snapshot
from clawtop.core.source import SnapshotSource
from clawtop.ui.arming import ArmingSwitch
from clawtop.ui.flash import Flash
from clawtop.ui.ports import Executor, Options
from clawtop.ui.theme import ThemeStyles
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.headline import Unread
from clawtop.view.line import Tone

if TYPE_CHECKING:
    from clawtop.ui.jobs import Jobs


class ScreenView(Protocol):
    """A view of the dashboard, as the shell and the commands use it.

    Attributes:
        opened_first: the dashboard opened with it, and the operator has not left it since.
    """

    view_id: str
    opened_first: bool

    @property
    def target(self) -> Target | None:
        """The row under the cursor."""

    @property
    def marked(self) -> tuple[Target, ...]:
        """The rows that the operator marked."""

    def prepare(self, env: Env) -> None:
        """Compute what drawing will need. May run in a thread."""

    def refresh_state(self) -> None:
        """Draw everything from the latest facts."""

    def refresh_time(self) -> None:
        """Draw ages and countdowns."""

    def draw_footer(self) -> None:
        """Draw the footer, or the answer that replaces it for now."""


class Shell(Protocol):
    """The dashboard: one state, one clock, one arming switch, one place to say something.

    Attributes:
        facts: of the snapshot that is shown; None before the first. failure: why the latest could not be read.
        execute: carries plans out; None where nothing can be changed.
        jobs: what this dashboard drives and drains; None where it does neither.
        paused: the screen is frozen.
        labels: session key -> the operator's label.
    """

    clock: Clock
    options: Options
    look: ThemeStyles
    ascii_glyphs: bool
    theme: str
    source: SnapshotSource
    arming: ArmingSwitch
    flash: Flash
    facts: Facts | None
    failure: Unread | None
    execute: Executor | None
    jobs: Jobs | None
    paused: bool
    labels: dict[str, str]

    @property
    def snapshot(self) -> Snapshot | None:
        """The snapshot that is shown."""

    @property
    def now(self) -> int:
        """The present, for countdowns (ms since epoch)."""

    @property
    def env(self) -> Env | None:
        """What rows are made from: the facts of the snapshot and the present."""

    @property
    def mood(self) -> str:
        """What the dashboard itself is doing, for the first line."""

    @property
    def view(self) -> ScreenView:
        """The topmost view, without the dialogs over it."""

    def context(self) -> Context:
        """What commands need to decide whether they can run."""

    def run_command(self, command_id: str) -> None:
        """Run a command of the table, or say why not."""

    def say(self, text: str, tone: Tone = Tone.PLAIN) -> None:
        """Answer a key: the text replaces the footer for a few seconds."""

    def tell(self, text: str, tone: Tone = Tone.ACCENT) -> None:
        """Announce an event: the text replaces the other screens' names for a few seconds."""

    def tell_terminal(self, text: str) -> None:
        """Send a notice to the terminal itself (OSC 9)."""

    def set_label(self, key: str, label: str) -> None:
        """Label a session."""

    def set_paused(self, paused: bool) -> None:
        """Freeze the screen, or show the latest state again."""

    def on_armed(self) -> object:
        """Prepare for operations: the operator has armed the dashboard."""

    def open_palette(self) -> None:
        """Open the command palette."""

    def open(self, screen: Screen[None]) -> None:
        """Push a screen."""

    def to_overview(self) -> None:
        """Close every screen above the overview."""

    def leave(self) -> None:
        """End the dashboard, as `q` does."""

    def to_shell(self) -> None:
        """Suspend the process and give the terminal back to the shell, until the shell continues it."""

    def toast(self, text: str) -> None:
        """Show a few lines in a corner for a while."""

    def clear_toasts(self) -> None:
        """Remove the toasts."""

    def bell(self) -> None:
        """Ring the terminal's bell."""

    def copy_to_clipboard(self, text: str) -> None:
        """Send a text to the terminal's clipboard (OSC 52)."""

    def start(self, work: Coroutine[Any, Any, None], doing: str) -> None:
        """Run something beside the screen; an unexpected error in it is reported. `doing`: "... while doing"."""

    def after_refresh(self, call: Any, *arguments: Any) -> None:
        """Call a function after the next refresh."""


def shell(node: DOMNode) -> Shell:
    """The dashboard that a screen or a widget belongs to."""
    return cast("Shell", node.app)
