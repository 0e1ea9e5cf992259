"""OpenClaw's lane names, and its command queue replayed in virtual time."""

from __future__ import annotations

import heapq
import itertools
import json
import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from clawtop.core.session.lane_queue import (
    Cleared,
    ClearLane,
    DrainLane,
    Enqueue,
    LaneEffect,
    LaneEvent,
    LaneState,
    Priority,
    Reset,
    SetLimit,
    StartTask,
    TaskEnded,
    TaskRefused,
    Tick,
    TimedOut,
    WaitExceeded,
    apply,
    lane_name,
)
from clawtop.core.session.lanes import global_lane, session_lane
from tests.conformance.harness import Row, replay
from tests.conformance.openclaw_only import cron_agent_lane, isolated_heartbeat_key, nested_lane, next_deadline


def heartbeat_keys(given: Mapping[str, Any]) -> dict[str, str]:
    stored = (given.get("sessionEntry") or {}).get("heartbeatIsolatedBaseSessionKey")
    isolated, base = isolated_heartbeat_key(given["sessionKey"], given["configuredSessionKey"], stored)
    return {"isolatedSessionKey": isolated, "isolatedBaseSessionKey": base}


NAMES: Mapping[str, Callable[[Mapping[str, Any]], Any]] = {
    "resolveGlobalLane": lambda given: global_lane(given["lane"]),
    "resolveSessionLane": lambda given: session_lane(given["key"]),
    "resolveCronAgentLane": lambda given: cron_agent_lane(given["lane"]),
    "resolveNestedAgentLaneForSession": lambda given: nested_lane(given["sessionKey"]),
    "resolveIsolatedHeartbeatSessionKey": heartbeat_keys,
}


EVENTS = frozenset({"start", "end", "reject", "snap"})
END_OF_TIME = 1_000_000


@replay("misc", where=lambda raw: raw["fn"] in NAMES)
def test_lane_names(row: Row) -> None:
    assert NAMES[row.raw["fn"]](row.input) == row.expected


@dataclass(frozen=True)
class Failed:
    """A task threw: its caller hears of it after the next task got the place."""

    task: str


class VirtualLane:
    """Runs a script of the vectors against the state machine, in virtual time.

    Like promises do: a task that got its place begins, and a caller hears of its rejection, only when the code that
    caused it gives way - at the end of a wait, or at the next snapshot.
    """

    def __init__(self, lane: str) -> None:
        """`known` once the lane was used: OpenClaw has nothing to reset before."""
        self.state = LaneState(lane_name(lane))
        self.now = 0
        self.known = False
        self.log: list[str] = []
        self.durations: dict[str, float | None] = {}
        self.deferred: deque[LaneEffect | Failed] = deque()
        self.ends: list[tuple[float, int, StartTask]] = []
        self.tie = itertools.count()
        self.blocked: list[str | None] = []

    def send(self, event: LaneEvent) -> None:
        """Warnings are given at once, everything else when the code that caused it gives way."""
        self.known = True
        self.state, effects = apply(self.state, event, self.now)
        for effect in effects:
            if isinstance(effect, WaitExceeded):
                self.log.append(f"wait:{effect.task}:{effect.queued_ahead}")
            else:
                self.deferred.append(effect)

    def settle(self) -> None:
        while self.deferred:
            self.carry_out(self.deferred.popleft())

    def carry_out(self, effect: LaneEffect | Failed) -> None:
        lane = self.state.lane
        match effect:
            case StartTask(task=task):
                self.log.append(f"start:{task}")
                duration = self.durations[task]
                if duration is None:
                    self.send(TaskEnded(task, effect.generation))
                    self.deferred.append(Failed(task))
                else:
                    heapq.heappush(self.ends, (self.now + duration, next(self.tie), effect))
            case Failed(task=task):
                self.log.append(f"reject:{task}:Error")
            case Cleared(task=task):
                self.log.append(f'reject:{task}:CommandLaneClearedError:Command lane "{lane}" cleared')
            case TimedOut(task=task, timeout_ms=limit):
                text = f'Command lane "{lane}" task timed out: {limit}ms'
                self.log.append(f"reject:{task}:CommandLaneTaskTimeoutError:{text}")
            case TaskRefused(task=task):
                text = "Gateway is draining for restart; new tasks are not accepted"
                self.log.append(f"reject:{task}:GatewayDrainingError:{text}")

    def pass_time(self, until: float) -> None:
        self.settle()
        while (moment := self.next_moment()) is not None and moment <= until:
            self.now = int(moment)
            if (deadline := next_deadline(self.state)) is not None and deadline <= moment:
                self.send(Tick())
                self.settle()
            while self.ends and self.ends[0][0] <= moment:
                ended = heapq.heappop(self.ends)[2]
                self.log.append(f"end:{ended.task}")
                self.send(TaskEnded(ended.task, ended.generation))
                self.settle()
        self.now = int(until)

    def next_moment(self) -> float | None:
        moments = [self.ends[0][0]] if self.ends else []
        deadline = next_deadline(self.state)
        return min([*moments, *([] if deadline is None else [deadline])], default=None)

    def snapshot(self) -> str:
        state = self.state
        shown = {
            "lane": state.lane,
            "queuedCount": len(state.queue),
            "activeCount": len(state.active),
            "maxConcurrent": state.limit,
            "draining": False,
            "generation": state.generation,
        }
        self.blocked.append("lane" if state.is_full else None)
        return "snap:" + json.dumps(shown, separators=(",", ":"))

    def run(self, operation: list[Any]) -> None:
        match operation:
            case ["add" | "addT" | "addW", name, duration, *rest]:
                self.durations[name] = duration
                self.send(enqueue(operation[0], name, rest))
            case ["throw", name, *_]:
                self.durations[name] = None
                self.send(Enqueue(name))
            case ["wait", duration]:
                self.pass_time(self.now + duration)
            case ["conc", limit]:
                self.send(SetLimit(limit))
            case ["clear"]:
                self.log.append(f"cleared:{len(self.state.queue)}")
                self.send(ClearLane())
            case ["reset"]:
                released = len(self.state.active)
                if self.known:
                    self.send(Reset())
                self.log.append(f"reset:{released}")
            case ["drain"]:
                self.send(DrainLane())
            case ["snap"]:
                self.settle()
                self.log.append(self.snapshot())
            case _:
                pytest.fail(f"unknown operation {operation}")


def enqueue(operation: str, name: str, rest: list[Any]) -> Enqueue:
    if operation == "addT":
        return Enqueue(name, timeout_ms=rest[0])
    if operation == "addW":
        return Enqueue(name, warn_after_ms=rest[0])
    return Enqueue(name, Priority[rest[0].upper()] if rest else Priority.NORMAL)


@replay("command-queue")
def test_command_queue(row: Row) -> None:
    lane = VirtualLane(row.input["lane"])
    for operation in row.input["ops"]:
        lane.run(operation)
    lane.pass_time(END_OF_TIME)
    assert [comparable(line) for line in lane.log] == [comparable(line) for line in row.expected]
    told = [json.loads(line.removeprefix("snap:")) for line in row.expected if line.startswith("snap:")]
    blocked = [state["blockedBy"] for state in told if "blockedBy" in state]
    assert not blocked or blocked == lane.blocked


_BLOCKED = re.compile(r',"blockedBy":(?:null|"\w+")(?=\}$)')
_TIMED_OUT = re.compile(r" timed out(?: after|: elapsed <N>ms reached task budget) (\d+ms)$")


def comparable(line: str) -> str:
    """A line of the log without the recorder's own word for it, where that is not an event of the queue.

    Who blocks a lane (2026.8 on) is compared apart; of a timeout only its limit, since the rest is a measured time.
    """
    line = _TIMED_OUT.sub(r" timed out: \1", _BLOCKED.sub("", line))
    head, _, rest = line.partition(":")
    if head in EVENTS:
        return line
    return f"count:{rest}" if rest.isdigit() else f"wait:{rest.partition(':')[0]}"
