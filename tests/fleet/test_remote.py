"""Operations on a host: pinned, done once, found again after the connection was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from clawtop.errors import LockNotObtainedError, OperationFailedError, RefusedError
from clawtop.fleet.remote import ANSWER_S, SEARCH_S, RemoteOperations
from clawtop.fleet.transport import HostSpec
from tests.fleet.test_near import FakePipe
from tests.support.clocks import ManualClock, settle

pytestmark = pytest.mark.anyio

PLAN = {"schema": 1, "dry_run": True, "plan": {"fingerprint": "f00", "title": "clear p:one"}}


@dataclass
class FarHost:
    """Answers each far command with the next of `answers`: an object, or None for a connection that is cut."""

    answers: list[dict[str, object] | str | None]
    asked: list[tuple[str, ...]] = field(default_factory=list)

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> FakePipe:
        self.asked.append(tuple(words))
        pipe = FakePipe()
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, dict):
            pipe.say(answer)
        if answer != "hangs":
            pipe.hang_up(0 if answer else 255, "" if answer else "client_loop: send disconnect: Broken pipe")
        return pipe


def _operations(*answers: dict[str, object] | str | None) -> tuple[RemoteOperations, FarHost, ManualClock]:
    far, clock = FarHost(list(answers)), ManualClock()
    return RemoteOperations(HostSpec("web"), far, clock, who="ann@desk"), far, clock


def _journal(outcome: str, **data: object) -> dict[str, object]:
    return {"schema": 1, "outcome": outcome, "operation": {"at": 7, "text": "", "data": data}}


async def test_what_was_shown_is_what_is_done_and_the_journal_hears_from_whom() -> None:
    done = {"schema": 1, "receipt": {"title": "clear p:one"}, "exit_code": 4}
    operations, far, _ = _operations(PLAN, done)
    plan = await operations.plan(["clear", "p:one"])
    receipt = await operations.execute(plan, "limit raised")
    assert far.asked[0] == ("clear", "p:one", "--dry-run", "--json")
    words = far.asked[1]
    assert words[:4] == ("clear", "p:one", "--yes", "--json")
    assert words[words.index("--plan") + 1] == "f00"
    assert words[words.index("--operation-id") + 1] == receipt.id
    assert words[words.index("--reason") + 1] == "limit raised (from ann@desk)"
    assert (receipt.exit_code, receipt.found) == (4, False)


@pytest.mark.parametrize(("code", "kind"), [(1, RefusedError), (2, LockNotObtainedError), (3, OperationFailedError)])
async def test_what_the_host_refuses_is_said_with_its_name(code: int, kind: type[Exception]) -> None:
    refusal = {"schema": 1, "error": {"title": "no\x1b[31m", "hint": "h", "unchanged": "u"}, "exit_code": code}
    operations, _, _ = _operations(refusal)
    with pytest.raises(kind, match=r"^web: no") as caught:
        await operations.plan(["clear", "p:one"])
    assert "\x1b" not in str(caught.value)


async def test_a_connection_lost_in_the_middle_finds_the_result_in_the_hosts_journal() -> None:
    operations, far, _ = _operations(PLAN, None, _journal("done", title="clear p:one"))
    receipt = await operations.execute(await operations.plan(["clear", "p:one"]))
    assert receipt.found
    assert receipt.receipt["title"] == "clear p:one"
    assert far.asked[2] == ("receipt", receipt.id, "--withdraw", "--json")
    assert len(far.asked) == 3, "it is never done again"


async def test_what_was_certainly_not_done_is_said_so() -> None:
    operations, _, _ = _operations(PLAN, None, _journal("failed", why="withdrawn before it started"))
    plan = await operations.plan(["clear", "p:one"])
    with pytest.raises(OperationFailedError, match="withdrawn before it started") as caught:
        await operations.execute(plan)
    assert caught.value.unchanged == "nothing was changed"


async def test_what_is_not_known_is_never_rounded() -> None:
    operations, far, clock = _operations(PLAN, None, *[_journal("begun")] * 100)
    plan = await operations.plan(["clear", "p:one"])
    task = asyncio.create_task(operations.execute(plan))
    await clock.advance(SEARCH_S + 1)
    with pytest.raises(OperationFailedError, match="its outcome is not known") as caught:
        await task
    assert caught.value.unchanged == "whether it was done is not known"
    assert "clawtop receipt fleet-" in caught.value.hint
    assert all(words[0] == "receipt" for words in far.asked[2:])


async def test_a_host_that_stays_away_ends_the_search_in_time() -> None:
    operations, _, clock = _operations(PLAN, *[None] * 100)
    plan = await operations.plan(["clear", "p:one"])
    task = asyncio.create_task(operations.execute(plan))
    await clock.advance(SEARCH_S + 1)
    with pytest.raises(OperationFailedError) as caught:
        await task
    assert "not known" in caught.value.unchanged


async def test_a_frozen_host_ends_the_wait_in_time() -> None:
    operations, _, clock = _operations(PLAN, "hangs", _journal("done", title="t"))
    plan = await operations.plan(["clear", "p:one"])
    task = asyncio.create_task(operations.execute(plan))
    await settle()
    await clock.advance(ANSWER_S + 1)
    assert (await task).found
