"""Commands that change something: plan from the snapshot on the screen, preview, ask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from clawtop.commands import IN_BULK, Arming, Command, Target, TargetKind, command, why_not
from clawtop.core.model import Snapshot
from clawtop.errors import RefusedError
from clawtop.text import safe
from clawtop.ui.ports import Executor
from clawtop.ui.shell import Shell
from clawtop.view.line import Tone

if TYPE_CHECKING:
    from clawtop.core.operations.plan import Plan


def operate(command_id: str) -> Callable[[Shell], None]:
    """A handler that plans and opens the confirmation; or says why not."""

    def handle(app: Shell) -> None:
        from clawtop.ui.screens.confirm import ConfirmScreen
        from clawtop.view.row_plans import plan_for

        item, target, snapshot, execute = command(command_id), app.view.target, app.snapshot, app.execute
        if snapshot is None or execute is None:
            app.say(f"{item.title}: not available in this dashboard", Tone.WARN)
            return
        marked = app.view.marked
        if marked and command_id in IN_BULK:
            _in_bulk(app, item, [each for each in marked if each.kind in item.targets], snapshot, execute)
            return
        try:
            plan = plan_for(command_id, snapshot, target)
        except RefusedError as error:
            app.say(f"{item.title}: {error}", Tone.WARN)
            return
        if plan.is_empty:
            app.say(f"{item.title}: nothing to do, nothing would change", Tone.WARN)
            return
        app.clear_toasts()
        app.open(ConfirmScreen(item, target, plan, execute))

    return handle


def _in_bulk(app: Shell, item: Command, targets: Sequence[Target], snapshot: Snapshot, execute: Executor) -> None:
    from clawtop.ui.screens.bulk import BulkScreen
    from clawtop.view.row_plans import plan_for

    plans: list[tuple[Target, Plan]] = []
    refused: list[str] = []
    for target in targets:
        reason = why_not(item, replace(app.context(), target=target, marked=frozenset()))
        try:
            plan = plan_for(item.id, snapshot, target)
        except RefusedError as error:
            reason = reason or str(error)
        else:
            reason = reason or ("nothing would change" if plan.is_empty else None)
            if reason is None:
                plans.append((target, plan))
        if reason is not None:
            refused.append(f"{_row_name(app, target)}: {reason}")
    if plans:
        app.open(BulkScreen(item, plans, refused, execute))
    else:
        app.say(f"{item.title}: none of the marked rows can be changed ({refused[0] if refused else 'none fits'})")


def _row_name(app: Shell, target: Target) -> str:
    """The name of a lock's row where it was marked; else its id."""
    from clawtop.view.lock_columns import lock_name

    env = app.env
    lock = env.facts.lock(target.id) if env is not None and target.kind is TargetKind.LOCK else None
    return lock_name(lock, env) if lock is not None and env is not None else safe(target.id)


def unlock_refused(app: Shell) -> None:
    """Refuse to remove a lock that a live gateway holds, in a page of its own."""
    from clawtop.ui.screens.reading import ReadingScreen
    from clawtop.view.row_plans import gateway_holds_lines, held_by_gateway

    lock = held_by_gateway(app.snapshot, app.view.target)
    if lock is not None and app.arming.state is Arming.ARMED:
        app.open(ReadingScreen("The live gateway holds this lock", partial(gateway_holds_lines, lock)))
