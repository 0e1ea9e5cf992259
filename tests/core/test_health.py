"""What the judgement makes of a state."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clawtop.core.health.judgement import Level, judge
from clawtop.core.model import SHARED, AccountRetry, Credential, Profile, Session, Suspension, Witness, WitnessKind
from clawtop.core.session.activity import running_since
from tests.support.worlds import CALM, MINUTE, NOW, SECOND, agent, cooling, profile, session

EXPIRED = Credential("token", expires=NOW - MINUTE)


def retrying(number: int, due: int, *, active: bool = True) -> Session:
    retry = AccountRetry(number, 9, due, "rate_limit")
    told = Witness(WitnessKind.LOG, active, "it is retrying", at=due - SECOND, since=NOW - 2 * MINUTE, retry=retry)
    row = session("main", "telegram:1", 1, "running", updated=SECOND, active=active)
    return replace(row, witnesses=(told,))


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (retrying(7, NOW + 30 * SECOND), True),
        (retrying(3, NOW - SECOND), True),
        (retrying(2, NOW + SECOND), False),  # a blip
        (retrying(7, NOW - 2 * MINUTE), False),  # it has asked since, and waits for the answer
        (retrying(7, NOW + SECOND, active=False), False),
    ],
)
def test_a_run_that_asks_a_refusing_account_again_and_again_is_not_all_well(row: Session, told: bool) -> None:
    health = judge(replace(CALM, sessions=(row,), holders=(), events=()), NOW)
    causes = [cause for cause in health.causes if cause.code == "retrying"]
    assert bool(causes) is told
    if causes:
        assert health.level is Level.ATTENTION
        assert health.badge == "RETRYING"
        assert causes[0].text == "1 run retrying the same account for 2 min: telegram:1"
        assert "of 9 after rate_limit" in causes[0].evidence[0]


STARTED = CALM.gateway.started_at or 0


@pytest.mark.parametrize(
    ("suspension", "blocks"),
    [
        (Suspension("quota_exhausted", "suspended", NOW - MINUTE, NOW + MINUTE, "main"), True),
        (Suspension("quota_exhausted", "suspended", None, None, "main"), True),
        (Suspension("circuit_open", "suspended", NOW - MINUTE, NOW + MINUTE, None), False),  # stops no lane
        (Suspension("quota_exhausted", "suspended", NOW - MINUTE, NOW - SECOND, "main"), False),  # over
        (Suspension("quota_exhausted", "suspended", STARTED - 1, NOW + MINUTE, "main"), False),  # of a former gateway
        (Suspension("quota_exhausted", "resuming", NOW - MINUTE, NOW + MINUTE, "main"), False),
    ],
)
def test_a_suspension_blocks_while_the_gateway_holds_its_lane(suspension: Suspension, blocks: bool) -> None:
    row = session("main", "main", 1, "failed", suspension=suspension)
    health = judge(replace(CALM, sessions=(row,), holders=(), events=()), NOW)
    assert bool(health.blocked) is blocks
    if blocks:
        assert (
            health.changes_at is None or suspension.expected_resume_by is None or health.changes_at <= NOW + MINUTE + 1
        )


@pytest.mark.parametrize("owner", ["main", SHARED])
@pytest.mark.parametrize(
    ("ill", "code", "text"),
    [
        (profile("openai:b", cooling(60 * SECOND)), "profiles-resting", "1 profile unusable for now: openai:b"),
        (replace(profile("openai:b"), credential=EXPIRED), "credentials", "1 credential to renew: openai:b"),
    ],
)
def test_a_profile_that_does_not_serve_is_told_once_whoever_owns_it(
    ill: Profile, code: str, text: str, owner: str
) -> None:
    profiles = (replace(profile("openai:a"), owner_agent=owner), replace(ill, owner_agent=owner))
    state = replace(CALM, agents=(agent("main", profiles), agent("ops", profiles)), sessions=(), holders=(), events=())
    found = {cause.code: cause.text for cause in judge(state, NOW).causes}
    assert found[code] == text


def test_a_run_lasts_since_its_claim_however_often_it_asks_anew() -> None:
    row = retrying(7, NOW + SECOND)
    claim = Witness(WitnessKind.CLAIM, True, "its turn is claimed", since=NOW - 5 * MINUTE)
    status = Witness(WitnessKind.STATUS, True, "stored as running", at=NOW - SECOND, since=NOW - SECOND)
    row = replace(row, witnesses=(claim, status, *row.witnesses))
    assert running_since(row) == NOW - 5 * MINUTE
    causes = judge(replace(CALM, sessions=(row,), holders=(), events=()), NOW).causes
    assert "for 5 min" in next(cause.text for cause in causes if cause.code == "retrying")
