"""`clawtop unpin`: remove an auth profile's pin from a session, with OpenClaw's own chat command."""

from __future__ import annotations

import argparse
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.cli import options
from clawtop.cli.operation_output import confirm, print_json, print_lines
from clawtop.errors import OperationFailedError, RefusedError, UsageError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import Session, Snapshot
    from clawtop.engine.gateway.door import Door
    from clawtop.store.snapshot import SnapshotReader

SCHEMA = 1
MESSAGE_SECONDS = 60.0
SETTLE_SECONDS = 10.0
LOOK_SECONDS = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("session", metavar="SESSION", help="a session key")
    parser.add_argument("--dry-run", action="store_true", help="show what would be sent, and send nothing")
    options.yes(parser)
    options.json(parser)


def run(args: argparse.Namespace) -> int:
    """Unpin. Exit 0 done or not pinned, 1 refused, 3 sent and still pinned.

    Raises:
        RefusedError: no such session, or no command removes its pin here; the hint says what to type.
        OperationFailedError: the gateway accepted the command, but the pin is still there.
    """
    from clawtop.cli.common import open_reader
    from clawtop.cli.drive_gateway import session_key
    from clawtop.core.session.unpinning import unpin_messages, words_to_type
    from clawtop.engine.gateway.door import Door
    from clawtop.engine.gateway.errors import GatewayCallError
    from clawtop.store.locks.processes import SystemProcesses

    if args.at is not None:
        raise UsageError("unpin works only on the live state", hint="leave out --at")
    reader = open_reader(argparse.Namespace(**{**vars(args), "agent": None}))
    snapshot = reader.read()
    session = _row(snapshot, session_key(reader, snapshot, args.session, args.agent))
    if session.profile is None:
        _say(args, session, "not-pinned", ("it has no pinned profile",))
        return 0
    models = next((agent.models for agent in snapshot.agents if agent.id == session.agent), ())
    remote = snapshot.semantics.remote
    hint = words_to_type(session, models, remote)
    messages = unpin_messages(session, models, remote)
    if not messages:
        raise RefusedError(
            f"this OpenClaw has no command that removes the pin of {safe(session.profile, 80)}",
            unchanged="nothing was sent",
            hint=hint,
        )
    door = Door(lambda: reader.layout, processes=SystemProcesses(), enabled=not args.no_gateway)
    try:
        door.knock(snapshot.gateway)
    except GatewayCallError as error:
        raise RefusedError(error.words, unchanged="nothing was sent", hint=hint) from error
    plan = (
        f"unpin {safe(session.profile)} from {safe(session.key)}",
        *(f"  send     {message}" for message in messages),
        "  effect   the session's model goes back to its agent's default",
    )
    if args.dry_run:
        _say(args, session, "dry-run", plan)
        return 0
    if not args.yes:
        confirm(plan)
    threads.run(_send(door, reader, snapshot, session, messages))
    _say(args, session, "unpinned", (f"{safe(session.profile)} is no longer pinned to {safe(session.key)}",))
    return 0


async def _send(
    door: Door, reader: SnapshotReader, snapshot: Snapshot, session: Session, messages: tuple[str, ...]
) -> None:
    from clawtop.clock import SystemClock
    from clawtop.engine.gateway.errors import GatewayCallError
    from clawtop.engine.gateway.turn import send_turn

    clock = SystemClock()
    try:
        for message in messages:
            run_id = f"clawtop-{uuid.uuid4().hex[:16]}"
            turn = send_turn(door, snapshot.gateway, session.key, message, run_id=run_id, clock=clock)
            async with clock.timeout(MESSAGE_SECONDS), aclosing(turn):
                async for _ in turn:
                    pass
    except TimeoutError:
        raise OperationFailedError("the gateway did not answer the command in time", hint="clawtop status") from None
    except GatewayCallError as error:
        raise OperationFailedError(error.words, hint="clawtop status shows whether the pin is still there") from error
    until = clock.monotonic() + SETTLE_SECONDS
    while _row(reader.read(), session.key).profile == session.profile:
        if clock.monotonic() > until:
            raise OperationFailedError(
                f"the gateway accepted the command, but {safe(session.profile, 80)} is still pinned",
                hint="clawtop status",
            )
        await clock.sleep(LOOK_SECONDS)


def _row(snapshot: Snapshot, key: str) -> Session:
    found = next((row for row in snapshot.sessions if row.key == key), None)
    if found is None:
        from clawtop.cli.common import unknown_session

        raise unknown_session(snapshot, key, "nothing was sent")
    return found


def _say(args: argparse.Namespace, session: Session, outcome: str, lines: tuple[str, ...]) -> None:
    if args.json:
        print_json(
            {
                "schema": SCHEMA,
                "outcome": outcome,
                "session_key": session.key,
                "profile": session.profile,
                "lines": list(lines),
            }
        )
    else:
        print_lines(lines)
