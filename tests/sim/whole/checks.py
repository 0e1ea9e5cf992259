"""What must hold after every step of a history, and at its end (docs/invariants.md 1-8)."""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clawtop.core.cooldown.marking import Mark
from clawtop.core.model import Event, EventKind
from clawtop.engine.drive.driver import Driver
from clawtop.engine.drive.turn import TurnAnswer
from clawtop.engine.prompt.holder import HeldPrompt
from tests.sim.whole.process import Host, Process
from tests.sim.whole.provider import Provider

WENT_ON = {EventKind.ROTATE, EventKind.FALLBACK, EventKind.RUN_END, EventKind.ATTEMPT, EventKind.REPLY}
PLANTED = "xLeftByAFutureVersion"
STORES = ("auth-profiles.json", "auth-state.json")
AT_ONCE_S = 0.05


class BrokenError(AssertionError):
    """The history broke a promise: `rule` is its number, 0 for what belongs to none."""

    def __init__(self, rule: int, what: str) -> None:
        super().__init__(f"({rule}) {what}")
        self.rule = rule


@dataclass
class Noted:
    """A mark that an engine was given."""

    process: Process
    mark: Mark
    excused: bool = False
    """The disk refused it, or the process died at that very moment."""


@dataclass
class RunFacts:
    """What became of one run so far."""

    name: str
    process: Process
    coordination: str | None = None
    timed_out: bool = False
    failed_at: tuple[float, float] | None = None
    limited: set[tuple[str | None, str]] = field(default_factory=set)
    waiting_rotation: set[str] = field(default_factory=set)


@dataclass
class Checks:
    """Sees everything that happens; raises `BrokenError` at the step that broke a promise."""

    host: Host
    provider: Provider
    state_dir: Path
    vouched: Callable[[Process, HeldPrompt], bool] = lambda _process, _holder: True
    """Whether the registry still counts a holder as one: with a lease that is over it is none."""
    lease_ended: Callable[[HeldPrompt], float | None] = lambda _holder: None
    """When the lease of a holder was over, in loop seconds."""

    drivers: dict[Process, Driver] = field(default_factory=dict)
    runs: dict[str, RunFacts] = field(default_factory=dict)
    run_ids: dict[str, str] = field(default_factory=dict)
    noted: list[Noted] = field(default_factory=list)
    settled: Counter[tuple[str | None, str | None, str | None]] = field(default_factory=Counter)
    asked_with: dict[str, HeldPrompt] = field(default_factory=dict)
    """What each run held when it last asked a provider."""
    answers: list[tuple[Process, TurnAnswer]] = field(default_factory=list)
    meddled: set[str] = field(default_factory=set)
    locks: dict[str, Process] = field(default_factory=dict)
    """Who published the lock at a path last."""
    stalled_s: float = 0.0
    counts: Counter[str] = field(default_factory=Counter)
    first: BrokenError | None = None
    _seen_requests: int = 0

    def broken(self, rule: int, what: str) -> BrokenError:
        """To be raised; kept as well, since an engine may catch what is raised inside it."""
        error = BrokenError(rule, what)
        self.first = self.first or error
        return error

    # --- after every step

    def step(self) -> None:
        if self.first is not None:
            raise self.first
        self._holders_are_alone()
        for request in self.provider.requests[self._seen_requests :]:
            self._asked(request.run, request.profile, request.model, request.mood)
            self._asks_with(request.process, request.run)
        self._seen_requests = len(self.provider.requests)

    def _holders_are_alone(self) -> None:
        holders: dict[str, tuple[Process, str]] = {}
        for process, driver in self.drivers.items():
            if not process.alive:
                continue
            for holder in driver.resources.registry._out.values():
                if holder.released or not self.vouched(process, holder):
                    continue
                other = holders.setdefault(holder.record, (process, holder.run_id))
                if other[1] != holder.run_id:
                    raise self.broken(1, f"{other[1]} and {holder.run_id} hold {Path(holder.record).name}")

    def _asked(self, name: str, profile: str | None, model: str, mood: str) -> None:
        run = self.runs[name]
        if run.coordination is not None:
            raise self.broken(3, f"{name} asks {model} after {run.coordination}")
        if run.timed_out:
            raise self.broken(4, f"{name} asks {model} after a timeout")
        if (profile, model) in run.limited:
            raise self.broken(5, f"{name} asks {model} again with {profile}, which is rate limited")
        if mood == "limited":
            run.limited.add((profile, model))
            run.waiting_rotation.add(profile or "")

    def _asks_with(self, process: Process | None, name: str) -> None:
        if process in self.drivers:
            for holder in self.drivers[process].resources.registry._out.values():
                if self.run_ids.get(holder.run_id) == name:
                    self.asked_with[name] = holder

    # --- what the engines tell

    def heard(self, process: Process, event: Event) -> None:
        if not process.alive:
            return
        self.counts[f"event: {event.kind}"] += 1
        name = self.run_ids.get(event.run_id or "")
        run = self.runs.get(name or "")
        if event.kind is EventKind.MARK and event.data.get("state") in {"landed", "overtaken"}:
            self.settled[event.run_id, event.profile, event.reason] += 1
            landed = event.data["state"] == "landed"
            alive = run is not None and run.process.alive  # one that was killed behind its mark goes nowhere
            if landed and run is not None and alive and event.profile in run.waiting_rotation:
                raise self.broken(2, f"the mark of {event.profile} landed before {run.name} went on")
        if event.kind is EventKind.MARK_LOST:
            self.settled[event.run_id, event.profile, event.reason] += 1
        if event.kind is EventKind.MARK and event.reason == "timeout":
            raise self.broken(4, f"a timeout was marked for {event.profile}")
        if run is None:
            return
        if event.kind is EventKind.TAKEOVER:
            run.coordination = "a takeover"
        elif event.kind is EventKind.FALLBACK and run.coordination is not None:
            raise self.broken(3, f"{name} falls back after {run.coordination}")
        elif event.kind is EventKind.FAILURE:
            run.timed_out = run.timed_out or event.reason == "timeout"
            run.failed_at = (self.host.seconds(), process.frozen_s + self.stalled_s)
            run.waiting_rotation.add(event.profile or "")
        elif event.kind is EventKind.ROTATE:
            self._rotated(run, process, event)

        if event.kind in WENT_ON or "decision" in event.data:
            run.waiting_rotation.clear()
            run.failed_at = None

    def _rotated(self, run: RunFacts, process: Process, event: Event) -> None:
        if run.timed_out:
            raise self.broken(4, f"{run.name} rotates after a timeout")
        if run.failed_at is None or event.data.get("forced"):
            return
        seconds, excused = run.failed_at
        late = self.host.seconds() - seconds - (process.frozen_s + self.stalled_s - excused)
        if late > AT_ONCE_S:
            raise self.broken(2, f"{run.name} rotates {late:.2f} s after the failure")

    def marked(self, process: Process, mark: Mark) -> Noted:
        noted = Noted(process, mark)
        self.noted.append(noted)
        return noted

    # --- what the processes do to the disk

    def before_call(self, process: Process, name: str, args: tuple[Any, ...]) -> None:
        if name in {"unlink", "rename", "replace"} and str(args[0]).endswith(".lock"):
            self._removes_lock(process, str(args[0]))
        if name in {"rename", "replace"} and os.path.basename(str(args[1])) in STORES and process.is_clawtop:  # noqa: PTH119
            self._changes_store(process, str(args[0]), str(args[1]))

    def _removes_lock(self, process: Process, path: str) -> None:
        if "/agents/" not in path:
            return
        owner = self.locks.get(path)
        if owner is not None and owner.alive and owner is not process and os.path.lexists(path):
            raise self.broken(7, f"{process.title} {process.pid} removes the lock of living {owner.pid}: {path}")

    def after_call(self, process: Process, name: str, args: tuple[Any, ...]) -> None:
        if name == "link" and str(args[1]).endswith(".lock"):
            self.locks[str(args[1])] = process

    def _changes_store(self, process: Process, new: str, old: str) -> None:
        before, after = json.loads(Path(old).read_bytes()), json.loads(Path(new).read_bytes())
        if os.path.basename(old) == STORES[0]:  # noqa: PTH119
            raise self.broken(6, "credentials were rewritten")
        driver = self.drivers.get(process)
        allowed = set(process.targets)
        if driver is not None:
            allowed |= {mark.profile for mark in driver.resources.marks.pending()}
        for key in before.keys() | after.keys():
            if key == "usageStats":
                rows, now = before.get(key, {}), after.get(key, {})
                changed = {one for one in rows.keys() | now.keys() if rows.get(one) != now.get(one)}
                if not changed <= allowed:
                    raise self.broken(6, f"{changed - allowed} changed beside {allowed}")
                for profile in rows:
                    if rows[profile].get(PLANTED) != now.get(profile, {}).get(PLANTED):
                        raise self.broken(6, f"an unknown field of {profile} was lost")
            elif key not in {"lastGood", "order"} and before.get(key) != after.get(key):
                raise self.broken(6, f"{key} was changed")

    # --- at the end

    def end(self) -> None:
        """Nothing is lost: marks, answers, stores."""
        self._marks_are_known()
        for name in STORES:
            for path in self.state_dir.rglob(name):
                json.loads(path.read_bytes())
        for path in self.state_dir.rglob("*.lock"):
            owner = self.locks.get(str(path))
            if owner is not None and owner.alive:
                raise self.broken(7, f"a living process left {path.name}")
        for process, answer in self.answers:
            self._stands(process, answer)
        self._turns_do_not_overlap()
        for path in self.state_dir.rglob("*.jsonl"):
            if "/agents/" in str(path):
                self._turns_are_whole(path)

    def _marks_are_known(self) -> None:
        wanted = defaultdict[tuple[str | None, str | None, str | None], int](int)
        for noted in self.noted:
            mark = noted.mark
            gone = not noted.process.alive and mark.success
            if not (noted.excused or gone or noted.process.had_disk_trouble or mark.success):
                wanted[mark.run_id, mark.profile, mark.reason] += 1
        for who, number in wanted.items():
            if self.settled[who] < 1:
                raise self.broken(2, f"{number} marks of {who} were lost without a word")

    def _stands(self, process: Process, answer: TurnAnswer) -> None:
        path = str(answer.session_file)
        if path not in self.meddled and answer.text.encode() not in Path(path).read_bytes():
            raise self.broken(1, f"an answer of {process.pid} that was acknowledged does not stand in {path}")

    def _turns_do_not_overlap(self) -> None:
        """Of two turns on one session that were both acknowledged, one had its answer before the other was asked."""
        asked = {request.run: request for request in self.provider.requests if request.ended is not None}
        spans = defaultdict[str, list[tuple[float, float, str]]](list)
        for _, answer in self.answers:
            request = asked[answer.text.partition(" ")[0]]
            assert request.ended is not None
            over = self.lease_ended(self.asked_with[request.run])
            if over is not None and over <= request.ended:
                raise self.broken(1, f"{request.run} was acknowledged, and lost its lease on the way")
            spans[str(answer.session_file)].append((request.began, request.ended, request.run))
        for path, turns in spans.items():
            for before, after in itertools.pairwise(sorted(turns)):
                if before[1] > after[0]:
                    raise self.broken(1, f"{before[2]} and {after[2]} overlap in {Path(path).name}")

    def _turns_are_whole(self, path: Path) -> None:
        said: list[tuple[str, str]] = []
        for line in path.read_bytes().splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            message = entry.get("message")
            if entry.get("type") == "message" and isinstance(message, dict):
                content = message.get("content")
                text = (
                    content if isinstance(content, str) else "".join(block.get("text", "") for block in content or ())
                )
                said.append((message.get("role", ""), text.partition(" ")[0]))
        for before, now in zip([("", ""), *said], said, strict=False):
            if now[0] == "assistant" and now[1] in self.runs and before != ("user", now[1]):
                raise self.broken(1, f"{path.name}: the answer to {now[1]} follows {before}")
