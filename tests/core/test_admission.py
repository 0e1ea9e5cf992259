"""The registry's state machine: who gets the prompt, in which order, and what a death changes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.session.admission import (
    TURN_MS,
    Admission,
    AdmissionEffect,
    AdmissionRequest,
    Ask,
    Claimant,
    ClaimQueued,
    ClaimRefused,
    Close,
    Closed,
    Closing,
    Describe,
    Granted,
    Leave,
    Left,
    OnContention,
    Reap,
    Released,
    Reopen,
    Reopened,
    Wake,
    step,
)

FILE = "/state/agents/main/sessions/s.jsonl"


def claimant(token: str, member: str = "p1") -> Claimant:
    return Claimant(token, member, pid=1, lane="main", run_id=f"run-{token}", since=0)


def play(
    *requests: AdmissionRequest, state: Admission | None = None, now: int = 100
) -> tuple[Admission, list[AdmissionEffect]]:
    """The state after the requests, and the effects of the last one."""
    state = state or Admission(FILE)
    effects: tuple[AdmissionEffect, ...] = ()
    for request in requests:
        state, effects = step(state, request, now)
    return state, list(effects)


A, B, C = claimant("a"), claimant("b", "p2"), claimant("c", "p3")


def test_a_free_session_is_granted_and_asking_again_changes_nothing() -> None:
    state, effects = play(Ask(A))
    assert state.holder is not None
    assert effects == [Granted(state.holder)]
    again, effects = play(Ask(A), state=state)
    assert again == state
    assert effects == [Granted(state.holder)]


def test_waiters_queue_in_order_and_the_first_is_woken() -> None:
    state, effects = play(Ask(A), Ask(B), Ask(C))
    assert [waiter.ticket for waiter in state.waiters] == [1, 2]
    assert effects == [ClaimQueued(state.waiters[1])]
    state, effects = play(Leave("a", "error"), state=state)
    assert [type(effect) for effect in effects] == [Released, Wake]
    assert effects[1] == Wake(state.waiters[0])


def test_a_free_session_belongs_to_its_first_waiter() -> None:
    state, _ = play(Ask(A), Ask(B), Ask(C), Leave("a"))
    state, effects = play(Ask(C), state=state)
    assert effects == [ClaimQueued(state.waiters[1])]
    _, effects = play(Ask(claimant("d"), OnContention.RAISE), state=state)
    assert effects == [ClaimRefused(claimant("d"), None, None)]
    state, effects = play(Ask(B), state=state)
    assert isinstance(effects[0], Granted)
    assert [waiter.token for waiter in state.waiters] == ["c"]


def test_a_first_waiter_that_sleeps_through_its_turn_loses_it() -> None:
    state, _ = play(Ask(A), Ask(B), Ask(C), Leave("a"), now=100)
    _, effects = play(Ask(C), state=state, now=100 + TURN_MS)
    assert isinstance(effects[0], ClaimQueued)
    state, effects = play(Ask(C), state=state, now=101 + TURN_MS)
    assert isinstance(effects[0], Granted)
    assert [waiter.token for waiter in state.waiters] == ["b"]


def test_who_does_not_want_to_wait_is_told_who_holds() -> None:
    state, _ = play(Ask(A))
    for wish in (OnContention.RAISE, OnContention.FORK):
        same, effects = play(Ask(B, wish), state=state)
        assert same == state
        assert effects == [ClaimRefused(B, state.holder, None)]


def test_a_waiter_that_leaves_wakes_the_next_only_when_the_session_is_free() -> None:
    state, _ = play(Ask(A), Ask(B), Ask(C))
    _, effects = play(Leave("b", "cancelled"), state=state)
    assert [type(effect) for effect in effects] == [Left]
    state, _ = play(Leave("a"), state=state)
    _, effects = play(Leave("b", "cancelled"), state=state)
    assert [type(effect) for effect in effects] == [Left, Wake]


def test_a_waiter_that_leaves_from_the_middle_wakes_nobody() -> None:
    state, _ = play(Ask(A), Ask(B), Ask(C), Leave("a"))
    _, effects = play(Leave("c", "cancelled"), state=state)
    assert [type(effect) for effect in effects] == [Left]


def test_only_the_holder_releases_and_describes() -> None:
    state, _ = play(Ask(A), Ask(B))
    same, effects = play(Leave("nobody"), Describe("b", phase="streaming"), state=state)
    assert same == state
    assert effects == []
    state, _ = play(Describe("a", phase="streaming"), state=state)
    assert state.holder is not None
    assert state.holder.phase == "streaming"


def test_the_dead_hold_await_and_close_nothing() -> None:
    closing = Closing("d1", "p3", pid=3, since=0, expires_at=10_000)
    state, _ = play(Ask(A), Ask(B), Ask(claimant("d", "p1")), Close(closing))
    state, effects = play(Reap(frozenset({"p1", "p3"})), state=state)
    assert [type(effect) for effect in effects] == [Released, Left, Reopened, Wake]
    assert state.holder is None
    assert state.closing is None
    assert [waiter.token for waiter in state.waiters] == ["b"]


def test_a_closed_session_grants_nothing_until_it_opens_or_expires() -> None:
    closing = Closing("d1", "p9", pid=9, since=0, expires_at=10_000)
    state, effects = play(Close(closing))
    assert effects == [Closed(closing)]
    _, effects = play(Ask(A, OnContention.RAISE), state=state)
    assert effects == [ClaimRefused(A, None, closing)]
    state, effects = play(Ask(A), state=state)
    assert isinstance(effects[0], ClaimQueued)
    _, effects = play(Reopen("another"), state=state)
    assert effects == []
    _, effects = play(Reopen("d1"), state=state)
    assert [type(effect) for effect in effects] == [Reopened, Wake]
    _, effects = play(Ask(A), state=state, now=10_000)
    assert [type(effect) for effect in effects] == [Reopened, Wake, Granted]


def test_a_second_drain_does_not_replace_the_first_but_a_resumed_one_does() -> None:
    first = Closing("d1", "p8", pid=8, since=0, expires_at=10_000)
    state, _ = play(Close(first))
    same, effects = play(Close(Closing("d2", "p9", pid=9, since=0, expires_at=20_000)), state=state)
    assert (same, effects) == (state, [])
    resumed = Closing("d1", "p9", pid=9, since=0, expires_at=20_000)
    state, effects = play(Close(resumed), state=state)
    assert state.closing == resumed
    assert effects == [Closed(resumed)]


def test_a_closing_keeps_the_holder_and_its_release_wakes_nobody() -> None:
    closing = Closing("d1", "p9", pid=9, since=0, expires_at=10_000)
    state, _ = play(Ask(A), Ask(B), Close(closing))
    assert state.holder is not None
    state, effects = play(Leave("a"), state=state)
    assert [type(effect) for effect in effects] == [Released]
    assert not state.idle


_tokens = st.sampled_from("abcdef")
_members = st.sampled_from(["p1", "p2", "p3"])
_requests = st.one_of(
    st.builds(Ask, st.builds(claimant, _tokens, st.just("p1")), st.sampled_from(OnContention)),
    st.builds(Ask, st.builds(claimant, st.sampled_from("uvw"), st.just("p2"))),
    st.builds(Leave, st.sampled_from("abcdefuvw")),
    st.builds(Describe, _tokens, st.just("streaming")),
    st.builds(lambda members: Reap(frozenset(members)), st.sets(_members)),
    st.builds(Close, st.builds(Closing, st.sampled_from(["d1", "d2"]), _members, st.just(1), st.just(0), st.just(500))),
    st.builds(Reopen, st.sampled_from(["d1", "d2"])),
)


@given(st.lists(st.tuples(_requests, st.integers(0, 1000)), max_size=40))
def test_whatever_happens_there_is_one_holder_and_everyone_else_waits_once(
    story: list[tuple[AdmissionRequest, int]],
) -> None:
    state = Admission(FILE)
    for request, now in story:
        before = state
        state, effects = step(state, request, now)
        tokens = [waiter.token for waiter in state.waiters]
        tickets = [waiter.ticket for waiter in state.waiters]
        assert len(set(tokens)) == len(tokens)
        assert tickets == sorted(set(tickets))
        assert state.holder is None or state.holder.who.token not in tokens
        if state.holder is not None and state.holder != before.holder:
            assert before.holder is None or before.holder.who.token == state.holder.who.token
        granted = [effect for effect in effects if isinstance(effect, Granted)]
        assert all(effect.holding == state.holder for effect in granted)
        if isinstance(request, Reap):
            assert not state.members & request.members
