"""The registry's records in etcd: one key per session, one lease per process, compare-and-swap for every step.

A member is a key attached to its process's lease: when the process dies, or its host is cut off for longer than the
lease lasts, the key is deleted and the next step by any process releases what the member held. A holder's fence is the
pair of its token in the record and its member's creation revision; `assert_held` asks etcd for both. Without an answer
nothing is written. One system call remains between that answer and the end of the append; a holder that lost its lease
in this window is detected by the check after it.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import uuid
from collections.abc import Callable, Iterable
from functools import lru_cache

from clawtop.clock import Clock
from clawtop.core.model import PromptHolder
from clawtop.core.session.admission import (
    Admission,
    AdmissionEffect,
    AdmissionRequest,
    Ask,
    Claimant,
    Close,
    Reap,
    step,
    step_without,
)
from clawtop.engine.etcd.client import Created, Delete, Etcd, EtcdUnreachableError, KeyValue, Put, Range, Revision
from clawtop.engine.etcd.names import shared_name
from clawtop.engine.prompt.choice import RegistryChoice, endpoints_of
from clawtop.engine.prompt.records import Hear
from clawtop.errors import RefusedError, SessionTakeoverError
from clawtop.store.own import holder_record
from clawtop.store.own.admissions import prompt_holder
from clawtop.store.own.wake import Word
from clawtop.store.place.mounts import machine_identity
from clawtop.text import safe

LEASE_S = 10
"""How long a process may be cut off before others take what it held, in seconds."""

RENEWALS = 3
MARGIN_S = 1.0
"""How long before the end of its lease a process stops trusting it: clocks and answers are not exact."""

WATCH_AGAIN_S = 1.0
_ENCODING = ("utf-8", "surrogateescape")


class EtcdRecords:
    """Records below a prefix of an etcd cluster. One event loop."""

    def __init__(
        self,
        etcd: Etcd,
        prefix: str,
        clock: Clock,
        *,
        name_of: Callable[[str], str],
        host: str,
        lease_s: int = LEASE_S,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex[:12],
    ) -> None:
        """`name_of`: canonical path -> the name that all hosts use. `host`: this host's name, for people."""
        self._etcd = etcd
        self._root = f"{prefix.strip('/')}/".encode()
        self._clock = clock
        self._name_of = name_of
        self._host = host
        self._lease_s = lease_s
        self._new_id = new_id
        self._entering = asyncio.Lock()
        self._member = ""
        self._created = 0
        self._lease = 0
        self._trusted_until = 0.0
        self._hear: Hear = lambda _word, _token: None
        self._waiting: dict[bytes, set[str]] = {}
        self._held: dict[bytes, str] = {}
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def member(self) -> str:
        return self._member

    @property
    def wake(self) -> str:
        return self._member

    @property
    def trusted(self) -> bool:
        """Whether this process's lease is certainly valid."""
        return bool(self._member) and self._clock.monotonic() < self._trusted_until

    # --- membership ----------------------------------------------------------------------------------------------

    async def enter(self, hear: Hear) -> EtcdRecords:
        self._hear = hear
        async with self._entering:
            if not self.trusted:
                await self._enter_anew()
        return self

    async def _enter_anew(self) -> None:
        self._tell_lost()
        await self._stop()
        asked = self._clock.monotonic()
        try:
            self._lease, lasts = await self._etcd.grant(self._lease_s)
            member = f"{self._host}-{os.getpid()}-{self._new_id()}".replace("/", "_")
            facts = json.dumps({"host": self._host, "pid": os.getpid()}).encode()
            created = await self._etcd.commit(
                [Revision(self._member_key(member), 0)], [Put(self._member_key(member), facts, self._lease)]
            )
        except EtcdUnreachableError as error:
            raise self._refused(error) from error
        if created is None:
            raise RefusedError(
                "etcd already has a member of this engine's new name", unchanged="no session was touched"
            )
        self._member, self._created = member, created
        self._trusted_until = asked + lasts - MARGIN_S
        self._tasks = [asyncio.create_task(self._renew(), name="etcd lease")]
        self._tasks.append(asyncio.create_task(self._watch(), name="etcd watch"))
        self._tasks.append(asyncio.create_task(self._end_with_the_lease(), name="end of the etcd lease"))

    async def _renew(self) -> None:
        while True:
            await self._clock.sleep(self._lease_s / RENEWALS)
            asked = self._clock.monotonic()
            with contextlib.suppress(EtcdUnreachableError):
                lasts = await self._etcd.keep_alive(self._lease)
                if lasts <= 0:
                    self._trusted_until = 0.0
                    return
                self._trusted_until = asked + lasts - MARGIN_S

    async def _end_with_the_lease(self) -> None:
        """Running runs are ended when this process's lease can no longer be trusted."""
        while self.trusted:
            await self._clock.sleep(min(MARGIN_S, max(0.01, self._trusted_until - self._clock.monotonic())))
        self._tell_lost()

    def _tell_lost(self) -> None:
        held, self._held = self._held, {}
        for token in held.values():
            self._hear(Word.LOST, token)

    async def _watch(self) -> None:
        """Receive messages for this process, and changes of the sessions that it waits for."""
        words = self._root + b"words/" + self._member.encode() + b"/"
        while True:
            with contextlib.suppress(EtcdUnreachableError):
                async for key in self._etcd.watch(Range(self._root)):
                    if key.startswith(words):
                        word, _, token = key[len(words) :].decode("ascii", "replace").partition("/")
                        if word in set(Word):
                            self._hear(Word(word), token)
                    for token in tuple(self._waiting.get(key, ())):
                        self._hear(Word.WAKE, token)
            await self._clock.sleep(WATCH_AGAIN_S)

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        self._member = ""

    async def aclose(self) -> None:
        lease, self._lease = self._lease, 0
        await self._stop()
        if lease:
            with contextlib.suppress(EtcdUnreachableError):
                await self._etcd.revoke(lease)
        await self._etcd.aclose()

    # --- steps ---------------------------------------------------------------------------------------------------

    def step_now(self, path: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:  # noqa: ARG002
        """Always None: etcd must be asked."""
        return None

    async def step(self, path: str, request: AdmissionRequest, now: int) -> tuple[AdmissionEffect, ...] | None:
        begins = isinstance(request, Ask | Close)
        asks_for = request.who.member if isinstance(request, Ask) else self._member
        if begins and not (self.trusted and asks_for == self._member):
            raise _out_of_lease()
        key = self._session_key(path)
        try:
            records, members = await self._etcd.read(Range(key, exact=True), Range(self._root + b"members/"))
            living = {one.key: one for one in members}
            we = living.get(self._member_key(self._member))
            if begins and (we is None or we.created != self._created):
                self._trusted_until = 0.0
                raise _out_of_lease()
            before = self._parsed(records, path)
            dead = frozenset(member for member in before.members if self._member_key(member) not in living)
            state, effects = step_without(before, dead, request, now)
            if state != before and not await self._save(key, records, state, dead, begins=begins):
                return None
        except EtcdUnreachableError as error:
            if begins:
                raise self._refused(error) from error
            if not self.trusted:
                return ()
            return None
        self._remember(key, state)
        return effects

    async def _save(
        self, key: bytes, records: tuple[KeyValue, ...], state: Admission, dead: frozenset[str], *, begins: bool
    ) -> bool:
        """Write the record if it is unchanged, the dead members are still dead and, where it matters, this process is
        still alive.
        """
        conditions: list[Revision | Created] = [Revision(key, records[0].revision if records else 0)]
        conditions += [Revision(self._member_key(member), 0) for member in sorted(dead)]
        if begins:
            conditions.append(Created(self._member_key(self._member), self._created))
        change = Delete(key) if state.idle else Put(key, holder_record.dumped(state))
        return await self._etcd.commit(conditions, [change]) is not None

    def _remember(self, key: bytes, state: Admission) -> None:
        tokens = {waiter.token for waiter in state.waiters if waiter.member == self._member}
        if tokens:
            self._waiting[key] = tokens
        else:
            self._waiting.pop(key, None)
        if state.holder is not None and state.holder.who.member == self._member:
            self._held[key] = state.holder.who.token
        else:
            self._held.pop(key, None)

    def _parsed(self, records: tuple[KeyValue, ...], path: str) -> Admission:
        if not records:
            return Admission(self._name_of(path))
        try:
            return holder_record.parsed(records[0].value)
        except ValueError as error:
            where = safe(records[0].key.decode("ascii", "replace"))
            raise RefusedError(
                f"etcd has something other than a holder's record under {where}",
                hint="the prefix belongs to another program, or to a newer clawtop",
                unchanged="the session was not touched",
            ) from error

    async def tell(self, who: Claimant, word: Word) -> None:
        if word is Word.WAKE or not self._lease:
            return  # waiters watch the session's own key
        key = self._root + f"words/{who.member}/{word}/{who.token}".encode()
        with contextlib.suppress(EtcdUnreachableError):
            await self._etcd.commit([], [Put(key, b"", self._lease)])

    async def admission_of(self, path: str) -> Admission | None:
        try:
            records, members = await self._etcd.read(
                Range(self._session_key(path), exact=True), Range(self._root + b"members/")
            )
        except EtcdUnreachableError as error:
            raise self._refused(error) from error
        state = living_part(self._parsed(records, path), members, self._root)
        return None if state.idle else state

    async def holder_of(self, path: str) -> PromptHolder | None:
        state = await self.admission_of(path)
        return None if state is None or state.holder is None else prompt_holder(state)

    async def assert_held(self, path: str, token: str) -> None:
        lost = ""
        try:
            records, members = await self._etcd.read(
                Range(self._session_key(path), exact=True), Range(self._member_key(self._member), exact=True)
            )
        except EtcdUnreachableError as error:
            lost = f"it is not known whether this engine still has the session: {error.title}"
        else:
            holder = self._parsed(records, path).holder
            if not members or members[0].created != self._created:
                lost = "this engine's lease in etcd has expired"
            elif holder is None or holder.who.token != token:
                lost = "another engine has the session now"
        if lost:
            raise SessionTakeoverError(f"{lost}: {safe(path)}", hint="the turn is not acknowledged; retry it")

    # --- keys ----------------------------------------------------------------------------------------------------

    def _session_key(self, path: str) -> bytes:
        return session_key(self._root, self._name_of(path))

    def _member_key(self, member: str) -> bytes:
        return self._root + b"members/" + member.encode(*_ENCODING)

    def _refused(self, error: EtcdUnreachableError) -> RefusedError:
        return RefusedError(
            f"the registry cannot be reached: {error.title}",
            hint="no run starts without it; runs under way end with their lease",
            unchanged="nothing was sent and nothing was written",
        )


def _out_of_lease() -> RefusedError:
    return RefusedError(
        "this engine's lease in etcd has expired: every other host treats it as gone",
        hint="etcd answered too late; the next run registers again",
        unchanged="no session was taken",
    )


def living_part(state: Admission, members: Iterable[KeyValue], root: bytes) -> Admission:
    """A record without the members whose lease has ended."""
    living = {one.key for one in members}
    dead = frozenset(one for one in state.members if root + b"members/" + one.encode(*_ENCODING) not in living)
    return step(state, Reap(dead), 0)[0] if dead else state


def session_key(root: bytes, name: str) -> bytes:
    """The key of a session's record, by the name that all hosts use."""
    return root + b"sessions/" + hashlib.sha256(os.fsencode(name)).hexdigest()[:32].encode()


def etcd_records(choice: RegistryChoice, clock: Clock) -> EtcdRecords:
    """The records in the chosen cluster. Nothing is contacted yet."""
    endpoints, prefix = endpoints_of(choice.url)
    machine = machine_identity()

    @lru_cache(maxsize=4096)
    def name_of(path: str) -> str:
        return shared_name(path, choice.mounts, machine)

    return EtcdRecords(Etcd(endpoints, clock), prefix, clock, name_of=name_of, host=os.uname().nodename)
