"""The table of commands holds together: ids, keys, handlers, verbs, and why a dangerous one cannot run."""

from __future__ import annotations

import importlib
from collections import Counter
from dataclasses import replace

import pytest

from clawtop.commands import (
    COMMANDS,
    Arming,
    Command,
    Context,
    Section,
    Target,
    TargetKind,
    command,
    key_label,
    meant,
    verbs,
    why_not,
)
from clawtop.core import settings
from clawtop.core.incident.timeline import ABOUT, KIND_GROUPS
from clawtop.core.model import EventKind
from clawtop.ui.commands.dispatch import HANDLERS
from clawtop.ui.palettes import THEMES
from clawtop.ui.screens.views import SCREENS, open_view
from clawtop.view.row_plans import PLANNERS
from tests.support.worlds import INCIDENT


def ids() -> list[str]:
    return [item.id for item in COMMANDS]


def test_ids_are_unique_and_kebab_case() -> None:
    assert [name for name, count in Counter(ids()).items() if count > 1] == []
    assert all(name == name.lower() and " " not in name and "_" not in name for name in ids())


def test_no_key_means_two_things() -> None:
    """Outside of a replay; there, what steers it comes first."""
    for replay in (True, False):
        keys = Counter(key for item in COMMANDS for key in item.keys if (item.group is Section.REPLAY) == replay)
        assert [key for key, count in keys.items() if count > 1] == []
    assert meant("mark", replaying=True).id == "replay-play"
    assert meant("mark", replaying=False).id == "mark"
    assert meant("help", replaying=True).id == "help"


def test_every_key_reads_well() -> None:
    labels = [key_label(key) for item in COMMANDS for key in item.keys]
    assert all(len(label) <= 5 and "_" not in label for label in labels), labels


def test_every_command_with_a_key_has_exactly_one_handler() -> None:
    assert sorted(HANDLERS) == sorted(item.id for item in COMMANDS if item.keys)


def test_every_plan_is_a_dangerous_command() -> None:
    assert {command(command_id).dangerous for command_id in PLANNERS} == {True}


def test_each_view_and_theme_that_can_be_set_is_there() -> None:
    assert tuple(SCREENS) == tuple(view for view in settings.VIEWS if view != "overview")
    assert THEMES == settings.THEMES


@pytest.mark.parametrize("command_id", SCREENS)
def test_every_view_is_a_command_and_opens(command_id: str) -> None:
    assert command(command_id).keys
    assert open_view(command_id).view_id == command_id


@pytest.mark.parametrize("item", verbs(), ids=lambda item: str(item.verb))
def test_every_verb_is_a_module_with_options_and_a_run(item: Command) -> None:
    module = importlib.import_module(f"clawtop.cli.{item.verb}")
    assert callable(module.add_arguments)
    assert callable(module.run)


def test_dangerous_commands_need_arming_and_say_so() -> None:
    for item in (item for item in COMMANDS if item.dangerous):
        kind = next(iter(item.targets), None)
        context = Context(INCIDENT, Target(kind, "x", "main") if kind else None)
        reason = why_not(item, context)
        assert reason, item.id
        locked = why_not(item, Context(INCIDENT, context.target, Arming.LOCKED, undoable=True))
        assert locked, item.id


def test_nothing_that_changes_anything_runs_in_a_replay() -> None:
    for item in COMMANDS:
        for kind in item.targets or {None}:
            context = Context(
                INCIDENT,
                Target(kind, "x", "main") if kind else None,
                Arming.ARMED,
                undoable=True,
                own_runs=frozenset({"x"}),
                replaying=True,
            )
            if item.dangerous:
                for row in (None, Target(TargetKind.HOST, "x")):  # not one that the command acts on
                    assert why_not(item, replace(context, target=row)) == "a recording is being replayed", item.id
            if item.dangerous or item.group is Section.DRIVE or item.id == "record":
                assert why_not(item, context) == "a recording is being replayed", item.id


def test_a_replay_is_steered_only_in_a_replay() -> None:
    for item in (item for item in COMMANDS if item.group is Section.REPLAY):
        assert why_not(item, Context(INCIDENT)) is not None
        assert why_not(item, Context(INCIDENT, replaying=True)) is None


def test_what_narrows_the_timeline_says_where_it_belongs() -> None:
    for name in ("kinds", "background"):
        assert why_not(command(name), Context(INCIDENT, view="overview")) == "it belongs to the timeline (4)"
        assert why_not(command(name), Context(INCIDENT, view="timeline")) is None
    row = Target(TargetKind.PROFILE, "x", "main")
    assert why_not(command("only"), Context(INCIDENT, row, view="overview")) is None
    assert "it belongs to the tree (2)" in str(why_not(command("jump"), Context(INCIDENT, row, view="overview")))
    assert why_not(command("jump"), Context(INCIDENT, row, view="tree")) is None


def test_every_kind_of_event_is_in_a_group_or_is_its_own_news() -> None:
    grouped = frozenset().union(*KIND_GROUPS.values())
    assert set(EventKind) - grouped == {EventKind.NOTICE}
    assert ABOUT == ("profile", "session", "lane")
