"""The dashboard's ports: the source of snapshots, the executor, drains, runs; and the options it is started with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import field
from datetime import tzinfo
from typing import TYPE_CHECKING, Protocol

from clawtop.core.model import Event, Snapshot
from clawtop.errors import ClawtopError
from clawtop.values import dataclass
from clawtop.view.replay_words import Position

if TYPE_CHECKING:
    from clawtop.core.operations.plan import Plan
    from clawtop.core.operations.receipt import Receipt
    from clawtop.core.session.attention import AttentionReport
    from clawtop.core.session.drain import DrainListener, DrainOutcome, DrainPreview, DrainRequest
    from clawtop.core.session.recovery import SessionRecovery
    from clawtop.core.session.turn_request import TurnRequest
    from clawtop.engine.drive.events import RunItem
    from clawtop.engine.drive.turn import TurnAnswer
    from clawtop.view.tour import Tour


class StoreHolder(Protocol):
    """The process that holds the store's lock while an operation waits for it: `store.auth.machine.LockOwner`."""

    @property
    def text(self) -> str: ...
    @property
    def pid(self) -> int | None: ...


class Executor(Protocol):
    """Executes plans: `engine.operations.execute.Operations`, made when the dashboard is armed."""

    async def __call__(self, plan: Plan, snapshot: Snapshot, on_wait: Callable[[StoreHolder], None]) -> Receipt:
        """Execute. Raises ClawtopError."""


class Draining(Protocol):
    """One drain of one session: `engine.drain.drainer.Drainer`."""

    drain_id: str

    def preview(self, told: Callable[[DrainPreview], None]) -> DrainPreview:
        """What is held and what a drain would do. Only reads. Runs in a thread.

        Args:
            told: receives, in that thread, what is known before a gateway has answered.
        """

    async def drain(self) -> DrainOutcome:
        """Drain the session; cancelling stops the drain and reopens the session. Raises ClawtopError."""


class Drains(Protocol):
    """Prepares drains."""

    @property
    def can_abort(self) -> bool:
        """Whether the gateway may be asked to abort its run."""

    def prepare(self, request: DrainRequest, listener: DrainListener) -> Draining:
        """A drain. Raises ClawtopError. Runs in a thread."""


class RunHandle(Protocol):
    """One run: `engine.drive.handle.Drive`."""

    run_id: str

    def __aiter__(self) -> AsyncIterator[RunItem]:
        """The run's events, until it is over."""

    def rotate(self) -> str | None:
        """Continue with the next profile, without a mark. Returns why that is not possible, or None."""

    def cancel(self) -> None:
        """Cancel the run."""

    async def ended(self) -> None:
        """Wait until it is over, whatever its outcome."""

    async def result(self) -> TurnAnswer:
        """The reply. Raises ClawtopError, or CancelledError if the run was cancelled."""


class Engine(Protocol):
    """Drives sessions: `engine.drive.driver.Driver`."""

    @property
    def journal_problem(self) -> ClawtopError | None:
        """Why the journal could not be written; None if it could."""

    def drive(self, request: TurnRequest) -> RunHandle:
        """Begin a turn; needs a running event loop."""

    async def aclose(self) -> None:
        """Cancel every run and release everything."""


class Recoveries(Protocol):
    """Recovers stuck sessions."""

    def assess(self, session: str, agent: str | None) -> AttentionReport | None:
        """Why a session is stuck, if it is. Raises ClawtopError. Runs in a thread."""

    async def recover(
        self, engine: Engine, session: str, agent: str | None, wait_s: float, told: Callable[[str], None]
    ) -> SessionRecovery:
        """Recover a session and report each step; `engine` is what `JobPorts.engine` made. Raises ClawtopError."""


@dataclass(frozen=True, slots=True)
class JobPorts:
    """What the dashboard needs to drain, recover and drive. `engine` runs in a thread and may raise ClawtopError."""

    drains: Drains
    engine: Callable[[], Engine]
    recoveries: Recoveries


class TapeControl(Protocol):
    """Records the snapshots that the screen gets, while it is on: `engine.live.tape.Tape`."""

    @property
    def recording(self) -> str | None:
        """The file of the recording under way; None while it is off."""

    def take(self, snapshot: Snapshot) -> None:
        """Take the snapshot that is on the screen; it is recorded if the tape is on."""

    def start(self) -> str:
        """Begin a recording. Returns its file. Raises ClawtopError."""

    def stop(self) -> str:
        """End the recording. Returns its file. Raises ClawtopError."""


class Playback(Position, Protocol):
    """A recording that plays in place of the hub: `engine.live.player.Player`."""

    @property
    def problem(self) -> str | None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
    def seek(self, at: int) -> None: ...
    def step(self, frames: int) -> None: ...
    def faster(self, steps: int) -> None: ...
    def next_event(self) -> Event | None: ...
    def event_before(self) -> Event | None: ...


@dataclass(frozen=True, slots=True)
class IncidentPorts:
    """What the incident views can do besides showing; None for what this dashboard cannot do.

    Attributes:
        save: writes the incident file of a snapshot, judged at a time (ms since epoch); returns its path, raises
            ClawtopError. Runs in a thread.
        bell, notify: notices also ring, or are sent to the terminal as OSC 9.
        on_notice: called with each notice too; it never blocks and never raises.
        blocked_minutes: a session blocked for this many minutes gets a notice.
        opens: id of the view to open first; None: the tree when something is blocked, else the overview.
    """

    save: Callable[[Snapshot, int], str] | None = None
    tape: TapeControl | None = None
    playback: Playback | None = None
    bell: bool = False
    notify: bool = False
    on_notice: Callable[[str], None] | None = None
    blocked_minutes: float = 5.0
    opens: str | None = "overview"


CONFIG_FILE = "clawtop's config file"


@dataclass(frozen=True, slots=True)
class Options:
    """The options that the dashboard is started with.

    Attributes:
        zone: of the clock times; None is this machine's.
        labels: session key -> the operator's label. save_label: keeps one; it runs in a thread and raises
            ClawtopError.
        sorting: table -> the column it is sorted by, with a leading `-` for descending. save_look: keeps a theme and
            such orders; it runs in a thread and raises ClawtopError.
        kept_in: the name of the file that both write to, for people.
        ascii_glyphs: the terminal's encoding has ASCII characters only.
        incident: the ports of the incident views.
        columns: table -> the columns to show, in their order.
        tour: questions and their keys, shown one after the other at the foot of each view.
        of_fleet: it was opened from the fleet's screen, and leaving it leads back there.
    """

    read_only: bool = False
    mouse: bool = True
    theme: str | None = None
    agent: str | None = None
    zone: tzinfo | None = None
    ascii_glyphs: bool = False
    labels: Mapping[str, str] = field(default_factory=dict)
    save_label: Callable[[str, str], None] | None = None
    sorting: Mapping[str, str] = field(default_factory=dict)
    save_look: Callable[[str, Mapping[str, str]], None] | None = None
    kept_in: str = CONFIG_FILE
    incident: IncidentPorts = field(default_factory=IncidentPorts)
    columns: Mapping[str, Sequence[str]] = field(default_factory=dict)
    tour: Tour | None = None
    of_fleet: bool = False
