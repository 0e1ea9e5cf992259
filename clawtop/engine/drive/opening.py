"""Opening a state directory for driving: what may be driven, and the resources that all runs share."""

from __future__ import annotations

import os
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import field
from pathlib import Path

from clawtop.clock import Clock
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.failover.steps import FailoverRules, caps_from_config
from clawtop.core.locks.staleness import NamespaceEvidence
from clawtop.core.model import ConfigSummary, Event
from clawtop.engine.drive.in_flight import InFlight
from clawtop.engine.drive.marks import Marks
from clawtop.engine.drive.resources import DriverResources
from clawtop.engine.operations.locked import update_store
from clawtop.engine.prompt.choice import RegistryChoice
from clawtop.engine.prompt.foreign import ForeignRuns
from clawtop.engine.prompt.lane_scheduler import LaneScheduler
from clawtop.engine.prompt.records import PromptRecords
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.engine.providers.base import Timeouts
from clawtop.errors import RefusedError
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import AuthPlace, Change
from clawtop.store.config import summarise
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.own.accounts import AccountNotes
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.own.presence import holders_dir
from clawtop.store.place.layout import Layout
from clawtop.store.place.locating import locate
from clawtop.store.place.mounts import mount_obstacles
from clawtop.store.provider.secrets import SecretSources
from clawtop.store.snapshot import SnapshotReader
from clawtop.store.sqlite.pool import Databases
from clawtop.text import safe
from clawtop.values import dataclass

DEFAULT_TURN_S = 600.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an operator may set for all runs of a driver.

    Attributes:
        timeouts: what a timeout does to a run (docs/decisions.md 1); terminal by default.
        call: limits of one provider call.
        drain_s: how long closing waits for marks before it spools them.
        turn_s: the limit of a turn where neither the caller nor `agents.defaults.timeoutSeconds` gives one, in seconds.
        pause_s: pause before an endpoint that has just failed is tried again, in seconds; doubles with each failure.
        rounds: how often a turn tries all its models if only their endpoints failed.
        max_wait_s: how long a run without its own timeout waits for a held session.
        registry: where prompt holders of several hosts are coordinated; None: on this host alone, in files.
    """

    timeouts: TimeoutPolicy = TimeoutPolicy.TERMINAL
    call: Timeouts = field(default_factory=Timeouts)
    drain_s: float = 2.0
    max_wait_s: float = 300.0
    registry: RegistryChoice | None = None
    turn_s: float = DEFAULT_TURN_S
    rounds: int = 3
    pause_s: float = 0.2


@dataclass(frozen=True, slots=True)
class Ground:
    """Where a driver works, and the seams of the machine. `jitter` returns a number in [0, 1) each time."""

    state_dir: str | Path | None
    clock: Clock
    processes: ProcessTable
    environ: Mapping[str, str]
    home: Path
    jitter: Callable[[], float] = random.random

    def layout(self) -> Layout:
        """The state directory as it is now.

        Raises:
            StateUnreadableError: there is none.
            RefusedError: its generation keeps sessions or credentials where clawtop does not write, or is a guess.
        """
        layout = locate(self.state_dir, env=self.environ, home=self.home)
        storage = layout.storage
        if not storage.drivable and (storage.session_files or not storage.auth_writable):
            what = f"generation {layout.generation}" if layout.generation else "an unknown generation"
            raise RefusedError(
                f"{safe(layout.state_dir)} is of {what}: clawtop does not drive its sessions",
                hint="OpenClaw records its version in openclaw.json when it starts",
                unchanged="nothing was sent and nothing was written",
            )
        if not layout.writable_generation:
            raise RefusedError(
                f"the generation of {safe(layout.state_dir)} is a guess ({layout.generation_how})",
                hint="OpenClaw records its version in openclaw.json when it starts",
                unchanged="nothing was sent and nothing was written",
            )
        return layout

    def config(self, layout: Layout) -> ConfigSummary:
        return summarise(layout.config, layout.generation, layout.version, self.environ)

    def sources(self, layout: Layout) -> SecretSources:
        return SecretSources.of(layout.config.raw or {}, self.environ)

    def reader(self) -> SnapshotReader:
        """A reader of the whole state, for callers that need all of it."""
        return SnapshotReader(
            state_dir=self.state_dir, env=self.environ, home=self.home, clock=self.clock, processes=self.processes
        )


def _records(choice: RegistryChoice | None, layout: Layout, clock: Clock) -> PromptRecords | None:
    """The registry that hosts share; None: files, which only processes of one host can share.

    Raises RefusedError if other hosts may drive the same sessions without coordination.
    """
    if choice is not None:
        from clawtop.engine.etcd.records import etcd_records  # only where several hosts share a registry

        return etcd_records(choice, clock)
    if "network-mount" in mount_obstacles(layout.state_dir):
        raise RefusedError(
            f"{safe(layout.state_dir)} is on a network file system: other hosts may drive its sessions too",
            hint="name a registry that all of them use: clawtop config --set registry=etcd://HOST:2379",
            unchanged="nothing was sent and nothing was written",
        )
    return None


def open_resources(
    ground: Ground,
    settings: EngineSettings,
    emit: Callable[[Event], None],
    compaction_wait: Callable[[Path], Awaitable[None]] | None,
) -> DriverResources:
    """The resources of a driver; nothing is created on the disk. Raises as `Ground.layout`."""
    layout = ground.layout()
    config = ground.config(layout)
    databases = Databases(ground.clock)

    async def land(target: AuthPlace, change: Change, wait: float) -> object:
        machine = Machine(clock=ground.clock, processes=ground.processes, environment=resources.environment)
        return await update_store(target, change, machine, wait=wait)

    marks = Marks(
        clock=ground.clock,
        schedule=lambda provider: resources.schedule_of(provider),  # noqa: PLW0108 - the resources come after their marks
        land=land,
        spool=MarkSpool(layout.state_dir),
        journal=emit,
        targets=lambda agent: auth_backend(resources.layout, databases).place(agent),
    )
    resources = DriverResources(
        layout=layout,
        generation=layout.generation,
        config=config,
        sources=ground.sources(layout),
        rules=FailoverRules(settings.timeouts, caps_from_config(config.auth.cooldowns)),
        call_timeouts=settings.call,
        clock=ground.clock,
        processes=ground.processes,
        registry=PromptRegistry(
            layout.state_dir,
            clock=ground.clock,
            journal=emit,
            max_wait_s=settings.max_wait_s,
            records=_records(settings.registry, layout, ground.clock),
        ),
        lanes=LaneScheduler(clock=ground.clock, limits=config.lane_limits, journal=emit),
        marks=marks,
        pause_s=settings.pause_s,
        jitter=ground.jitter,
        accounts=AccountNotes(layout.state_dir),
        in_flight=InFlight(holders_dir(os.path.realpath(layout.state_dir)), ground.clock),
        foreign=ForeignRuns(ground.reader(), ground.clock),
        environment=NamespaceEvidence(mount_obstacles(layout.state_dir)),
        compaction_wait=compaction_wait,
    )
    return resources
