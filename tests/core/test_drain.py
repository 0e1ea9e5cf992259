"""The drain's decisions, scene by scene."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.model import (
    LockFile,
    LockIdentity,
    LockKind,
    PromptHolder,
    Verdict,
    VerdictKind,
    Waiter,
)
from clawtop.core.session.drain import (
    ACT_AGAIN_MS,
    ASK_AGAIN_MS,
    SEEN_AGAIN_MS,
    AskToStop,
    CloseAdmission,
    DrainAction,
    Drained,
    DrainProgress,
    DrainScene,
    DrainStage,
    EndRun,
    FoundLock,
    NotReleased,
    RemoveLock,
    Terms,
    Wait,
    decide,
    survey,
)
from clawtop.core.session.fence import FileFingerprint
from clawtop.core.session.proof import Following, Proof, ProofSource, Says, Statement
from clawtop.core.session.remedies import Means, OwnProcess, Remedy

SEEN, LONGER = FileFingerprint(True, size=1), FileFingerprint(True, size=2)
TERMS = Terms(deadline=60_000, stop_at=30_000, still_ms=3_000)
QUIET = DrainScene(now=0, closed=True, holder=None, lock=None, fingerprint=SEEN)
HOLDER = PromptHolder("/s.jsonl", "k", "main", "main", "run-1", None, "streaming", 1, 77, "clawtop")
GATEWAY_RUN = Proof(held=Statement(ProofSource.DISK, Says.YES, "stored as running, and its gateway is alive"))
UNHEARD = Proof(missing=Statement(ProofSource.ANSWER, Says.UNKNOWN, "the gateway did not answer"))
ABORT = Remedy(Means.ABORT, "the gateway aborts it")
STOP = Remedy(Means.STOP, "its process is stopped", process=OwnProcess(5))


def lock(kind: VerdictKind, ino: int = 1) -> FoundLock:
    file = LockFile("/s.jsonl.lock", LockKind.SESSION, LockIdentity(1, ino, "d"), 0, {"pid": 9})
    return FoundLock(file, Verdict(kind, ("dead-pid",) if kind is VerdictKind.STALE else ("alive",)), 9)


def story(*scenes: DrainScene, terms: Terms = TERMS) -> list[DrainAction]:
    """The decisions over a sequence of looks."""
    progress, actions = DrainProgress(), []
    for scene in scenes:
        progress, action = decide(progress, scene, terms)
        actions.append(action)
    return actions


def at(scene: DrainScene, *times: int) -> list[DrainScene]:
    return [replace(scene, now=now) for now in times]


def test_admission_is_closed_before_anything_else() -> None:
    assert story(replace(QUIET, closed=False, holder=HOLDER)) == [CloseAdmission()]


def test_a_quiet_session_is_drained_after_it_was_still() -> None:
    waits, drained = story(*at(QUIET, 0, 3_000))
    assert isinstance(waits, Wait)
    assert waits.until == 3_000
    assert isinstance(drained, Drained)
    assert drained.proof[-1] == "all of this held for 3 s, with its transcript unchanged"


def test_any_sign_of_life_starts_the_proof_anew() -> None:
    for sign in (
        replace(QUIET, fingerprint=LONGER),
        replace(QUIET, holder=HOLDER),
        replace(QUIET, openclaw=GATEWAY_RUN),
    ):
        actions = story(
            *at(QUIET, 0, 2_000),
            replace(sign, now=2_500),
            *at(replace(sign, holder=None, openclaw=Proof()), 3_000, 5_400),
        )
        assert not any(isinstance(action, Drained) for action in actions)


def test_a_holder_is_waited_for_then_asked_to_stop_now_and_then() -> None:
    scene = replace(QUIET, holder=HOLDER)
    actions = story(*at(scene, 0, 29_999, 30_000, 30_100, 30_000 + ASK_AGAIN_MS))
    assert [type(action) for action in actions] == [Wait, Wait, AskToStop, Wait, AskToStop]


def test_at_the_deadline_it_says_not_released_and_by_whom() -> None:
    for scene, who in [
        (replace(QUIET, holder=HOLDER), "run run-1 (pid 77, streaming)"),
        (replace(QUIET, openclaw=GATEWAY_RUN), "OpenClaw run"),
        (replace(QUIET, lock=lock(VerdictKind.HELD)), "held write lock of process 9"),
        (replace(QUIET, lock=lock(VerdictKind.UNKNOWN)), "unknown write lock"),
    ]:
        (action,) = story(replace(scene, now=60_000))
        assert isinstance(action, NotReleased)
        assert who in action.why


def test_a_transcript_that_never_rests_is_not_released() -> None:
    scenes = [replace(QUIET, now=now, fingerprint=FileFingerprint(True, size=now)) for now in range(0, 61_000, 1_000)]
    assert isinstance(story(*scenes)[-1], NotReleased)


def test_a_proof_that_began_before_the_deadline_may_be_finished() -> None:
    actions = story(*at(replace(QUIET, holder=HOLDER), 58_000), *at(QUIET, 59_000, 60_500, 62_000))
    assert isinstance(actions[-1], Drained)


def test_a_stale_lock_goes_only_after_it_was_seen_twice() -> None:
    scene = replace(QUIET, lock=lock(VerdictKind.STALE))
    other = replace(QUIET, lock=lock(VerdictKind.STALE, ino=2))
    first, again = story(*at(scene, 0, SEEN_AGAIN_MS))
    assert isinstance(first, Wait)
    assert again == RemoveLock(lock(VerdictKind.STALE))
    actions = story(replace(scene, now=0), replace(other, now=SEEN_AGAIN_MS), replace(scene, now=2 * SEEN_AGAIN_MS))
    assert not any(isinstance(action, RemoveLock) for action in actions)


def test_the_gateways_run_is_ended_only_where_that_is_allowed_and_its_effect_is_awaited() -> None:
    scene = replace(QUIET, openclaw=GATEWAY_RUN, remedies=(ABORT, STOP))
    scenes = at(scene, 0, 30_000, 31_500, 30_000 + ACT_AGAIN_MS, 30_000 + 2 * ACT_AGAIN_MS)
    assert not any(isinstance(action, EndRun) for action in story(*scenes))
    allowed = story(*scenes, terms=replace(TERMS, abort_in_gateway=True))
    done = [action.remedy if isinstance(action, EndRun) else None for action in allowed]
    assert done == [None, ABORT, None, ABORT, ABORT]
    both = story(*scenes, terms=replace(TERMS, abort_in_gateway=True, stop_processes=True))
    assert [action.remedy for action in both if isinstance(action, EndRun)] == [ABORT, STOP, ABORT]


def test_a_run_that_nothing_reaches_is_waited_for() -> None:
    restart = Remedy(Means.RESTART, "only a restart ends it")
    scene = replace(QUIET, openclaw=GATEWAY_RUN, remedies=(restart,), now=31_000)
    assert isinstance(story(scene, terms=replace(TERMS, abort_in_gateway=True, stop_processes=True))[0], Wait)


def test_a_word_that_is_missing_is_no_release_and_nothing_is_ended_for_it() -> None:
    scene = replace(QUIET, openclaw=UNHEARD, remedies=(ABORT,))
    actions = story(*at(scene, 0, 31_000, 60_000), terms=replace(TERMS, abort_in_gateway=True))
    assert [type(action) for action in actions] == [Wait, Wait, NotReleased]
    assert actions[-1] == NotReleased("perhaps an OpenClaw run: the gateway did not answer")


UNKNOWABLE = Proof(missing=Statement(ProofSource.CLAIM, Says.UNKNOWN, "openclaw.sqlite is damaged", lasting=True))


def test_what_cannot_become_known_is_said_as_soon_as_it_was_seen_twice() -> None:
    scene = replace(QUIET, openclaw=UNKNOWABLE)
    actions = story(*at(scene, 0, SEEN_AGAIN_MS - 1, SEEN_AGAIN_MS))
    assert [type(action) for action in actions] == [Wait, Wait, NotReleased]
    assert actions[-1] == NotReleased(
        "perhaps an OpenClaw run: openclaw.sqlite is damaged; waiting does not change that"
    )


def test_what_cannot_become_known_matters_only_where_nothing_else_holds_the_session() -> None:
    damaged, calm = replace(QUIET, openclaw=UNKNOWABLE), QUIET
    held, locked = replace(damaged, holder=HOLDER), replace(damaged, lock=lock(VerdictKind.HELD))
    for other in (held, locked, calm, replace(QUIET, openclaw=UNHEARD)):
        scenes = [
            replace(other, now=0),
            replace(damaged, now=500),
            replace(other, now=900),
            replace(damaged, now=1_600),
        ]
        assert not any(isinstance(action, NotReleased) for action in story(*scenes))


def test_the_proof_takes_as_long_as_a_run_may_stay_invisible() -> None:
    scene = replace(QUIET, quiet_ms=15_000)
    actions = story(*at(scene, 0, 3_000, 14_999, 15_000))
    assert [type(action) for action in actions] == [Wait, Wait, Wait, Drained]


def test_a_restarted_gateway_may_resume_the_session_first() -> None:
    scene = replace(QUIET, may_follow=Following(20_000, "its gateway may still resume it"))
    waits, *_, drained = story(*at(scene, 0, 3_000, 20_000))
    assert isinstance(waits, Wait)
    assert "may still resume" in waits.why
    assert isinstance(drained, Drained)


def test_the_gateway_is_asked_once_more_before_it_is_said() -> None:
    scene = replace(QUIET, asked_at=2_900)
    _, waits = story(scene, replace(scene, now=3_000))
    assert isinstance(waits, Wait)
    assert "once more" in waits.why
    _, drained = story(scene, replace(scene, now=3_100, asked_at=3_050))
    assert isinstance(drained, Drained)


def test_what_an_abort_costs_is_said_before() -> None:
    scene = replace(QUIET, openclaw=GATEWAY_RUN, remedies=(ABORT,), queue="2 inputs wait behind it (r2, r3): dropped")
    lines = survey(scene, TERMS, gateway_live=True)
    assert lines[-1] == "6. reopen the session to clawtop's engines, however the drain ends"
    assert "to end it: the gateway aborts it - not allowed for this drain" in lines
    assert "2 inputs wait behind it (r2, r3): dropped" in lines
    allowed = survey(scene, replace(TERMS, abort_in_gateway=True), gateway_live=True)
    assert "to end it: the gateway aborts it" in allowed


_scenes = st.builds(
    DrainScene,
    now=st.integers(0, 70_000),
    closed=st.just(True),
    holder=st.sampled_from([None, HOLDER]),
    openclaw=st.sampled_from([Proof(), GATEWAY_RUN, UNHEARD]),
    remedies=st.sampled_from([(), (ABORT, STOP)]),
    lock=st.sampled_from([None, *(lock(kind) for kind in VerdictKind)]),
    fingerprint=st.sampled_from([SEEN, LONGER]),
)


@given(st.lists(_scenes, max_size=30))
def test_drained_is_only_said_of_a_session_that_nothing_held_for_the_whole_proof(scenes: list[DrainScene]) -> None:
    scenes = sorted(scenes, key=lambda scene: scene.now)
    progress = DrainProgress()
    for number, scene in enumerate(scenes):
        progress, action = decide(progress, scene, TERMS)
        if isinstance(action, RemoveLock):
            assert action.lock.verdict.kind is VerdictKind.STALE
        if isinstance(action, Drained):
            assert progress.stage is DrainStage.DRAINED
            since = [look for look in scenes[: number + 1] if look.now > scene.now - TERMS.still_ms]
            assert all(
                (look.holder, look.openclaw.is_free, look.lock, look.fingerprint)
                == (None, True, None, scene.fingerprint)
                for look in since
            )
            assert scenes[0].now <= scene.now - TERMS.still_ms


def test_a_writer_restarts_the_proof() -> None:
    progress = DrainProgress()
    looks = [(1_000, SEEN), (3_000, SEEN), (3_900, LONGER), (4_100, LONGER), (6_800, LONGER), (6_900, LONGER)]
    actions = []
    for now, seen in looks:
        progress, action = decide(progress, replace(QUIET, now=now, fingerprint=seen), TERMS)
        actions.append(isinstance(action, Drained))
    assert actions == [False, False, False, False, False, True]


def test_the_survey_says_what_is_held_what_waits_what_is_lost_and_what_a_gateway_may_do() -> None:
    waiting = replace(HOLDER, waiters=(Waiter(1, 88, "heartbeat", "run-2", 5),))
    lines = "\n".join(survey(replace(QUIET, holder=waiting), TERMS, gateway_live=True))
    for words in ("run run-1 (pid 77, streaming)", "waiting: run run-2 (pid 88, lane heartbeat)", "lose its reply"):
        assert words in lines
    assert "a gateway cannot be kept out" in lines
    assert "gateway cannot" not in "\n".join(survey(QUIET, TERMS, gateway_live=False))
    assert "have the gateway end its run" in "\n".join(
        survey(QUIET, replace(TERMS, abort_in_gateway=True), gateway_live=None)
    )
