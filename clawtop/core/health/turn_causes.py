"""Causes in the turns themselves: failed, dropped, hung, and messages without an answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

from clawtop.core.health.advice import advice
from clawtop.core.health.cause import (
    FAILING_FROM,
    JUST_NOW_MS,
    RETRYING_FROM,
    UNANSWERED_MS,
    Cause,
    HealthScene,
    Level,
)
from clawtop.core.health.in_force import unknown_chains
from clawtop.core.health.silence import Silence, silence_of
from clawtop.core.health.turns import RecentTurn
from clawtop.core.health.waiting import Doubt, Unanswered
from clawtop.core.health.wording import SHOWN, some_names
from clawtop.core.model import (
    GatewayState,
    TurnOutcome,
    counted,
    span,
)
from clawtop.core.session.activity import running_since
from clawtop.core.session.attention import retry_of
from clawtop.core.session.key import short_key
from clawtop.core.session.listed import working
from clawtop.text import safe, shown


def failing_turns(scene: HealthScene) -> Iterator[Cause]:
    """Agents whose last turns all failed, and single recent failures."""
    by_agent: dict[str, list[RecentTurn]] = defaultdict(list)
    for turn in scene.turns:
        by_agent[turn.agent].append(turn)
    for agent, turns in by_agent.items():
        row: list[RecentTurn] = []
        for turn in reversed(turns):
            if turn.succeeded:
                break
            if turn.failed:
                row.append(turn)
        if len(row) >= FAILING_FROM:
            first = row[-1]
            why = _reasons(row)
            yield Cause(
                "turns-failing",
                f"the last {len(row)} turns of {safe(agent, 40)} failed{why}",
                Level.SILENT,
                tuple(_told(turn, scene.now) for turn in row[:SHOWN]),
                _advice(row) or "see the timeline for why",
                since=first.turn.at,
                agents=(agent,),
                sessions=tuple(dict.fromkeys(turn.session for turn in row)),
            )
            continue
        fresh = [turn for turn in turns if turn.failed and (turn in row or scene.now - turn.turn.at <= JUST_NOW_MS)]
        if fresh:
            yield Cause(
                "turn-failed",
                f"{counted(len(fresh), 'turn')} of {safe(agent, 40)} failed recently{_reasons(fresh)}",
                Level.ATTENTION,
                tuple(_told(turn, scene.now) for turn in fresh[:SHOWN]),
                _advice(fresh[::-1]),
                since=fresh[0].turn.at,
                agents=(agent,),
                sessions=tuple(dict.fromkeys(turn.session for turn in fresh)),
            )


def _advice(turns: Iterable[RecentTurn]) -> str | None:
    """The advice about the first of these turns that has one."""
    return next((words for turn in turns if (words := advice(turn.turn.reason)) is not None), None)


def _reasons(turns: Iterable[RecentTurn]) -> str:
    reasons = [turn.turn.reason or _WORDS.get(turn.turn.outcome, "") for turn in turns]
    named = [shown(reason, 40) for reason in dict.fromkeys(reasons) if reason]
    return f" ({', '.join(named[:2])})" if named else ""


_WORDS = {TurnOutcome.TIMED_OUT: "timeout", TurnOutcome.DROPPED: "takeover", TurnOutcome.HUNG: "hung"}


def _told(turn: RecentTurn, now: int) -> str:
    what = turn.turn.reason or _WORDS.get(turn.turn.outcome, str(turn.turn.outcome))
    return f"{safe(short_key(turn.session), 60)}: {safe(what, 80)}, {span(now - turn.turn.at)} ago"


def dropped_turns(scene: HealthScene) -> Iterator[Cause]:
    share, dropped = scene.counted.share_dropped, scene.counted.dropped
    if share is None or not dropped:
        return
    percent = f"{100 * share:.0f} %" if share >= 0.01 else "under 1 %"
    yield Cause(
        "turns-dropped",
        f"{percent} of turns lost their reply to another lane ({dropped} in a day)",
        Level.ATTENTION,
        remedy="give heartbeats their own session: isolatedSession: true",
    )


def unanswered_messages(scene: HealthScene) -> Iterator[Cause]:
    warn_ms = scene.snapshot.config.attention.warn_ms
    left_over = _left_over(scene)
    overdue = [one for one in _overdue(scene) if one.agent not in left_over]
    if overdue:
        oldest = overdue[0]
        bad = any(_is_silence(one, scene, warn_ms) for one in overdue)
        text = f"{counted(len(overdue), 'message')} without an answer, the oldest for {span(scene.now - oldest.since)}"
        yield Cause(
            "unanswered",
            text,
            Level.SILENT if bad else Level.ATTENTION,
            tuple(_waits(one, scene.now) for one in overdue[:SHOWN]),
            since=oldest.since,
            agents=tuple(dict.fromkeys(one.agent for one in overdue)),
            sessions=tuple(one.session for one in overdue),
        )


def messages_to_missing_agents(scene: HealthScene) -> Iterator[Cause]:
    """Messages to agents that were deleted or renamed: no gateway answers them, whatever it can do."""
    left_over = _left_over(scene)
    lost = [one for one in _overdue(scene) if one.agent in left_over]
    if lost:
        names = tuple(dict.fromkeys(one.agent for one in lost))
        noun = "agent" if len(names) == 1 else "agents"
        whose = f"openclaw.json does not name {noun} {some_names(names)}"
        yield Cause(
            "to-nobody",
            f"{counted(len(lost), 'message')} without an answer: {whose}",
            Level.ATTENTION,
            tuple(_waits(one, scene.now) for one in lost[:SHOWN]),
            f"name the {noun} there again, if this was not meant",
            since=lost[0].since,
            agents=names,
            sessions=tuple(one.session for one in lost),
        )


def _overdue(scene: HealthScene) -> list[Unanswered]:
    gone = scene.snapshot.gateway.state.is_gone
    left = waits_for_start(scene)
    found = [one for one in scene.waiting.unanswered if gone or scene.now - one.since > UNANSWERED_MS]
    return [one for one in found if one not in left]


def _left_over(scene: HealthScene) -> frozenset[str]:
    """Agents of which only the files are left. A configuration that is not in force removes none."""
    if unknown_chains(scene.snapshot, scene.now) is not None:
        return frozenset()
    return frozenset(agent.id for agent in scene.snapshot.agents if not agent.configured)


def unanswered_group_messages(scene: HealthScene) -> Iterator[Cause]:
    """Messages in groups that nobody answered and that may not have been meant for the bot."""
    found = [one for one in scene.waiting.untold if one.doubt is Doubt.GROUP and scene.now - one.since > UNANSWERED_MS]
    if found:
        yield Cause(
            "untold",
            f"{counted(len(found), 'group message')} without an answer, perhaps not meant for the bot",
            Level.ATTENTION,
            tuple(_waits(one, scene.now) for one in found[:SHOWN]),
            since=found[0].since,
            agents=tuple(dict.fromkeys(one.agent for one in found)),
            sessions=tuple(one.session for one in found),
        )


def waits_for_start(scene: HealthScene) -> tuple[Unanswered, ...]:
    """Messages that arrived before the gateway that is starting now: no evidence against it until it has started."""
    gateway = scene.snapshot.gateway
    if silence_of(gateway, scene.now) is not Silence.STARTING or gateway.started_at is None:
        return ()
    return tuple(one for one in scene.waiting.unanswered if one.since < gateway.started_at)


def _is_silence(one: Unanswered, scene: HealthScene, warn_ms: int) -> bool:
    """Whether the agent has not answered since: one old lost message does not make a bot silent. A gateway that has
    just started gets the time that a new message gets.
    """
    gateway = scene.snapshot.gateway
    began = gateway.started_at if gateway.state is GatewayState.LIVE and gateway.started_at is not None else one.since
    if scene.now - max(one.since, began) <= warn_ms:
        return False
    return not any(t.agent == one.agent and t.succeeded and t.turn.at > one.since for t in scene.turns)


def _waits(one: Unanswered, now: int) -> str:
    size = f", {one.length} characters" if one.length else ""
    return f"{safe(short_key(one.session), 60)} waits for {span(now - one.since)}{size}: {_BECAME[one.outcome]}"


_BECAME = defaultdict(
    lambda: "its turn failed",
    {
        TurnOutcome.OPEN: "no run is working on it",
        TurnOutcome.TIMED_OUT: "its turn timed out",
        TurnOutcome.DROPPED: "its reply was lost",
        TurnOutcome.HUNG: "its turn hung",
    },
)


def hung_runs(scene: HealthScene) -> Iterator[Cause]:
    abort_ms = scene.snapshot.config.attention.abort_ms
    for background in (False, True):
        found = [one for one in scene.hung if one.background is background and not one.only_long]
        if not found:
            continue
        bad = not background and any(one.complaint is not None or one.quiet_ms > abort_ms for one in found)
        oldest = min((one.since for one in found if one.since is not None), default=None)
        where = some_names(short_key(one.session) for one in found)
        long = f" for {span(scene.now - oldest)}" if oldest is not None else ""
        yield Cause(
            "hung",
            f"{counted(len(found), 'run')} with no activity{long}: {where}",
            Level.SILENT if bad else Level.ATTENTION,
            tuple(safe(one.complaint, 160) for one in found[:SHOWN] if one.complaint),
            "drain the session",
            "drain",
            oldest,
            agents=tuple(dict.fromkeys(one.agent for one in found)),
            sessions=tuple(one.session for one in found),
        )


def retrying_runs(scene: HealthScene) -> Iterator[Cause]:
    """Runs that keep retrying a refusing account while their user waits (2026.9)."""
    running = [(row, retry) for row in working(scene.snapshot.sessions) if (retry := retry_of(row))]
    found = [
        (row, retry)
        for row, retry in running
        if retry.number >= RETRYING_FROM and scene.now - retry.due <= UNANSWERED_MS
    ]
    if found:
        began = [since for row, _ in found if (since := running_since(row)) is not None]
        where = some_names(short_key(row.key) for row, _ in found)
        long = f" for {span(scene.now - min(began))}" if began else ""
        yield Cause(
            "retrying",
            f"{counted(len(found), 'run')} retrying the same account{long}: {where}",
            Level.ATTENTION,
            tuple(f"{safe(short_key(row.key), 60)} is {safe(retry, 80)}" for row, retry in found[:SHOWN]),
            "it moves on to the next account by itself; drain the session to end it now",
            "drain",
            since=min(began, default=None),
            agents=tuple(dict.fromkeys(row.agent for row, _ in found)),
            sessions=tuple(row.key for row, _ in found),
        )
