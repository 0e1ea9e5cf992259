"""Lane names and their classes.

Every turn takes a session lane first and a global lane second. Names are OpenClaw's (2026.3-2026.9); the classes are
those of the collision histogram in thread 83510.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from clawtop.core.session.key import split

MAIN = "main"
CRON = "cron"
CRON_NESTED = "cron-nested"
SUBAGENT = "subagent"
NESTED = "nested"

_SESSION_PREFIX = "session:"
_NESTED_PREFIX = f"{NESTED}:"
_RUN_MARK = ":run:"


class LaneClass(StrEnum):
    """What kind of work a lane carries.

    MAIN: an agent's main session, or the global main lane that mirrors it. CHANNEL: a channel, group or room. DIRECT:
    one person. SESSION: any other session, such as one with an explicit id.
    """

    MAIN = "main"
    HEARTBEAT = "heartbeat"
    CHANNEL = "channel"
    DIRECT = "direct"
    CRON = "cron"
    CRON_NESTED = "cron-nested"
    SUBAGENT = "subagent"
    NESTED = "nested"
    SESSION = "session"
    OTHER = "other"


def global_lane(lane: str | None) -> str:
    """The process-wide lane of a turn: cron work runs in `cron-nested`, unnamed work in `main`."""
    name = (lane or "").strip()
    return CRON_NESTED if name == CRON else name or MAIN


def session_lane(key: str) -> str:
    """The lane that serialises the turns of one session key (or session id)."""
    name = key.strip() or MAIN
    return name if name.startswith(_SESSION_PREFIX) else _SESSION_PREFIX + name


def base_session_key(key: str) -> str:
    """The key of the session that a run belongs to: a cron job's runs log under `<key>:run:<id>` (2026.5.20)."""
    base, found, run = key.rpartition(_RUN_MARK)
    return base if found and base and run and ":" not in run else key


_GLOBAL_LANES: Mapping[str, LaneClass] = MappingProxyType(
    {
        MAIN: LaneClass.MAIN,
        CRON: LaneClass.CRON,
        CRON_NESTED: LaneClass.CRON_NESTED,
        SUBAGENT: LaneClass.SUBAGENT,
        NESTED: LaneClass.NESTED,
    }
)

_BY_FIRST_WORD: Mapping[str, LaneClass] = MappingProxyType(
    {"main": LaneClass.MAIN, "cron": LaneClass.CRON, "subagent": LaneClass.SUBAGENT}
)

_BY_PEER_KIND: Mapping[str, LaneClass] = MappingProxyType(
    {
        "direct": LaneClass.DIRECT,
        "dm": LaneClass.DIRECT,
        "channel": LaneClass.CHANNEL,
        "group": LaneClass.CHANNEL,
        "room": LaneClass.CHANNEL,
    }
)
_PEER_KIND_PLACES = 3
"""A peer kind comes after at most a channel name and an account: `telegram:work:direct:4711`."""


def classify_lane(lane: str) -> LaneClass:
    """The class of a lane by its name: a global lane, a nested lane, or the lane of a session."""
    name = lane.strip()
    if name.startswith(_SESSION_PREFIX):
        return classify_session_key(name.removeprefix(_SESSION_PREFIX))
    if name.startswith(_NESTED_PREFIX):
        return LaneClass.NESTED
    return _GLOBAL_LANES.get(name, LaneClass.OTHER)


def classify_session_key(key: str) -> LaneClass:
    """The class of a session by its key, `agent:<agent id>:<rest>`."""
    agent, name = split(key.strip().lower())
    if agent is None:
        return LaneClass.MAIN if name == MAIN else LaneClass.OTHER
    rest = name.split(":")
    if len(rest) > 1 and rest[-1] == "heartbeat":
        return LaneClass.HEARTBEAT
    if rest[0] in _BY_FIRST_WORD:
        return _BY_FIRST_WORD[rest[0]]
    kinds = (_BY_PEER_KIND[word] for word in rest[:_PEER_KIND_PLACES] if word in _BY_PEER_KIND)
    return next(kinds, LaneClass.SESSION)


DEFAULT_LIMIT = 1
"""Concurrent turns in a lane without a configured limit, such as every session lane."""
