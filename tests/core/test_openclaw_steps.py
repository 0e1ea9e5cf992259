"""The order in which versions mark and rotate, where no vectors tell it."""

from __future__ import annotations

import pytest

from clawtop.core.failover.decision import Action, AttemptStage, Signals
from clawtop.core.failover.openclaw_steps import Answers, AwaitMark, Ended, EndKind, RotationCounts, openclaw_course
from clawtop.core.failover.steps import MarkFailure, Rotate
from clawtop.core.generations import SEMANTICS
from clawtop.core.model import FailureReason

LIMITED = Ended(
    Signals(reason=FailureReason.RATE_LIMIT, failover_failure=True, fallback_configured=True),
    mark=FailureReason.RATE_LIMIT,
    words="429 rate limited",
)


@pytest.mark.parametrize("stage", [AttemptStage.PROMPT, AttemptStage.ASSISTANT])
def test_2026_3_marks_and_waits_before_it_rotates(stage: AttemptStage) -> None:
    course = openclaw_course(stage, LIMITED, RotationCounts(), Answers(rotated=True), SEMANTICS["3.28"])
    kinds = [type(step) for step in course.steps]
    assert kinds.index(MarkFailure) < kinds.index(AwaitMark) < kinds.index(Rotate)
    assert course.end.kind is EndKind.RETRY


@pytest.mark.parametrize("name", [name for name in SEMANTICS if name != "3.28"])
@pytest.mark.parametrize("stage", [AttemptStage.PROMPT, AttemptStage.ASSISTANT])
def test_later_versions_rotate_first_and_wait_only_where_no_account_is_left(name: str, stage: AttemptStage) -> None:
    rotated = openclaw_course(stage, LIMITED, RotationCounts(), Answers(rotated=True), SEMANTICS[name])
    kinds = [type(step) for step in rotated.steps]
    assert kinds.index(Rotate) < kinds.index(MarkFailure)
    assert not rotated.waits_for_mark
    spent = openclaw_course(stage, LIMITED, RotationCounts(), Answers(rotated=False), SEMANTICS[name])
    assert spent.waits_for_mark
    assert spent.last.action is Action.FALLBACK_MODEL


@pytest.mark.parametrize(("name", "marked"), [("3.28", True), ("5.x", False), ("9.x", False)])
def test_a_second_rate_limit_goes_to_the_next_model_unmarked_except_in_2026_3(name: str, marked: bool) -> None:
    again = RotationCounts(rate_limits=1)
    course = openclaw_course(AttemptStage.ASSISTANT, LIMITED, again, Answers(rotated=True), SEMANTICS[name])
    assert any(isinstance(step, MarkFailure) for step in course.steps) is marked
    assert (course.end.kind is EndKind.RETRY) is marked
