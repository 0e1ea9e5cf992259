"""THE table of commands. Keys, footer, palette, help, shell verbs and the README's list all come from `COMMANDS`.

A command is disabled with a reason, never hidden: `why_not(command, context)` gives the reason, or None when it
can run. Titles are verbs; `help` is one sentence for an operator.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import Lock, LockKind, Snapshot, VerdictKind
from clawtop.core.operations.target import why_not_writable
from clawtop.text import safe


class TargetKind(StrEnum):
    """What a row stands for. A command says which kinds it acts on."""

    PROFILE = "profile"
    PROVIDER = "provider"
    SESSION = "session"
    LOCK = "lock"
    RUN = "run"
    LANE = "lane"
    EVENT = "event"
    WARNING = "warning"
    HOST = "host"


class Target(NamedTuple):
    """The row under the cursor, by exact id. `agent` is the agent whose view the row belongs to.

    Ids: profile id, provider id, session key, lock path, run id, lane name.
    """

    kind: TargetKind
    id: str
    agent: str | None = None
    provider: str | None = None
    session_key: str | None = None


class Arming(StrEnum):
    """Whether operations may be started from the screen."""

    READ_ONLY = "READ-ONLY"
    ARMED = "ARMED"
    LOCKED = "READ-ONLY (locked)"
    """Started with `--read-only`, or replaying: it cannot be armed."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a command needs to know to say whether it can run."""

    snapshot: Snapshot | None = None
    target: Target | None = None
    arming: Arming = Arming.READ_ONLY
    undoable: bool = False
    own_runs: frozenset[str] = frozenset()
    underway: bool = False
    busy: str | None = None
    replaying: bool = False
    view: str = ""
    marked: frozenset[TargetKind] = frozenset()
    """Kinds of the marked rows: a command that acts on all of them is judged row by row, in its preview."""


class Section(StrEnum):
    """Sections of the help and of the README's key list."""

    LOOK = "Look"
    INCIDENT = "Incident"
    MOVE = "Move"
    OPERATE = "Operate"
    DRIVE = "Drive"
    REPLAY = "Replay"
    SHELL = "Shell only"


Check = Callable[[Context], str | None]


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        id: stable kebab-case name; the Textual action and the palette use it.
        keys: keys in Textual's notation, the first one is shown.
        targets: kinds of row it acts on; empty: the whole screen.
        views: views on which it means something; empty: all of them.
        dangerous: changes someone else's state: needs ARMED, a preview and a confirmation.
        lasting: the verb's work counts, whether or not anybody takes the words about it; so of every dangerous one.
        footer: shown in the footer line.
        verb: the shell verb that does the same, if any.
        usage: the verb's arguments, for README and help.
        check: a further reason why it cannot run.
    """

    id: str
    title: str
    help: str
    group: Section
    keys: tuple[str, ...] = ()
    targets: frozenset[TargetKind] = frozenset()
    views: tuple[str, ...] = ()
    dangerous: bool = False
    lasting: bool = False
    footer: bool = False
    verb: str | None = None
    usage: str = ""
    check: Check | None = None


def _arm(context: Context) -> str | None:
    return "this dashboard was started read-only" if context.arming is Arming.LOCKED else None


def _writable_store(context: Context) -> str | None:
    snapshot = context.snapshot
    return "the generation of this state directory is not known" if snapshot is None else why_not_writable(snapshot)


def _stale_lock(context: Context) -> str | None:
    lock = next((lock for lock in _locks(context) if context.target and lock.file.path == context.target.id), None)
    if lock is None:
        return "this lock is gone"
    if lock.file.kind is LockKind.GATEWAY:
        return "a gateway's own lock is never removed"
    if lock.verdict.kind is VerdictKind.STALE:
        return None
    return f"its owner is not proven dead ({safe(proof_words(lock.verdict.reasons) or lock.verdict.kind)})"


def _locks(context: Context) -> Iterable[Lock]:
    return context.snapshot.locks if context.snapshot else ()


def _undoable(context: Context) -> str | None:
    return None if context.undoable else "there is nothing to undo"


def _own_run(context: Context) -> str | None:
    refusal = _not_replaying(context)
    if refusal is None and context.target is not None and own_run_name(context.target) not in context.own_runs:
        return "only this dashboard's own runs can be steered"
    return refusal


def own_run_name(target: Target) -> str:
    """By which name `Context.own_runs` knows a row: a run by its id, a session by agent and key."""
    return f"{target.agent}|{target.id}" if target.kind is TargetKind.SESSION else target.id


def _not_replaying(context: Context) -> str | None:
    return "a recording is being replayed" if context.replaying else None


def _replaying(context: Context) -> str | None:
    return None if context.replaying else "only while clawtop replay plays"


def _drivable(context: Context) -> str | None:
    snapshot = context.snapshot
    if snapshot is not None and not snapshot.storage.drivable:
        return f"generation {snapshot.generation or 'unknown'}: clawtop drives sessions of 2026.3 to 2026.7"
    return _not_replaying(context)


def _drainable(context: Context) -> str | None:
    target = context.target
    lock = next((lock for lock in _locks(context) if target is not None and lock.file.path == target.id), None)
    if lock is not None and lock.file.kind is not LockKind.SESSION:
        return "not a session lock"
    return _not_replaying(context)


def _underway(context: Context) -> str | None:
    return _not_replaying(context) or (None if context.underway else "this dashboard has no run and no drain")


_P, _V, _S, _L, _R = (
    TargetKind.PROFILE,
    TargetKind.PROVIDER,
    TargetKind.SESSION,
    TargetKind.LOCK,
    TargetKind.RUN,
)
_ROW = frozenset(TargetKind)

COMMANDS: tuple[Command, ...] = (
    Command(
        "overview",
        "Overview",
        "Profiles, sessions and locks, with the detail of the row under the cursor.",
        Section.LOOK,
        ("1",),
    ),
    Command(
        "tree",
        "Tree",
        "Who waits for whom, since when, and the key that ends it. Opens by itself when something is blocked.",
        Section.INCIDENT,
        ("2",),
    ),
    Command("lanes", "Lanes", "Load and waits of each lane, collisions and takeovers.", Section.INCIDENT, ("3",)),
    Command("timeline", "Timeline", "How it came to this, the newest first.", Section.INCIDENT, ("4",)),
    Command("forecast", "Forecast", "When each agent can answer again, and who is stranded.", Section.INCIDENT, ("5",)),
    Command(
        "jump",
        "Jump",
        "Jump to the matching row of the overview; in the tree, to the root cause first.",
        Section.INCIDENT,
        ("o",),
        _ROW,
        views=("tree", "lanes", "timeline", "forecast"),
        footer=True,
    ),
    Command(
        "only",
        "Events",
        "Show only the events of this row; in the timeline narrow further: its profile, session, lane, all again.",
        Section.INCIDENT,
        ("f",),
        frozenset(
            {TargetKind.PROFILE, TargetKind.SESSION, TargetKind.LOCK, TargetKind.RUN, TargetKind.LANE, TargetKind.EVENT}
        ),
        footer=True,
    ),
    Command(
        "kinds",
        "Kinds",
        "Show only the next group of kinds, such as contention; after the last, all.",
        Section.INCIDENT,
        ("v",),
        views=("timeline",),
        footer=True,
    ),
    Command(
        "background",
        "Routine",
        "Show or hide routine events.",
        Section.INCIDENT,
        ("B",),
        views=("timeline",),
        footer=True,
    ),
    Command(
        "bundle",
        "Save incident",
        "Write status, tree, timeline, warnings and versions to one redacted file, to paste or to replay.",
        Section.INCIDENT,
        ("b",),
        verb="bundle",
        usage="[--out FILE|-] [--json]",
    ),
    Command(
        "record",
        "Record",
        "Start recording; press again to stop.",
        Section.INCIDENT,
        ("ctrl+r",),
        verb="record",
        usage="[--out FILE] [--seconds S]",
        check=_not_replaying,
    ),
    Command("warnings", "Warnings", "All known problems.", Section.LOOK, ("w",)),
    Command("detail", "Detail", "Show this row in full.", Section.LOOK, ("enter",), _ROW, footer=True),
    Command(
        "filter",
        "Filter",
        "Show only rows that match a text, in a cell or an id; Escape clears it.",
        Section.LOOK,
        ("slash",),
        footer=True,
    ),
    Command(
        "sort",
        "Sort",
        "Sort this table by the next column; after the last: its own order. A click on a heading does the same.",
        Section.LOOK,
        ("s",),
    ),
    Command("sort-reverse", "Reverse", "Reverse the sort order.", Section.LOOK, ("S",)),
    Command(
        "mark",
        "Mark",
        "Mark this row, or unmark it: unlock and clear then act on all marked rows, with one preview.",
        Section.LOOK,
        ("space",),
        frozenset({TargetKind.PROFILE, TargetKind.LOCK}),
        views=("overview",),
        footer=True,
    ),
    Command("pause", "Pause", "Freeze the screen; the state is still read.", Section.LOOK, ("p",), footer=True),
    Command("refresh", "Read now", "Read the whole state directory now.", Section.LOOK, ("f5",)),
    Command(
        "copy",
        "Copy id",
        "Copy the exact id of this row to the terminal's clipboard (OSC 52).",
        Section.LOOK,
        ("y",),
        _ROW,
    ),
    Command(
        "label",
        "Label",
        "Label this session, in clawtop's config file; shown instead of its key everywhere.",
        Section.LOOK,
        ("L",),
        frozenset({_S}),
    ),
    Command("theme", "Theme", "Next colour theme.", Section.LOOK, ("t",)),
    Command(
        "save-look",
        "Save look",
        "Save the theme and how this screen's tables are sorted, in clawtop's config file.",
        Section.LOOK,
        ("T",),
    ),
    Command("palette", "Palette", "Find any command by name.", Section.LOOK, ("colon", "ctrl+p"), footer=True),
    Command("help", "Help", "Every key and what it does.", Section.LOOK, ("question_mark",), footer=True),
    Command("up", "Up", "One row up.", Section.MOVE, ("k", "up")),
    Command("down", "Down", "One row down.", Section.MOVE, ("j", "down")),
    Command("page-up", "Page up", "One page up.", Section.MOVE, ("pageup", "ctrl+b")),
    Command("page-down", "Page down", "One page down.", Section.MOVE, ("pagedown", "ctrl+f")),
    Command("first", "First row", "To the first row.", Section.MOVE, ("g", "home")),
    Command("last", "Last row", "To the last row.", Section.MOVE, ("G", "end")),
    Command(
        "zoom",
        "Zoom",
        "Maximize this table; press again to restore.",
        Section.LOOK,
        ("plus",),
        views=("overview",),
    ),
    Command("next-pane", "Next pane", "Move to the next table.", Section.MOVE, ("tab",)),
    Command("previous-pane", "Previous pane", "Move to the previous table.", Section.MOVE, ("shift+tab",)),
    Command(
        "back",
        "Back",
        "Go back one step: clear the filter, the marks, the zoom; then leave this screen for the overview.",
        Section.MOVE,
        ("escape",),
        footer=True,
    ),
    Command(
        "quit",
        "Quit",
        "Leave the dashboard; from a screen that you opened: go back.",
        Section.MOVE,
        ("q",),
        footer=True,
    ),
    Command(
        "arm",
        "Arm",
        "Allow operations for a few minutes; press again for read-only.",
        Section.OPERATE,
        ("a",),
        footer=True,
        check=_arm,
    ),
    Command(
        "clear",
        "Clear cooldown",
        "Clear this profile's cooldown, disable and error counts.",
        Section.OPERATE,
        ("c",),
        frozenset({_P}),
        dangerous=True,
        footer=True,
        verb="clear",
        usage="PROFILE [--model M] | --provider P",
        check=_writable_store,
    ),
    Command(
        "clear-model",
        "Clear model scope",
        "Clear only the model-scoped cooldown of this profile.",
        Section.OPERATE,
        ("m",),
        frozenset({_P}),
        dangerous=True,
        check=_writable_store,
    ),
    Command(
        "clear-provider",
        "Clear provider",
        "Clear all profiles of this provider in one lock hold.",
        Section.OPERATE,
        ("C",),
        frozenset({_P, _V}),
        dangerous=True,
        check=_writable_store,
    ),
    Command(
        "rotate",
        "Force-rotate",
        "Move the head of this provider's order to its end.",
        Section.OPERATE,
        ("r",),
        frozenset({_P, _V}),
        dangerous=True,
        footer=True,
        verb="rotate",
        usage="PROVIDER [--reset]",
        check=_writable_store,
    ),
    Command(
        "rotate-reset",
        "Reset order",
        "Remove this provider's stored order; rotation by last use resumes.",
        Section.OPERATE,
        ("R",),
        frozenset({_P, _V}),
        dangerous=True,
        check=_writable_store,
    ),
    Command(
        "unlock",
        "Unlock",
        "Remove this lock: its owner is proven dead.",
        Section.OPERATE,
        ("u",),
        frozenset({_L}),
        dangerous=True,
        footer=True,
        verb="unlock",
        usage="SESSION|PATH",
        check=_stale_lock,
    ),
    Command(
        "drain",
        "Drain",
        "Free a stuck session in guided stages: close, wait, stop, remove a proven stale lock, prove, reopen.",
        Section.OPERATE,
        ("d",),
        frozenset({_S, _L, _R}),
        dangerous=True,
        footer=True,
        verb="drain",
        usage="SESSION [--dry-run] [--fresh] [--resume ID]",
        check=_drainable,
    ),
    Command(
        "recover",
        "Recover",
        "Recover a stuck session: wait, then drain it, or copy it to a fresh session id. Nothing is sent again.",
        Section.OPERATE,
        ("V",),
        frozenset({_S, _L, _R}),
        dangerous=True,
        verb="recover",
        usage="SESSION [--wait S] [--dry-run]",
        check=_drainable,
    ),
    Command(
        "undo",
        "Undo",
        "Undo the last operation, unless the state has changed since.",
        Section.OPERATE,
        ("z",),
        dangerous=True,
        verb="undo",
        usage="[ID]",
        check=_undoable,
    ),
    Command(
        "drive",
        "Drive",
        "Send a message to a session and stream the reply, with rotation, marks and model fallback.",
        Section.DRIVE,
        ("D",),
        frozenset({_S}),
        dangerous=True,
        footer=True,
        verb="drive",
        usage="--session KEY|FILE [--message TEXT] [--new] [--batch FILE|-] [--list] [--through engine|gateway]",
        check=_drivable,
    ),
    Command(
        "unpin",
        "Unpin",
        "Remove a session's pin, with OpenClaw's own chat command.",
        Section.SHELL,
        lasting=True,
        verb="unpin",
        usage="SESSION [--dry-run] [--yes] [--json]",
    ),
    Command(
        "run-rotate",
        "Rotate this run",
        "Cancel this run's attempt and continue with the next profile; nothing is marked.",
        Section.DRIVE,
        ("F",),
        frozenset({_S, _R}),
        check=_own_run,
    ),
    Command(
        "run-cancel",
        "Cancel this run",
        "Cancel this run and release everything it holds.",
        Section.DRIVE,
        ("X",),
        frozenset({_S, _R}),
        check=_own_run,
    ),
    Command(
        "underway",
        "Under way",
        "Watch what this dashboard drives or drains: this row's run, else the drain, else the latest run.",
        Section.DRIVE,
        ("W",),
        check=_underway,
    ),
    Command("replay-play", "Play / stop", "Play or pause.", Section.REPLAY, ("space",), check=_replaying),
    Command("replay-step", "Step", "Pause; step forward.", Section.REPLAY, ("full_stop",), check=_replaying),
    Command("replay-step-back", "Step back", "Step back.", Section.REPLAY, ("comma",), check=_replaying),
    Command("replay-faster", "Faster", "Twice the speed.", Section.REPLAY, ("right_square_bracket",), check=_replaying),
    Command("replay-slower", "Slower", "Half the speed.", Section.REPLAY, ("left_square_bracket",), check=_replaying),
    Command(
        "replay-forward", "Forward", "Ten seconds on.", Section.REPLAY, ("greater_than_sign", "right"), check=_replaying
    ),
    Command("replay-back", "Back", "Ten seconds back.", Section.REPLAY, ("less_than_sign", "left"), check=_replaying),
    Command(
        "replay-event",
        "Next event",
        "Jump to the next event and pause.",
        Section.REPLAY,
        ("e",),
        check=_replaying,
    ),
    Command(
        "replay-event-back",
        "Event before",
        "Jump to the previous event and pause.",
        Section.REPLAY,
        ("E",),
        check=_replaying,
    ),
    Command(
        "replay",
        "Replay",
        "Play a recording or an incident file in the dashboard, read-only.",
        Section.SHELL,
        verb="replay",
        usage="FILE [--speed X] [--paused]",
    ),
    Command(
        "config",
        "Config",
        "The settings in force, as a config file; --set saves one.",
        Section.SHELL,
        verb="config",
        usage="[--set NAME=VALUE] [--path] [--json]",
    ),
    Command(
        "completion",
        "Completion",
        "Completion for a shell, with profile ids and session keys.",
        Section.SHELL,
        verb="completion",
        usage="bash|zsh|fish",
    ),
    Command(
        "man",
        "Manual page",
        "The manual page, for man -l.",
        Section.SHELL,
        verb="man",
    ),
    Command(
        "order",
        "Order",
        "Store the order in which a provider's profiles are tried; one left out is paused.",
        Section.SHELL,
        lasting=True,
        verb="order",
        usage="PROVIDER [ID ...] [--without ID] [--reset]",
    ),
    Command(
        "doctor",
        "Doctor",
        "Check the configuration and this machine for problems.",
        Section.SHELL,
        verb="doctor",
        usage="[--json]",
    ),
    Command(
        "export",
        "Export",
        "Metrics for Prometheus, over HTTP or as a text file; alert rules; a dashboard for Grafana.",
        Section.SHELL,
        verb="export",
        usage="[--listen ADDRESS:PORT | --textfile PATH] [--once] [--rules] [--dashboard]",
    ),
    Command(
        "receipt",
        "Receipt",
        "What became of an operation: done, not done, or begun with no known end.",
        Section.SHELL,
        verb="receipt",
        usage="ID [--json]",
    ),
    Command(
        "fleet",
        "Fleet",
        "Several hosts at once: how each stands, which accounts they share, who can still answer.",
        Section.SHELL,
        verb="fleet",
        usage="[status] --host H [--host H ...] [--hosts FILE] [--json] [--check]",
    ),
    Command(
        "stream",
        "Stream",
        "Stream this host's state to a fleet dashboard elsewhere.",
        Section.SHELL,
        verb="stream",
    ),
    Command(
        "probe",
        "Probe",
        "Ask each account of a provider one small question: usable, limited until when, or dead and why.",
        Section.SHELL,
        lasting=True,
        verb="probe",
        usage="[PROFILE ...] [--provider P | --all] [--mark] [--json]",
    ),
    Command(
        "selftest",
        "Selftest",
        "Replay the five outages that this engine was built for, and measure.",
        Section.SHELL,
        verb="selftest",
        usage="[--json]",
    ),
    Command(
        "demo",
        "Demo",
        "Watch a small demo world run on the real engine, in a temporary directory.",
        Section.SHELL,
        verb="demo",
        usage="[--tour | --scenario NAME] [--seed N] [--headless SECONDS]",
    ),
    Command(
        "explain",
        "Explain",
        "Why an error was classified as it was and what follows; why a profile is or is not next.",
        Section.SHELL,
        verb="explain",
        usage="error TEXT|- | profile ID",
    ),
    Command(
        "status",
        "Status",
        "The state as text, or JSON for scripts.",
        Section.SHELL,
        verb="status",
        usage="[--json] [--check] [--watch]",
    ),
)
"""Every command, in the order in which help lists them."""


MOST_KINDS = 3
"""Kinds of row that a refusal names."""

IN_BULK = frozenset({"clear", "unlock"})
"""Commands that act on all marked rows at once."""


def command(command_id: str) -> Command:
    """The command with this id. Raises KeyError."""
    return _BY_ID[command_id]


def verbs() -> tuple[Command, ...]:
    """The commands that the shell knows, in table order, one for each verb."""
    seen: dict[str, Command] = {}
    for item in COMMANDS:
        if item.verb:
            seen.setdefault(item.verb, item)
    return tuple(seen.values())


def why_not(item: Command, context: Context) -> str | None:
    """Why `item` cannot run now, as a sentence fragment for a person; None when it can."""
    if item.views and context.view not in item.views:
        return f"it belongs to {_places(item.views)}"
    in_bulk = bool(context.marked & item.targets) and item.id in IN_BULK
    if not in_bulk and item.targets and (context.target is None or context.target.kind not in item.targets):
        kinds = sorted(f"an {kind}" if kind[0] in "aeiou" else f"a {kind}" for kind in item.targets)
        return f"move to {_either(kinds) if len(kinds) <= MOST_KINDS else 'another row'} first"
    if item.dangerous:
        checked = item.check(context) if item.check and not in_bulk else None
        refusal = _not_replaying(context) or checked
        if refusal:
            return refusal
        if context.busy:
            return context.busy
        if context.arming is not Arming.ARMED:
            return _arm(context) or f"{Arming.READ_ONLY}: press {key_label(command('arm').keys[0])} to arm"
        return None
    return item.check(context) if item.check else None


def _places(views: tuple[str, ...]) -> str:
    """`the timeline (4)`."""
    return _either([f"the {view} ({key_label(command(view).keys[0])})" for view in views])


def _either(words: Sequence[str]) -> str:
    """`a lock, a run or a session`."""
    *most, last = words
    return f"{', '.join(most)} or {last}" if most else last


def meant(command_id: str, *, replaying: bool) -> Command:
    """The command that a key stands for: in a replay, one that steers it comes first."""
    item = command(command_id)
    keys = set(item.keys)
    steering = (each for each in COMMANDS if each.group is Section.REPLAY and keys & set(each.keys))
    return next(steering, item) if replaying else item


_KEY_LABELS = {
    "colon": ":",
    "question_mark": "?",
    "slash": "/",
    "enter": "⏎",
    "tab": "Tab",
    "shift+tab": "⇧Tab",
    "space": "Space",
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "plus": "+",
    "escape": "Esc",
    "f5": "F5",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "comma": ",",
    "left": "←",
    "right": "→",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


def key_label(key: str) -> str:
    """How a key of Textual's notation is written for people."""
    if key in _KEY_LABELS:
        return _KEY_LABELS[key]
    return "^" + key.removeprefix("ctrl+").upper() if key.startswith("ctrl+") else key


_BY_ID = {item.id: item for item in COMMANDS}
