"""Both verdicts on a lock. OpenClaw's own answers are replayed in tests/conformance/test_lock_staleness_vectors.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.generations import Storage, storage_of
from clawtop.core.locks.staleness import NamespaceEvidence, openclaw_verdict, owner_pid, owner_start_ticks, verdict
from clawtop.core.model import (
    Generation,
    LockFile,
    LockIdentity,
    LockKind,
    LockLimits,
    ProcessEvidence,
    VerdictKind,
)

NOW = 1_795_214_110_000
WRITTEN = "2026-11-20T22:35:00.000Z"  # ten seconds before NOW
PID = 4_711
LIMITS = LockLimits(60_000, 1_800_000, 300_000)
DEAD = ProcessEvidence(PID, alive=False)
UNSEEN = ProcessEvidence(PID, alive=None, why_unknown="other-user")


def lock(
    payload: Mapping[str, Any] | None,
    kind: LockKind = LockKind.SESSION,
    *,
    age: int = 10_000,
    problem: str | None = None,
) -> LockFile:
    return LockFile("/s/x.jsonl.lock", kind, LockIdentity(1, 2, "d"), NOW - age, payload, problem)


def living(ticks: int | None = None, **more: Any) -> ProcessEvidence:
    return ProcessEvidence(PID, alive=True, start_ticks=ticks, argv=("openclaw",), **more)


TAKEN = {"pid": PID, "createdAt": WRITTEN, "starttime": 900}
WITHOUT_START = {"pid": PID, "createdAt": WRITTEN}

OURS = [
    ("dead owner", TAKEN, DEAD, VerdictKind.STALE, ("dead-pid",)),
    ("zombie", TAKEN, ProcessEvidence(PID, False, zombie=True), VerdictKind.STALE, ("dead-pid", "zombie")),
    ("its process", TAKEN, living(900), VerdictKind.HELD, ("alive", "same-start")),
    ("another process with its pid", TAKEN, living(901), VerdictKind.STALE, ("recycled-pid",)),
    ("no start time to compare", WITHOUT_START, living(900), VerdictKind.HELD, ("alive",)),
    ("own start time not to be seen", TAKEN, living(None), VerdictKind.HELD, ("alive",)),
    ("began later", WITHOUT_START, living(900, started_at=NOW - 5_000), VerdictKind.STALE, ("started-after-lock",)),
    ("began at about that time", WITHOUT_START, living(900, started_at=NOW - 9_900), VerdictKind.HELD, ("alive",)),
    (
        "began soon after",
        WITHOUT_START,
        living(900, started_at=NOW - 9_200),
        VerdictKind.STALE,
        ("started-after-lock",),
    ),
    ("booted later", WITHOUT_START, living(900, boot_at=NOW - 5_000), VerdictKind.STALE, ("older-than-boot",)),
    ("began later, macOS", WITHOUT_START, living(started_at=NOW - 5_000), VerdictKind.HELD, ("alive",)),
    ("booted later, macOS", WITHOUT_START, living(boot_at=NOW - 5_000), VerdictKind.HELD, ("alive",)),
    (
        "its process, clock set forward",
        TAKEN,
        living(900, boot_at=NOW - 5_000),
        VerdictKind.HELD,
        ("alive", "same-start"),
    ),
    ("not to be seen", TAKEN, UNSEEN, VerdictKind.UNKNOWN, ("other-user",)),
    ("not asked", TAKEN, None, VerdictKind.UNKNOWN, ("not-checked",)),
    ("no pid", {"createdAt": WRITTEN}, None, VerdictKind.UNKNOWN, ("missing-pid",)),
    ("nonsense pid", {"pid": -3}, None, VerdictKind.UNKNOWN, ("missing-pid",)),
    ("garbage", None, None, VerdictKind.UNKNOWN, ("unparsable",)),
]


@pytest.mark.parametrize(("payload", "owner", "kind", "reasons"), [row[1:] for row in OURS], ids=[r[0] for r in OURS])
def test_our_verdict(
    payload: Mapping[str, Any] | None,
    owner: ProcessEvidence | None,
    kind: VerdictKind,
    reasons: tuple[str, ...],
) -> None:
    found = verdict(lock(payload), owner, NOW)
    assert (found.kind, found.reasons) == (kind, reasons)


@pytest.mark.parametrize("obstacle", ["network-mount", "fuse-mount", "other-namespace"])
@pytest.mark.parametrize("owner", [DEAD, living(901), living(900), UNSEEN])
def test_where_pids_may_be_someone_elses_nothing_is_proven(obstacle: str, owner: ProcessEvidence) -> None:
    found = verdict(lock(TAKEN), owner, NOW, NamespaceEvidence((obstacle,)))
    assert found.kind is VerdictKind.UNKNOWN
    assert obstacle in found.reasons


BOOT = NOW - 3_600_000
WEEK = 7 * 86_400_000
LATER = living(900, boot_at=BOOT, started_at=BOOT + 3_595_000)  # five seconds after the lock, by the clock as it is


@pytest.mark.parametrize(
    ("settings", "kind"),
    [
        ((), VerdictKind.STALE),
        ((BOOT,), VerdictKind.STALE),
        ((BOOT - 2_000,), VerdictKind.STALE),  # set forward by less than lies between lock and start
        ((BOOT - 6_000, BOOT), VerdictKind.UNKNOWN),
        ((BOOT - 14_000, BOOT), VerdictKind.STALE),  # by that setting the lock was written in the future
        ((BOOT - WEEK, BOOT), VerdictKind.STALE),
    ],
)
def test_a_clock_that_was_set_forward_takes_its_force_from_a_start_that_looks_later(
    settings: tuple[int, ...], kind: VerdictKind
) -> None:
    found = verdict(lock(WITHOUT_START), LATER, NOW, NamespaceEvidence(settings=settings))
    assert found.kind is kind
    assert found.reasons == (("clock-was-set",) if kind is VerdictKind.UNKNOWN else ("started-after-lock",))


@pytest.mark.parametrize(
    ("settings", "kind"),
    [((BOOT,), VerdictKind.STALE), ((BOOT - WEEK,), VerdictKind.STALE), ((BOOT - 86_400_000,), VerdictKind.UNKNOWN)],
)
def test_a_clock_that_was_set_forward_makes_no_lock_older_than_the_boot(
    settings: tuple[int, ...], kind: VerdictKind
) -> None:
    day_old = lock(None, age=86_400_000)
    found = verdict(day_old, None, NOW, NamespaceEvidence(boot_at=BOOT, settings=settings))
    assert found.kind is kind


@pytest.mark.parametrize("owner", [DEAD, living(901), LATER])
def test_who_wrote_before_our_pid_namespace_began_was_never_in_it(owner: ProcessEvidence) -> None:
    written = NOW - 10_000
    file = lock(TAKEN if owner is not LATER else WITHOUT_START)
    before = verdict(file, owner, NOW, NamespaceEvidence(began_at=written + 1_000))
    after = verdict(file, owner, NOW, NamespaceEvidence(began_at=written - 1_000))
    assert (before.kind, before.reasons) == (VerdictKind.UNKNOWN, ("other-namespace",))
    assert after.kind is VerdictKind.STALE


@given(
    age=st.integers(0, 10**12),
    hold=st.integers(0, 10**9),
    ticks=st.none() | st.integers(0, 10**6),
    kind=st.sampled_from(LockKind),
)
def test_age_alone_never_makes_a_lock_stale(age: int, hold: int, ticks: int | None, kind: LockKind) -> None:
    payload = {"pid": PID, "createdAt": "1970-01-01T00:00:01.000Z", "maxHoldMs": hold} | (
        {} if ticks is None else {"starttime": ticks, "startTime": ticks}
    )
    owner = living(ticks, started_at=None, boot_at=None)
    assert verdict(lock(payload, kind, age=age), owner, NOW).kind is VerdictKind.HELD


@given(
    payload=st.dictionaries(
        st.sampled_from(["pid", "createdAt", "starttime", "startTime", "maxHoldMs"]),
        st.one_of(
            st.none(),
            st.booleans(),
            st.integers(),
            st.floats(),
            st.text(max_size=30),
            st.lists(st.integers(), max_size=2),
        ),
    ),
    kind=st.sampled_from(LockKind),
    generation=st.sampled_from(Generation),
)
def test_no_payload_raises(payload: dict[str, Any], kind: LockKind, generation: Generation) -> None:
    file = lock(payload, kind)
    for owner in (None, DEAD, UNSEEN, living(900)):
        verdict(file, owner, NOW)
        openclaw_verdict(file, owner, NOW, storage_of(generation), LIMITS)


def test_the_gateway_spells_its_start_time_differently() -> None:
    payload = {"pid": PID, "startTime": 5, "starttime": 6}
    assert owner_start_ticks(lock(payload, LockKind.GATEWAY)) == 5
    assert owner_start_ticks(lock(payload, LockKind.SESSION)) == 6
    assert owner_pid(lock({"pid": 7.0})) == 7
    assert owner_pid(lock({"pid": True})) is None


OLD = {"pid": PID, "createdAt": "2026-11-20T22:00:00.000Z", "starttime": 900}  # 35 minutes before NOW
A, B, C = (storage_of(generation) for generation in (Generation.A, Generation.B, Generation.C))

OPENCLAWS = [
    # kind, generation, payload, owner, age of the file, stale, reasons, would remove
    (LockKind.SESSION, B, TAKEN, living(900), 10_000, False, (), False),
    (LockKind.SESSION, A, OLD, living(900), 10_000, True, ("too-old",), True),
    (LockKind.SESSION, B, OLD, living(900), 10_000, True, ("too-old",), True),
    (LockKind.SESSION, C, OLD, living(900), 10_000, True, ("too-old",), False),
    (LockKind.SESSION, C, TAKEN | {"maxHoldMs": 5_000}, living(900), 10_000, True, ("hold-exceeded",), False),
    (LockKind.SESSION, B, TAKEN | {"maxHoldMs": 5_000}, living(900), 10_000, False, (), False),
    (LockKind.SESSION, B, None, None, 4_000, True, ("missing-pid", "invalid-createdAt"), False),
    (LockKind.SESSION, B, None, None, 6_000, True, ("missing-pid", "invalid-createdAt"), True),
    (LockKind.SESSION, C, None, None, 29_000, True, ("missing-pid", "invalid-createdAt"), False),
    (LockKind.SESSION, C, None, None, 31_000, True, ("missing-pid", "invalid-createdAt"), True),
    (LockKind.SESSION, A, None, None, 1_700_000, True, ("missing-pid", "invalid-createdAt"), False),
    (LockKind.SESSION, A, None, None, 1_900_000, True, ("missing-pid", "invalid-createdAt"), True),
    (LockKind.SESSIONS_STORE, A, TAKEN, DEAD, 10_000, True, ("dead-pid",), True),
    (LockKind.AUTH, B, None, None, 10**9, False, (), False),
    (LockKind.AUTH, A, None, None, 31_000, True, ("too-old",), True),
    (LockKind.AUTH, A, None, None, 29_000, False, (), False),
    (LockKind.AUTH, A, OLD, living(900), 10_000, True, ("too-old",), True),
    (LockKind.AUTH, B, OLD, living(900), 10**9, False, (), False),
    (LockKind.AUTH, B, TAKEN, DEAD, 10_000, True, ("dead-pid",), True),
    (LockKind.AUTH, B, {"createdAt": OLD["createdAt"]}, None, 10_000, True, ("too-old",), True),
    (LockKind.AUTH, B, {"createdAt": "garbage"}, None, 10_000, True, ("invalid-createdAt",), True),
    (LockKind.AUTH, B, {}, None, 10**9, False, (), False),
    (LockKind.OAUTH_REFRESH, B, {"createdAt": WRITTEN}, None, 10_000, False, (), False),
    (
        LockKind.GATEWAY,
        B,
        {"pid": PID, "createdAt": WRITTEN, "configPath": "/c"},
        DEAD,
        1_000,
        True,
        ("dead-pid",),
        True,
    ),
    (LockKind.GATEWAY, B, {}, None, 31_000, True, ("too-old",), True),
    (LockKind.GATEWAY, B, {}, None, 29_000, False, (), False),
]


@pytest.mark.parametrize("case", OPENCLAWS)
def test_openclaws_verdict(case: tuple[Any, ...]) -> None:
    kind, generation, payload, owner, age, *expected = case
    found = openclaw_verdict(lock(payload, kind, age=age), owner, NOW, generation, LIMITS)
    assert [found.stale, found.reasons, found.would_remove] == expected


@pytest.mark.parametrize("generation", [A, B, C])
def test_an_owner_that_cannot_be_seen_leaves_the_answer_open(generation: Storage) -> None:
    for owner in (None, UNSEEN):
        assert openclaw_verdict(lock(TAKEN), owner, NOW, generation, LIMITS).would_remove is None
    settled = openclaw_verdict(lock(OLD), None, NOW, generation, LIMITS).would_remove
    assert settled is (None if generation is C else True), "age settles it where a live owner does not matter"


def test_a_foreign_command_line_loses_a_session_lock_but_no_auth_lock() -> None:
    python = ProcessEvidence(PID, alive=True, start_ticks=900, argv=("python", "tool.py"))
    for generation, removes in ((A, False), (B, True), (C, True)):
        found = openclaw_verdict(lock(TAKEN), python, NOW, generation, LIMITS)
        assert (found.would_remove, "non-openclaw-owner" in found.reasons) == (removes, removes)
    assert openclaw_verdict(lock(TAKEN, LockKind.AUTH), python, NOW, B, LIMITS).would_remove is False
    ours = ProcessEvidence(PID, alive=True, start_ticks=900, argv=("clawtop/openclaw",))
    assert openclaw_verdict(lock(TAKEN), ours, NOW, C, LIMITS).would_remove is False


def test_a_signal_across_users_fails_and_counts_as_death() -> None:
    roots = ProcessEvidence(PID, alive=True, start_ticks=900, argv=("openclaw",), uid=0)
    for kind, generation, removes in (
        (LockKind.SESSION, B, True),
        (LockKind.AUTH, A, True),
        (LockKind.AUTH, B, False),
    ):
        found = openclaw_verdict(lock(TAKEN, kind), roots, NOW, generation, LIMITS, gateway_uid=1000)
        assert found.would_remove is removes
    assert openclaw_verdict(lock(TAKEN), roots, NOW, B, LIMITS, gateway_uid=0).would_remove is False


def test_a_short_wait_has_little_patience_with_empty_locks() -> None:
    hasty = LockLimits(10_000, 1_800_000, 300_000)
    assert openclaw_verdict(lock(None, age=6_000), None, NOW, C, LIMITS).would_remove is False
    assert openclaw_verdict(lock(None, age=6_000), None, NOW, C, hasty).would_remove is True
