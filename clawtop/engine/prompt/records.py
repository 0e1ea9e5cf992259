"""Where the registry of prompt holders is kept: a small protocol, and its first implementation, files on one host."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from clawtop.clock import Clock
from clawtop.core.model import PromptHolder
from clawtop.core.session.admission import Admission, AdmissionEffect, AdmissionRequest, Claimant
from clawtop.errors import SessionTakeoverError
from clawtop.store.own.admissions import read_admission, read_holder
from clawtop.store.own.holder_record import record_key
from clawtop.store.own.holders import HolderRecords
from clawtop.store.own.presence import Presence
from clawtop.store.own.wake import WakeChannel, Word, tell
from clawtop.text import safe

BUSY_PAUSE_S = 0.001
"""First pause after an attempt on a record that another process is changing, or that the disk refused; it doubles."""

LONGEST_BUSY_PAUSE_S = 0.05
"""The disk may stay full, and a process may be stopped while changing the record: pauses grow no longer than this."""

Hear = Callable[[Word, str], None]
"""Called with each message and the token of the claimant that it is for."""


async def busy_pause(clock: Clock, tries: int) -> None:
    """Wait before the next attempt on a record that is busy; longer after many `tries` in a row."""
    await clock.sleep(min(BUSY_PAUSE_S * (1 << min(tries, 10)), LONGEST_BUSY_PAUSE_S))


class PromptRecords(Protocol):
    """Applies `core.session.admission` steps to a session's record, one at a time among all who share the registry.

    `path` is always the canonical path of the session's file on this host.
    """

    async def enter(self, hear: Hear) -> Claimed:
        """Register this process, on first use, and listen for messages. Raises RefusedError if that is impossible."""

    def step_now(self, path: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:
        """One step without waiting; None if another process is changing the record, or if it would take a while.

        Raises RefusedError, OSError.
        """

    async def step(self, path: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:
        """One step; None while another process is changing the record. Raises like `step_now`."""

    async def tell(self, who: Claimant, word: Word) -> None:
        """Send a message to a claimant in another process. It may get lost: waiters also check by themselves."""

    async def admission_of(self, path: str) -> Admission | None:
        """The live part of a session's record; None if nobody holds it or waits. Raises RefusedError like `step`."""

    async def holder_of(self, path: str) -> PromptHolder | None:
        """Who has the prompt of a session now."""

    async def assert_held(self, path: str, token: str) -> None:
        """Raises SessionTakeoverError unless the holder with this token certainly still has the session."""

    async def aclose(self) -> None:
        """Stop listening. Prompts still held stay valid as long as the registry allows."""


class Claimed(Protocol):
    """This process in a registry: its name, and the channel on which its claimants hear."""

    @property
    def member(self) -> str: ...
    @property
    def wake(self) -> str: ...


class FileRecords:
    """The records in `<state>/clawtop/holders/`: processes of one host, by OS locks that die with them."""

    def __init__(self, directory: Path) -> None:
        """`directory`: `store.own.presence.holders_dir`. Creates nothing before `enter`."""
        self._directory = directory
        self._records: HolderRecords | None = None
        self._channel: WakeChannel | None = None

    @property
    def member(self) -> str:
        return self._entered().presence.member

    @property
    def wake(self) -> str:
        return self._channel.name if self._channel is not None else ""

    async def enter(self, hear: Hear) -> FileRecords:
        if self._channel is None:
            channel = self._channel = WakeChannel(self._entered().presence)

            def listen() -> None:
                for word, token in channel.heard():
                    hear(word, token)

            asyncio.get_running_loop().add_reader(channel.descriptor, listen)
        return self

    def step_now(self, path: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:
        return self._entered().apply(path, request, now)

    async def step(self, path: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:
        return self._entered().apply(path, request, now)

    async def tell(self, who: Claimant, word: Word) -> None:
        tell(self._directory, who, word)

    async def admission_of(self, path: str) -> Admission | None:
        return read_admission(self._directory, path)

    async def holder_of(self, path: str) -> PromptHolder | None:
        return read_holder(self._directory, path)

    async def assert_held(self, path: str, token: str) -> None:
        records = self._entered()
        records.presence.assert_visible()
        holding = records.holder(path)
        if holding is None or holding.who.token != token:
            raise SessionTakeoverError(
                f"the holder's record of this run is gone: {safe(self._directory / record_key(path))}.json",
                hint="clawtop's registry was removed while it was in use",
                unchanged="nothing more was written",
            )

    async def aclose(self) -> None:
        if self._channel is not None:
            asyncio.get_running_loop().remove_reader(self._channel.descriptor)
            self._channel.close()
            self._channel = None

    def _entered(self) -> HolderRecords:
        if self._records is None:
            self._records = HolderRecords(Presence.of(self._directory))
        return self._records
