"""The table of causes: each finder says what is wrong in the scene, since when, the evidence, and the remedy."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from clawtop.cells import elided_middle
from clawtop.core.health.account_causes import (
    cooling_profiles,
    jammed_stores,
    models_out,
    not_loaded,
    unimported_stores,
    unreadable_stores,
)
from clawtop.core.health.cause import JUST_NOW_MS, Cause, Finder, HealthScene, Level
from clawtop.core.health.gateway_causes import gateway_causes
from clawtop.core.health.in_force import CONFIG_NOT_TAKEN, CONFIG_UNREAD, refused_config
from clawtop.core.health.silence import silence_of
from clawtop.core.health.turn_causes import (
    dropped_turns,
    failing_turns,
    hung_runs,
    messages_to_missing_agents,
    retrying_runs,
    unanswered_group_messages,
    unanswered_messages,
)
from clawtop.core.health.wording import SHOWN, some_names
from clawtop.core.model import (
    EMPTY_KEY,
    NOT_IMPORTED,
    EventKind,
    GatewayState,
    LockKind,
    Problem,
    VerdictKind,
    counted,
)
from clawtop.core.model.problem import said_of_it
from clawtop.core.session.key import short_key
from clawtop.core.session.listed import locked_key, troubled
from clawtop.text import safe, shown


def _blocked(scene: HealthScene) -> Iterator[Cause]:
    hangs = {(one.agent, one.session) for one in scene.hung if not one.only_long}
    found = {key: why for key, why in scene.blocked.items() if key not in hangs}
    if found:
        since = min((b.since for b in found.values() if b.since is not None), default=None)
        yield Cause(
            "blocked",
            f"{counted(len(found), 'session')} blocked: {some_names(short_key(key) for _, key in found)}",
            Level.ATTENTION,
            tuple(f"{safe(short_key(key), 60)}: {why.why}" for (_, key), why in list(found.items())[:SHOWN]),
            since=since,
            sessions=tuple(key for _, key in found),
        )


def _queues(scene: HealthScene) -> Iterator[Cause]:
    """Lanes that are full while turns wait for them."""
    for lane in scene.snapshot.lanes:
        queued, limit = lane.queued or 0, lane.limit
        if limit is None or queued == 0 or (lane.active or 0) < limit or lane.lane.startswith("session:"):
            continue
        text = f"lane {safe(lane.lane, 40)} is full: {lane.active} of {limit} running, {queued} queued"
        yield Cause("queue-grows", text, Level.ATTENTION, (safe(lane.source, 40),))


_LEAKED_REMEDY = "restart the gateway's process; OpenClaw removes the lock once it is past its stale limit"


def _locks(scene: HealthScene) -> Iterator[Cause]:
    leaked = [lock for lock in scene.snapshot.locks if lock.leaked is not None]
    for lock in leaked[:SHOWN]:
        yield Cause(
            "leaked-lock",
            f"a leftover session lock: {safe(lock.leaked, 160)}",
            Level.ATTENTION,
            (lock.file.path,),
            None if lock.openclaw.would_remove is True else _LEAKED_REMEDY,
            since=lock.created_at,
        )
    found = [lock for lock in scene.snapshot.locks if lock.verdict.kind is VerdictKind.STALE and lock.leaked is None]
    stale = [lock for lock in found if lock.file.kind is not LockKind.GATEWAY]
    doors = [lock for lock in found if lock.file.kind is LockKind.GATEWAY]
    if doors and scene.snapshot.gateway.state is not GatewayState.DEAD:  # a dead gateway has a cause of its own
        yield Cause(
            "stale-lock",
            f"{counted(len(doors), 'gateway lock')} of a dead process: a gateway was killed there, or keeps its lock "
            "elsewhere now",
            Level.ATTENTION,
            tuple(f"{lock.file.path}: pid {lock.pid} is gone" for lock in doors[:SHOWN]),
            "a gateway that starts there takes it over; else remove the file by hand",
            since=min((lock.created_at for lock in doors if lock.created_at is not None), default=None),
        )
    if stale:
        keeps = sum(lock.openclaw.would_remove is False for lock in stale)
        note = f", {keeps} of them OpenClaw will not remove" if keeps else ""
        yield Cause(
            "stale-lock",
            f"{counted(len(stale), 'stale lock')}{note}",
            Level.ATTENTION,
            tuple(lock.file.path for lock in stale[:SHOWN]),
            "remove the dead owner's lock",
            "unlock",
            sessions=tuple(key for lock in stale if (key := locked_key(lock, scene.snapshot.sessions)) is not None),
        )


NOT_LOOKED_AT = "version-not-looked-at"

ADVICE = frozenset(
    {
        NOT_LOOKED_AT,
        "heartbeat-shares-session",
        "fallbacks-share-provider",
        "lock-limit-below-run-timeout",
        "inotify-limit",
        "ghost",
        "unsettled",
    }
)
"""Findings that are advice, or about something that is over: shown, although nothing is wrong now."""


TOLD_APART = ADVICE | {EMPTY_KEY, NOT_IMPORTED, "gateway-not-ready", "gateway-degraded"}
"""The same, plus findings that are separate causes."""


def _unread_config(scene: HealthScene) -> Iterator[Cause]:
    config = scene.snapshot.config
    if config.unread:
        yield Cause(
            "config-unread",
            f"{CONFIG_UNREAD}: which models and orders are in force is unknown",
            Level.ATTENTION,
            tuple(shown(p.text, 160) for p in scene.snapshot.warnings if p.where == config.path)[:SHOWN],
            "fix the file: openclaw doctor shows the error",
        )


def _unread_sessions(scene: HealthScene) -> Iterator[Cause]:
    for problem in scene.snapshot.sessions_unread:
        whose = f"the sessions of {safe(problem.agent, 40)}" if problem.agent is not None else "some sessions"
        yield Cause(
            "sessions-unread",
            f"{whose} cannot be read: {shown(said_of_it(problem.text, problem.where), 160)}",
            Level.ATTENTION,
            (problem.where,),
            agents=(problem.agent,) if problem.agent is not None else (),
        )


_REFUSED = "config reload skipped (invalid config): "


def _refused_config(scene: HealthScene) -> Iterator[Cause]:
    refused = refused_config(scene.snapshot, scene.now)
    if refused is not None:
        words = shown(refused.text, 160)
        yield Cause(
            "config-refused",
            f"{CONFIG_NOT_TAKEN}: {words.partition(_REFUSED)[2] or words}",
            Level.ATTENTION,
            (scene.snapshot.config.path,),
            "fix the file: openclaw doctor shows the error",
            since=refused.at,
        )


def _problems(scene: HealthScene) -> Iterator[Cause]:
    apart = scene.snapshot.config.path if scene.snapshot.config.unread else None
    codes = TOLD_APART if silence_of(scene.snapshot.gateway, scene.now) is None else TOLD_APART | {"gateway-http"}
    told = [p for p in scene.snapshot.warnings if p.code not in codes and p.where != apart]
    told += [p for session in troubled(scene.snapshot.sessions) for p in session.problems if p.code not in TOLD_APART]
    if told:
        text = f"{counted(len(told), 'finding')}: {_sentence(told[0], scene.snapshot.state_dir)}"
        evidence = tuple(f"{safe(p.where, 100)}: {shown(p.text, 160)}" for p in told[:SHOWN])
        yield Cause("problems", text, Level.ATTENTION, evidence)


def _sentence(problem: Problem, state_dir: str) -> str:
    """The subject and what is wrong with it: a problem's text may begin with a verb."""
    where = short_key(problem.where.removeprefix(f"{state_dir}/"))
    text = shown(problem.text, 120)
    return f"{elided_middle(shown(where), 60)}: {text}" if where else text


def _reverted(scene: HealthScene) -> Iterator[Cause]:
    for event in scene.snapshot.events:
        if event.kind is EventKind.REVERTED and scene.now - event.at <= JUST_NOW_MS * 10:
            yield Cause("not-loaded", shown(event.text, 160), Level.ATTENTION, since=event.at)


def _full_disk(scene: HealthScene) -> Iterator[Cause]:
    """On a full disk OpenClaw can store no message: 2026.9.6 refuses each with an error, and no session shows it."""
    room = scene.snapshot.room
    if room is None:
        return
    remedy = f"free some room on the disk of {safe(scene.snapshot.state_dir, 80)}"
    if room.full:
        what = "is full" if room.files_left else "takes no more files"
        text = f"the disk of the state directory {what}: no message can be stored"
        yield Cause("disk-full", text, Level.SILENT, remedy=remedy)
    else:
        text = f"the disk of the state directory is almost full: {room.left_mb} MB left"
        yield Cause("disk-low", text, Level.ATTENTION, remedy=remedy)


FINDERS: Final[tuple[Finder, ...]] = (
    unreadable_stores,
    unimported_stores,
    _full_disk,
    _unread_config,
    _refused_config,
    _unread_sessions,
    gateway_causes,
    models_out,
    not_loaded,
    failing_turns,
    unanswered_messages,
    messages_to_missing_agents,
    unanswered_group_messages,
    hung_runs,
    retrying_runs,
    jammed_stores,
    dropped_turns,
    _blocked,
    _queues,
    _locks,
    cooling_profiles,
    _reverted,
    _problems,
)
