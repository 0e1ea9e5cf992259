"""`clawtop drive --through gateway`: the gateway itself runs the turn, and its reply is streamed."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from clawtop import threads
from clawtop.cli.drive_output import Words, show_text
from clawtop.errors import OperationFailedError, RefusedError
from clawtop.redaction import masked
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot
    from clawtop.engine.gateway.turn import TurnEvent
    from clawtop.store.snapshot import SnapshotReader

SCHEMA = 1
NO_ANSWER, TIMED_OUT, STOPPED = 5, 6, 130
UNKNOWN = "unknown"
OUTCOMES = {"final": "reply", "failed": "failed", "aborted": "cancelled"}
"""How a turn ended, as the engine's own runs say it."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option that chooses who runs the turn."""
    parser.add_argument(
        "--through",
        choices=("engine", "gateway"),
        help="who runs the turn: clawtop's engine, or the gateway (default where clawtop cannot write sessions)",
    )


def run_if_wanted(args: argparse.Namespace, message: str) -> int | None:
    """Run the turn through the gateway, if that is asked for or the only way; its exit code, else None.

    Raises:
        RefusedError: the gateway cannot be asked; it took nothing.
        OperationFailedError: it stopped reporting; the turn may continue.
    """
    if args.through == "engine":
        return None
    from clawtop.cli.common import open_reader

    reader = open_reader(argparse.Namespace(**{**vars(args), "agent": None}))
    if args.through is None and reader.layout.generation is None:
        return None
    snapshot = reader.read()
    if args.through is None and snapshot.storage.drivable:
        return None
    return threads.run(turn_through(args, reader, snapshot, message))


async def turn_through(args: argparse.Namespace, reader: SnapshotReader, snapshot: Snapshot, message: str) -> int:
    """Run one turn through the gateway of `snapshot` and print it. The exit code; raises as `run_if_wanted`."""
    from clawtop.clock import SystemClock
    from clawtop.core.model import GatewayState
    from clawtop.core.nearest import did_you_mean
    from clawtop.engine.gateway.door import Door
    from clawtop.engine.gateway.errors import GatewayCallError, Trouble
    from clawtop.engine.gateway.turn import TurnPhase, send_turn
    from clawtop.store.locks.processes import SystemProcesses

    clock = SystemClock()
    door = Door(lambda: reader.layout, processes=SystemProcesses(), enabled=not args.no_gateway)
    key = session_key(reader, snapshot, args.session, args.agent)
    run_id = f"clawtop-{uuid.uuid4().hex[:16]}"
    output = _GatewayOutput(as_json=args.json, key=key, run_id=run_id)
    taken = False
    try:
        turn = send_turn(door, snapshot.gateway, key, message, run_id=run_id, clock=clock)
        async with clock.timeout(args.timeout if args.timeout is not None else _limit_s(reader)), aclosing(turn):
            async for told in turn:
                taken = True
                output.told(told)
                if told.kind in {TurnPhase.FAILED, TurnPhase.ABORTED}:
                    return NO_ANSWER if told.kind is TurnPhase.FAILED else STOPPED
    except TimeoutError:
        output.failed("timed out; the gateway continues the turn", TIMED_OUT)
        return TIMED_OUT
    except GatewayCallError as error:
        if not taken:
            keys = {row.key for row in snapshot.sessions}
            near = "" if key in keys else did_you_mean(key, keys)
            unknown = f"there is no session {safe(key, 120)}{near}; " if near else ""
            elsewhere = error.trouble in {Trouble.CLOSED, Trouble.SCOPE} and snapshot.gateway.state is GatewayState.LIVE
            hint = f"{unknown}{'openclaw agent can send it' if elsewhere else ''}".removesuffix("; ")
            raise RefusedError(error.words, unchanged="nothing was sent", hint=hint) from error
        lost = OperationFailedError(error.words, hint="the turn may continue in the gateway; clawtop status")
        if not args.json:
            raise lost from error
        output.failed(str(lost), lost.exit_code)
        return lost.exit_code
    return 0


def _limit_s(reader: SnapshotReader) -> float:
    """How long a turn may take by default: like the engine, `agents.defaults.timeoutSeconds`, else 600."""
    from clawtop.engine.drive.opening import DEFAULT_TURN_S
    from clawtop.store.config import run_limit_s

    return run_limit_s(reader.layout.config.raw) or DEFAULT_TURN_S


def session_key(reader: SnapshotReader, snapshot: Snapshot, name: str, agent: str | None) -> str:
    """The session key that a name means: as listed, or the short form of `agent:<agent>:<name>`."""
    from clawtop.core.session.key import agent_of, key_of

    if agent_of(name) is not None:
        return name
    listed = next((row for row in snapshot.sessions if name in {row.key, row.session_id, row.file}), None)
    if listed is not None:
        return listed.key
    default = next((item.id for item in reader.layout.agents if item.is_default), "main")
    return key_of(agent or default, name)


class _GatewayOutput:
    """The reply on stdout as text, or each event as a JSON line, the last of which is the run's end."""

    def __init__(self, *, as_json: bool, key: str, run_id: str) -> None:
        self._as_json = as_json
        self._key = key
        self._run_id = run_id
        self._words = Words()

    def told(self, told: TurnEvent) -> None:
        from clawtop.engine.gateway.turn import TurnPhase

        if self._as_json:
            self._tell(told)
            return
        match told.kind:
            case TurnPhase.DELTA:
                show_text(self._words.add(told.text))
            case TurnPhase.FINAL:
                show_text(self._words.rest() + "\n")
            case TurnPhase.PHASE | TurnPhase.STARTED:
                print(f"clawtop: {told.kind}: {safe(told.text, 100)}", file=sys.stderr)
            case TurnPhase.FAILED | TurnPhase.ABORTED:
                rest = self._words.rest()
                show_text(rest + ("\n" if rest else ""))
                print(f"clawtop: {told.kind}: {safe(told.text, 400)}", file=sys.stderr)

    def _tell(self, told: TurnEvent) -> None:
        from clawtop.engine.gateway.turn import ENDS, TurnPhase

        if told.kind is TurnPhase.DELTA:
            self._text(self._words.add(told.text))
            return
        if told.kind in ENDS:
            self._text(self._words.rest())
        self._line(told.kind, {"text": masked(told.text)})
        if told.kind in ENDS:
            self._end(OUTCOMES[told.kind])

    def _text(self, text: str) -> None:
        if text:
            self._line("delta", {"text": text})

    def _end(self, outcome: str) -> None:
        words = "the gateway's run ended" if outcome != UNKNOWN else "the gateway may continue the run"
        self._line("event", {"kind": "run-end", "text": words, "data": {"outcome": outcome}})

    def failed(self, words: str, code: int) -> None:
        if self._as_json:
            self._text(self._words.rest())
            self._line("error", {"title": words, "exit_code": code})
            self._end(UNKNOWN)
        else:
            show_text(self._words.rest() + "\n")
            print(f"clawtop: {words}", file=sys.stderr)

    def _line(self, kind: str, facts: dict[str, Any]) -> None:
        line = {"schema": SCHEMA, "type": kind, "through": "gateway", "session_key": self._key, "run_id": self._run_id}
        print(json.dumps(line | facts), flush=True)
