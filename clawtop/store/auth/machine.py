"""The seams of all code that writes, and what a wait for a store's lock reports."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import field
from typing import Protocol

from clawtop.clock import Clock, SystemClock
from clawtop.core.locks.staleness import HERE, NamespaceEvidence
from clawtop.store.locks.processes import ProcessTable, SystemProcesses
from clawtop.values import dataclass


class LockOwner(Protocol):
    """The holder of the lock that is waited for."""

    @property
    def text(self) -> str:
        """On one safe line, for people: pid, command, since when, and whether it is alive."""

    @property
    def pid(self) -> int | None:
        """Its process, where it is known."""


@dataclass(frozen=True, slots=True)
class Machine:
    """The seams of all code that writes: time, randomness, the process table, this process's identity.

    Attributes:
        jitter: returns a number in [0, 1) each time.
        environment: why pids may not be judged here; then every lock counts as held.
    """

    clock: Clock = field(default_factory=SystemClock)
    processes: ProcessTable = field(default_factory=SystemProcesses)
    jitter: Callable[[], float] = random.random
    environment: NamespaceEvidence = HERE
    euid: Callable[[], int] = os.geteuid
