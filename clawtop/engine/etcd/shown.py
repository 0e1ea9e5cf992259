"""The prompt holders of other hosts in a snapshot: what etcd says about this directory's sessions, polled.

An extra part of `SnapshotReader`: it is called in the reading thread, keeps the last answer, and never delays a
snapshot by more than `DEADLINE_S`.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import lru_cache

from clawtop import threads
from clawtop.clock import Clock
from clawtop.core.model import Problem, PromptHolder, Session, Snapshot
from clawtop.core.session.admission import Admission
from clawtop.engine.etcd.client import Etcd, EtcdUnreachableError, KeyValue, Range
from clawtop.engine.etcd.names import shared_name
from clawtop.engine.etcd.records import living_part, session_key
from clawtop.engine.prompt.choice import RegistryChoice, endpoints_of
from clawtop.store.own import holder_record
from clawtop.store.own.admissions import draining_holder, prompt_holder
from clawtop.store.own.holder_record import canonical
from clawtop.store.place.layout import Layout
from clawtop.store.place.mounts import machine_identity
from clawtop.text import safe

DEADLINE_S = 1.0
ASK_S, ASK_AGAIN_S = 2.0, 10.0
"""How old an answer may be, and how long a cluster that gave none is not asked again."""


class SharedHolders:
    """Adds holders of the registry that hosts share. One thread at a time."""

    def __init__(self, choice: RegistryChoice, clock: Clock) -> None:
        self._choice = choice
        self._clock = clock
        self._endpoints, prefix = endpoints_of(choice.url)
        self._root = f"{prefix}/".encode()
        self._next = float("-inf")
        self._states: dict[bytes, Admission] = {}
        self._problem: Problem | None = None
        machine = machine_identity()
        self._name_of = lru_cache(maxsize=4096)(lambda path: shared_name(path, choice.mounts, machine))

    def __call__(self, _layout: Layout, snapshot: Snapshot) -> Snapshot:
        now = self._clock.monotonic()
        if snapshot.judged_at is None and now >= self._next:
            self._ask()
            self._next = now + (ASK_S if self._problem is None else ASK_AGAIN_S)
        known = {canonical(holder.session_file) for holder in snapshot.holders}
        found = tuple(self._holders(snapshot.sessions, known)) if self._states else ()
        warnings = () if self._problem is None else (self._problem,)
        if not found and not warnings:
            return snapshot
        return replace(snapshot, holders=(*snapshot.holders, *found), warnings=(*snapshot.warnings, *warnings))

    def _holders(self, sessions: Iterable[Session], known: set[str]) -> Iterator[PromptHolder]:
        here = os.uname().nodename
        for row in sessions:
            path = canonical(row.file) if row.file is not None else None
            state = self._states.get(session_key(self._root, self._name_of(path))) if path is not None else None
            if state is None or path in known or row.file is None:
                continue
            member = state.holder.who.member if state.holder is not None else ""
            holder = prompt_holder(state) if state.holder is not None else draining_holder(state)
            if holder is not None:
                elsewhere = not member.startswith(f"{here}-")  # a pid means nothing on another host
                yield replace(holder, session_file=row.file, pid=None if elsewhere else holder.pid)

    def _ask(self) -> None:
        """Query etcd once. Afterwards `_states` is current, or `_problem` says why it is not."""
        try:
            records, members = threads.run(self._read())
            states = (_parsed(one) for one in records)
            living = {key: living_part(state, members, self._root) for key, state in states if state is not None}
            self._states = {key: state for key, state in living.items() if not state.idle}
            self._problem = None
        except (EtcdUnreachableError, TimeoutError) as error:
            self._states = {}
            why = error.title if isinstance(error, EtcdUnreachableError) else "no answer in time"
            self._problem = Problem(
                "registry-unreachable", safe(self._choice.url, 120), f"holders of other hosts: {why}"
            )

    async def _read(self) -> tuple[tuple[KeyValue, ...], ...]:
        etcd = Etcd(self._endpoints, self._clock)
        try:
            async with self._clock.timeout(DEADLINE_S):
                return await etcd.read(Range(self._root + b"sessions/"), Range(self._root + b"members/"))
        finally:
            await etcd.aclose()


def _parsed(one: KeyValue) -> tuple[bytes, Admission | None]:
    """A record; None for a value that is not clawtop's."""
    try:
        return one.key, holder_record.parsed(one.value)
    except ValueError:
        return one.key, None
