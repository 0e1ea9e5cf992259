"""Who may prompt a session: the registry of active prompt holders as a state machine (thread 83510, part A).

One `Admission` per session file. `step(state, request, now)` returns the next state and what follows from it; whoever
keeps the state (a record on disk, a simulation) applies one step at a time. Order is first come, first served: a free
session belongs to the waiter with the lowest ticket. All times are milliseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import replace
from enum import StrEnum

from clawtop.values import dataclass

TURN_MS = 2_000
"""How long a free session stays reserved for its first waiter; then any waiter may take the turn."""


class OnContention(StrEnum):
    """What a caller wants when the session has a holder already."""

    WAIT = "wait"
    RAISE = "raise"
    FORK = "fork"


@dataclass(frozen=True, slots=True)
class ForeignHolder:
    """A run of OpenClaw, not clawtop, that is or may be active in the session.

    Attributes:
        who: one safe line for people.
        source: how it was recognised: "status", "lock" or "trajectory".
    """

    who: str
    source: str
    pid: int | None = None
    since: int | None = None


@dataclass(frozen=True, slots=True)
class Claimant:
    """One request for a session's prompt.

    Attributes:
        token: unique to this request, for its whole life.
        member: names the process; its liveness is proven elsewhere, by a lock that dies with it.
        wake: the member's channel for the message that its turn has come.
        since: when it asked. `deadline`: when it will give up, for people.
        ticket: its place in the order; 0 before it waits.
    """

    token: str
    member: str
    pid: int
    lane: str
    run_id: str
    since: int
    session_key: str | None = None
    agent: str | None = None
    deadline: int | None = None
    wake: str = ""
    ticket: int = 0


@dataclass(frozen=True, slots=True)
class Holding:
    """A claimant that has the prompt."""

    who: Claimant
    granted_at: int
    phase: str = "locking"
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Closing:
    """A drain that keeps the session closed to new runs. It ends at `expires_at` or with its member."""

    drain_id: str
    member: str
    pid: int
    since: int
    expires_at: int
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Admission:
    """The state of one session. `freed_at` is when it was last left without a holder."""

    session_file: str
    holder: Holding | None = None
    waiters: tuple[Claimant, ...] = ()
    next_ticket: int = 1
    freed_at: int | None = None
    closing: Closing | None = None

    @property
    def idle(self) -> bool:
        """Nobody holds, awaits or closes it: no record needs to be kept."""
        return self.holder is None and not self.waiters and self.closing is None

    @property
    def members(self) -> frozenset[str]:
        """Every process that the state depends on."""
        named = {waiter.member for waiter in self.waiters}
        if self.holder is not None:
            named.add(self.holder.who.member)
        if self.closing is not None:
            named.add(self.closing.member)
        return frozenset(named)


# --- requests ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Ask:
    """Request the prompt. A waiter takes its turn by asking again with the same token.

    `profile`: the account that it will use, once it has the prompt.
    """

    who: Claimant
    on_contention: OnContention = OnContention.WAIT
    profile: str | None = None


@dataclass(frozen=True, slots=True)
class Leave:
    """The claimant goes: it releases the prompt, or stops waiting. `how`: completed, error, cancelled, takeover."""

    token: str
    how: str = "completed"


@dataclass(frozen=True, slots=True)
class Describe:
    """The holder reports the phase of its run."""

    token: str
    phase: str


@dataclass(frozen=True, slots=True)
class Reap:
    """These processes are proven dead: everything that they held, awaited or closed is released."""

    members: frozenset[str]


@dataclass(frozen=True, slots=True)
class Close:
    """A drain closes the session to new runs, or extends or takes over its own closing (same `drain_id`)."""

    closing: Closing


@dataclass(frozen=True, slots=True)
class Reopen:
    """The drain is over."""

    drain_id: str


AdmissionRequest = Ask | Leave | Describe | Reap | Close | Reopen


# --- effects -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Granted:
    holding: Holding


@dataclass(frozen=True, slots=True)
class ClaimQueued:
    """The claimant waits."""

    who: Claimant


@dataclass(frozen=True, slots=True)
class ClaimRefused:
    """Not now, and the caller did not want to wait: `holder` or `closing` says why; or there are earlier waiters."""

    who: Claimant
    holder: Holding | None
    closing: Closing | None


@dataclass(frozen=True, slots=True)
class Wake:
    """Tell this waiter to ask again."""

    who: Claimant


@dataclass(frozen=True, slots=True)
class Released:
    holding: Holding
    how: str


@dataclass(frozen=True, slots=True)
class Left:
    """A waiter stopped waiting."""

    who: Claimant
    how: str


@dataclass(frozen=True, slots=True)
class Closed:
    closing: Closing


@dataclass(frozen=True, slots=True)
class Reopened:
    closing: Closing
    how: str


AdmissionEffect = Granted | ClaimQueued | ClaimRefused | Wake | Released | Left | Closed | Reopened
AdmissionStep = tuple[Admission, tuple[AdmissionEffect, ...]]


def step(state: Admission, request: AdmissionRequest, now: int) -> AdmissionStep:
    """The next state and its effects, in order. Total: no request is an error."""
    state, effects = _expired(state, now)
    state, more = _apply(state, request, now)
    return state, effects + more


def step_without(state: Admission, dead: frozenset[str], request: AdmissionRequest, now: int) -> AdmissionStep:
    """As `step`, after what dead members left behind is removed."""
    state, effects = step(state, Reap(dead), now) if dead else (state, ())
    state, more = step(state, request, now)
    return state, effects + more


def _apply(state: Admission, request: AdmissionRequest, now: int) -> AdmissionStep:
    match request:
        case Ask():
            return _ask(state, request, now)
        case Leave():
            return _leave(state, request, now)
        case Describe():
            return _describe(state, request)
        case Reap():
            return _reap(state, request, now)
        case Close():
            return _close(state, request)
        case Reopen():
            return _reopen(state, request, now)


def _expired(state: Admission, now: int) -> AdmissionStep:
    closing = state.closing
    if closing is None or now < closing.expires_at:
        return state, ()
    state = _opened(state, now)
    return state, (Reopened(closing, "expired"), *_turn(state))


def _ask(state: Admission, request: Ask, now: int) -> AdmissionStep:
    who = request.who
    if state.holder is not None and state.holder.who.token == who.token:
        return state, (Granted(state.holder),)
    place = next((n for n, waiter in enumerate(state.waiters) if waiter.token == who.token), None)
    ahead = len(state.waiters) if place is None else place
    if state.holder is None and state.closing is None and (not ahead or _turn_is_over(state, now)):
        who = who if place is None else state.waiters[place]
        holding = Holding(who, granted_at=now, profile=request.profile)
        waiters = tuple(waiter for waiter in state.waiters if waiter.token != who.token)
        return replace(state, holder=holding, waiters=waiters, freed_at=None), (Granted(holding),)
    if request.on_contention is not OnContention.WAIT:
        return state, (ClaimRefused(who, state.holder, state.closing),)
    if place is not None:
        return state, (ClaimQueued(state.waiters[place]),)
    who = replace(who, ticket=state.next_ticket)
    state = replace(state, waiters=(*state.waiters, who), next_ticket=state.next_ticket + 1)
    return state, (ClaimQueued(who),)


def _opened(state: Admission, now: int) -> Admission:
    """`state` reopened; the first waiter's turn begins now."""
    return replace(state, closing=None, freed_at=now if state.holder is None else None)


def _turn_is_over(state: Admission, now: int) -> bool:
    return state.freed_at is not None and now - state.freed_at > TURN_MS


def _turn(state: Admission) -> tuple[AdmissionEffect, ...]:
    """Whose turn it is, if the session can be taken now."""
    if state.holder is not None or state.closing is not None or not state.waiters:
        return ()
    return (Wake(state.waiters[0]),)


def _leave(state: Admission, request: Leave, now: int) -> AdmissionStep:
    holding = state.holder
    if holding is not None and holding.who.token == request.token:
        state = replace(state, holder=None, freed_at=now)
        return state, (Released(holding, request.how), *_turn(state))
    gone = next((waiter for waiter in state.waiters if waiter.token == request.token), None)
    if gone is None:
        return state, ()
    first = state.waiters[0] is gone
    state = replace(state, waiters=tuple(waiter for waiter in state.waiters if waiter is not gone))
    return state, (Left(gone, request.how), *(_turn(state) if first else ()))


def _describe(state: Admission, request: Describe) -> AdmissionStep:
    holding = state.holder
    if holding is None or holding.who.token != request.token:
        return state, ()
    return replace(state, holder=replace(holding, phase=request.phase)), ()


def _reap(state: Admission, request: Reap, now: int) -> AdmissionStep:
    before, effects = state, list[AdmissionEffect]()
    holding, closing = state.holder, state.closing
    if holding is not None and holding.who.member in request.members:
        state = replace(state, holder=None, freed_at=now)
        effects.append(Released(holding, "process died"))
    effects += [Left(waiter, "process died") for waiter in state.waiters if waiter.member in request.members]
    state = replace(state, waiters=tuple(w for w in state.waiters if w.member not in request.members))
    if closing is not None and closing.member in request.members:
        state = _opened(state, now)
        effects.append(Reopened(closing, "process died"))
    return (state, (*effects, *_turn(state))) if effects else (before, ())


def _close(state: Admission, request: Close) -> AdmissionStep:
    if state.closing is not None and state.closing.drain_id != request.closing.drain_id:
        return state, ()
    return replace(state, closing=request.closing), (Closed(request.closing),)


def _reopen(state: Admission, request: Reopen, now: int) -> AdmissionStep:
    closing = state.closing
    if closing is None or closing.drain_id != request.drain_id:
        return state, ()
    state = _opened(state, now)
    return state, (Reopened(closing, "drain ended"), *_turn(state))
