"""The engine drives sessions over real sockets and files: rotation, chain, coordination, cancellation, listing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.cooldown.marking import Mark
from clawtop.core.failover.decision import TimeoutPolicy
from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import Event, EventKind, Gateway, GatewayState, ModelRef, PromptHolder
from clawtop.core.session.admission import OnContention
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.lock_process import LockProcess
from clawtop.demo.provider import (
    BreakStream,
    Drop,
    Raw,
    Refuse,
    Respond,
    Stall,
    out_of_credit,
    overloaded,
    rate_limited,
)
from clawtop.demo.threads import HEARTBEAT, LIGHTHOUSE, SIX, TIDEPOOL, TWO_AND_ONE, Lab, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive import opening
from clawtop.engine.drive.chain import AllModelsFailedError
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.engine.drive.events import Phase, ReplyDiscarded, ReplyText
from clawtop.engine.drive.handle import Drive
from clawtop.engine.drive.leftovers import has_leftovers, land_leftovers_of
from clawtop.engine.drive.turn import TurnTimeoutError
from clawtop.engine.providers.base import Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.errors import (
    OperationFailedError,
    RefusedError,
    SessionContendedError,
    SessionTakeoverError,
    SessionWriteLockTimeoutError,
    UsageError,
)
from clawtop.store.own.admissions import prompt_holder, read_admissions
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.sessions.conversation import read_conversation
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

CORAL_1, CORAL_2, KELP = "coral:clawdia", "coral:larry", "kelp:barnaby"


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    """Two profiles of the primary model's provider, one of the fallback's."""
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as made:
        yield made


def misbehave(lab: Lab, act: object, *profiles: str) -> None:
    for profile in profiles or tuple(lab.world.keys):
        lab.provider.standing[lab.key(profile)] = act  # type: ignore[assignment]


def asked(lab: Lab) -> list[str]:
    names = {key: name for name, key in lab.world.keys.items()}
    return [names[request.key] for request in lab.provider.requests]


def kinds(lab: Lab) -> list[EventKind]:
    return [event.kind for event in lab.events]


def left_behind(lab: Lab) -> list[str]:
    """Session locks, holder records and temporary files that are still there; marks may be landing meanwhile."""
    state = lab.world.state_dir
    locks = [path.name for path in state.rglob("*.jsonl.lock")]
    holders = [path.name for path in (state / "clawtop" / "holders").glob("*.json")]
    return locks + holders + [path.name for path in state.rglob("*.tmp") if not path.name.startswith("auth-")]


def lines_of(lab: Lab) -> int:
    return len(lab.world.transcript(LIGHTHOUSE).read_bytes().splitlines())


async def first_in_order(lab: Lab) -> tuple[str, str]:
    """The two coral profiles in the order in which they will be tried."""
    used = {profile.id: profile.stats.last_used or 0 for profile in lab.driver.resources.auth("main").profiles}
    first, second = sorted((CORAL_1, CORAL_2), key=lambda name: used[name])
    return first, second


# --- the way of a turn -------------------------------------------------------------------------------------------


async def test_a_turn_streams_is_written_marked_and_leaves_nothing_behind(lab: Lab) -> None:
    misbehave(lab, Respond("Two claws up.", pieces=3))
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "how are you?"))
    items = [item async for item in run]
    answer = await run.result()
    assert "".join(item.text for item in items if isinstance(item, ReplyText)) == answer.text == "Two claws up."
    assert [item.name for item in items if isinstance(item, Phase)] == [
        "waiting-lane",
        "locking",
        "prompting",
        "streaming",
        "appending",
        "releasing",
        "done",
    ]
    assert [phase for phase, _ in run.phases] == [item.name for item in items if isinstance(item, Phase)]
    said = read_conversation(lab.world.transcript(LIGHTHOUSE)).said
    assert [one.text for one in said[-2:]] == ["how are you?", "Two claws up."]
    await lab.driver.resources.marks.drained()
    state = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())
    assert state["lastGood"]["coral"] == answer.profile
    assert left_behind(lab) == []
    assert run.phase == "done"


def holders_of(state_dir: Path) -> tuple[PromptHolder, ...]:
    return tuple(prompt_holder(state) for state in read_admissions(state_dir) if state.holder is not None)


class Watched(list[Any]):
    """Notes who is recorded on the disk as a session's holder at the moment of each request."""

    def __init__(self, state_dir: Path) -> None:
        super().__init__()
        self.state_dir = state_dir
        self.holders: list[tuple[PromptHolder, ...]] = []

    def append(self, request: Any) -> None:
        self.holders.append(holders_of(self.state_dir))
        super().append(request)


async def test_the_holder_stands_on_the_disk_before_any_prompt_goes_out(lab: Lab) -> None:
    lab.provider.requests = watched = Watched(lab.world.state_dir)
    first, _ = await first_in_order(lab)
    misbehave(lab, rate_limited(), first)
    misbehave(lab, Respond("Two claws up."), *(name for name in lab.world.keys if name != first))
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "how are you?"))
    await run.result()
    assert len(watched.holders) == 2
    for holders in watched.holders:
        assert [(holder.run_id, Path(holder.session_file).name) for holder in holders] == [
            (run.run_id, lab.world.transcript(LIGHTHOUSE).name)
        ]
    assert holders_of(lab.world.state_dir) == ()


async def test_the_conversation_so_far_is_what_is_asked(lab: Lab) -> None:
    await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "and now?")).result()
    (request,) = lab.provider.requests
    assert request.said == (LIGHTHOUSE.opening, LIGHTHOUSE.answer, "and now?")
    assert request.body["max_tokens"] == 2048


async def test_every_event_of_a_run_reaches_the_journal_without_a_secret(lab: Lab) -> None:
    misbehave(lab, Refuse(401, "authentication_error", "bad key {key}"))
    with pytest.raises(AllModelsFailedError):
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    await lab.driver.aclose()
    journal = (lab.world.state_dir / "clawtop" / "journal.jsonl").read_text()
    told = {json.loads(line)["kind"] for line in journal.splitlines()}
    assert {"run-start", "acquire", "attempt", "failure", "rotate", "mark", "fallback", "release", "run-end"} <= told
    assert not any(key in journal for key in lab.world.keys.values())


async def test_an_unknown_key_becomes_a_listed_session_with_a_fixed_id(lab: Lab) -> None:
    first = await lab.driver.drive(TurnRequest("new-talk", "hello", agent="scuttle")).result()
    second = await lab.driver.drive(TurnRequest("agent:scuttle:new-talk", "again")).result()
    assert first.session_file == second.session_file
    entries = json.loads((lab.world.sessions_dir("scuttle") / "sessions.json").read_text())
    entry = entries["agent:scuttle:new-talk"]
    assert entry["sessionFile"] == str(first.session_file)
    assert entry["sessionId"] == first.session_file.stem == first.session_id
    head = json.loads(first.session_file.read_text().splitlines()[0])
    assert (head["type"], head["id"]) == ("session", first.session_id)
    assert len(read_conversation(first.session_file).said) == 4


async def test_an_agent_without_sessions_gets_its_directory(lab: Lab) -> None:
    for path in lab.world.sessions_dir("scuttle").iterdir():
        path.unlink()
    lab.world.sessions_dir("scuttle").rmdir()
    answer = await lab.driver.drive(TurnRequest("agent:scuttle:first", "hello")).result()
    assert answer.session_file.parent == lab.world.sessions_dir("scuttle")


async def test_a_session_is_not_listed_while_a_gateway_may_run_and_that_is_said(lab: Lab) -> None:
    before = (lab.world.sessions_dir("main") / "sessions.json").read_bytes()

    async def maybe() -> Gateway:
        return Gateway(GatewayState.UNKNOWN)

    lab.driver.resources.foreign.gateway = maybe  # type: ignore[method-assign]
    await lab.driver.drive(TurnRequest("fresh", "hello")).result()
    assert (lab.world.sessions_dir("main") / "sessions.json").read_bytes() == before
    assert "does not list" in lab.of(EventKind.NOTICE)[-1].text


async def test_a_transcripts_file_is_driven_by_its_name_or_path(lab: Lab) -> None:
    path = lab.world.transcript(LIGHTHOUSE)
    for name in (str(path), path.name):
        answer = await lab.driver.drive(TurnRequest(name, "hello")).result()
        assert answer.session_file == path


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.jsonl", "sessions.json/../nothing.jsonl", "/tmp/a.jsonl"])
async def test_files_outside_the_sessions_directories_are_refused(lab: Lab, name: str) -> None:
    with pytest.raises(RefusedError):
        await lab.driver.drive(TurnRequest(name, "hello")).result()
    assert lab.provider.requests == []


async def test_wishes_that_make_no_sense_are_usage_errors(lab: Lab) -> None:
    for session, message, agent in (
        ("", "x", None),
        ("a", " ", None),
        ("a", "x", "nobody"),
        ("agent:a:b", "x", "main"),
    ):
        with pytest.raises(UsageError):
            await lab.driver.drive(TurnRequest(session, message, agent=agent)).result()


# --- rotation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (rate_limited(), "rate_limit"),
        (rate_limited(20), "rate_limit"),
        (out_of_credit(), "billing"),
        (overloaded(), "overloaded"),
        (Refuse(401, "authentication_error", "invalid x-api-key"), "auth"),
        (BreakStream("overloaded_error", "Overloaded"), "overloaded"),
        (BreakStream("rate_limit_error", "rate limit exceeded"), "rate_limit"),
    ],
)
async def test_a_failure_rotates_first_then_marks_with_one_request_each(lab: Lab, act: object, reason: str) -> None:
    first, second = await first_in_order(lab)
    misbehave(lab, act, first)
    answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    await lab.driver.resources.marks.drained()
    assert asked(lab) == [first, second]
    assert answer.profile == second
    order = [event.kind for event in lab.events if event.kind in {EventKind.FAILURE, EventKind.ROTATE, EventKind.MARK}]
    assert order[:3] == [EventKind.FAILURE, EventKind.ROTATE, EventKind.MARK]
    mark = lab.of(EventKind.MARK)[0]
    assert (mark.profile, mark.reason) == (first, reason)
    assert {profile.id for profile in lab.driver.resources.auth("main").profiles if profile.stats.error_count} == {
        first
    }


async def test_what_a_failed_attempt_streamed_is_declared_void(lab: Lab) -> None:
    first, _ = await first_in_order(lab)
    misbehave(lab, BreakStream("overloaded_error", "Overloaded", after=2), first)
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    items = [item async for item in run if isinstance(item, ReplyText | ReplyDiscarded)]
    (void,) = [at for at, item in enumerate(items) if isinstance(item, ReplyDiscarded)]
    before = "".join(item.text for item in items[:void] if isinstance(item, ReplyText))
    after = "".join(item.text for item in items[void:] if isinstance(item, ReplyText))
    assert items[void] == ReplyDiscarded(len(before))
    assert after == (await run.result()).text


async def test_the_next_turn_leaves_a_cooling_profile_alone_at_once(lab: Lab) -> None:
    first, second = await first_in_order(lab)
    misbehave(lab, rate_limited(), first)
    async with LockProcess("auth", lab.world.agent_dir()):
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "one")).result()
        await lab.driver.drive(TurnRequest(TIDEPOOL.key, "two")).result()
        assert lab.driver.resources.marks.pending(first)
    assert asked(lab) == [first, second, second]


async def test_a_run_ends_while_its_marks_cannot_land(lab: Lab) -> None:
    """Neither the failure's mark nor the success's: the store's lock is somebody else's until the reply is here."""
    first, second = await first_in_order(lab)
    misbehave(lab, rate_limited(), first)
    async with LockProcess("auth", lab.world.agent_dir()):
        async with asyncio.timeout(30):
            answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "one")).result()
        assert answer.profile == second
        assert {mark.success for mark in lab.driver.resources.marks.pending()} == {True, False}


async def test_every_profile_is_tried_once_before_the_fallback_model(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=SIX) as lab:
        misbehave(lab, rate_limited(), *(name for name in lab.world.keys if name.startswith("coral")))
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert sorted(asked(lab)[:6]) == sorted(name for name in lab.world.keys if name.startswith("coral"))
        assert asked(lab)[6:] == ["kelp:hermit"]
        assert answer.model == SECONDARY


@pytest.mark.parametrize(
    ("setting", "act"), [("rateLimitedProfileRotations", rate_limited()), ("overloadedProfileRotations", overloaded())]
)
async def test_openclaws_rotation_cap_holds_where_the_config_sets_it(tmp_path: Path, setting: str, act: object) -> None:
    async with open_lab(tmp_path, profiles=SIX) as lab:
        path = lab.world.state_dir / "openclaw.json"
        config = json.loads(path.read_text())
        config["auth"]["cooldowns"] = {setting: 1}
        path.write_text(json.dumps(config))
        async with Driver(lab.world.state_dir, environ={}, home=tmp_path) as driver:
            misbehave(lab, act, *(name for name in lab.world.keys if name.startswith("coral")))
            await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert len(asked(lab)) == 3
        assert asked(lab)[-1] == "kelp:hermit"


async def test_an_expired_login_waits_for_openclaw_to_refresh_it_unmarked(lab: Lab) -> None:
    first, second = await first_in_order(lab)
    path = lab.world.agent_dir() / "auth-profiles.json"
    store = json.loads(path.read_text())
    store["profiles"][first] = {
        "type": "oauth",
        "provider": "coral",
        "access": "at-secret-1",
        "refresh": "rt",
        "expires": 5,
    }
    path.write_text(json.dumps(store))
    config_path = lab.world.state_dir / "openclaw.json"
    config = json.loads(config_path.read_text())
    config["auth"]["profiles"][first]["mode"] = "oauth"
    config_path.write_text(json.dumps(config))
    answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    await lab.driver.resources.marks.drained()
    assert asked(lab) == [second]
    assert answer.profile == second
    assert [mark.profile for mark in lab.of(EventKind.MARK)] == [second]
    assert "needs a refresh by OpenClaw" in lab.of(EventKind.FAILURE)[0].text


async def test_a_reference_that_only_the_gateway_can_resolve_rotates_without_a_mark(lab: Lab) -> None:
    first, second = await first_in_order(lab)
    path = lab.world.agent_dir() / "auth-profiles.json"
    store = json.loads(path.read_text())
    store["profiles"][first] = {"type": "api_key", "provider": "coral", "keyRef": {"source": "exec", "id": "v"}}
    path.write_text(json.dumps(store))
    await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    await lab.driver.resources.marks.drained()
    assert asked(lab) == [second]
    assert [event.profile for event in lab.of(EventKind.MARK)] == [second]


async def test_force_rotate_cancels_the_attempt_takes_the_next_profile_and_marks_nothing(lab: Lab) -> None:
    first, second = await first_in_order(lab)
    misbehave(lab, Stall("stream"), first)
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    await heard(run, lambda item: isinstance(item, ReplyText))
    assert run.rotate() is None
    answer = await run.result()
    await lab.driver.resources.marks.drained()
    assert answer.profile == second
    assert asked(lab) == [first, second]
    assert lab.provider.requests[0].cancelled
    (rotation,) = lab.of(EventKind.ROTATE)
    assert rotation.data["forced"] is True
    assert [event.reason for event in lab.of(EventKind.MARK)] == [None]
    assert run.rotate() == "the run has ended"


async def test_force_rotate_says_why_when_there_is_nothing_to_rotate_to(lab: Lab) -> None:
    first, second = await first_in_order(lab)
    misbehave(lab, rate_limited(), first)
    misbehave(lab, Stall(), second)
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    assert run.rotate() == "the run has not reached a provider"
    await lab.provider.until(lambda requests: len(requests) == 2)
    assert run.rotate() == "no other profile of the provider is usable now"
    run.cancel()
    await run.ended()


async def test_a_users_pin_is_never_left(lab: Lab) -> None:
    first, second = await first_in_order(lab)
    path = lab.world.sessions_dir("main") / "sessions.json"
    entries = json.loads(path.read_text())
    entries[LIGHTHOUSE.key] |= {"authProfileOverride": second, "authProfileOverrideSource": "user"}
    path.write_text(json.dumps(entries))
    misbehave(lab, rate_limited(), second)
    await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    assert asked(lab) == [second, KELP]
    assert first not in asked(lab)


async def heard(run: Drive, wanted: Callable[[object], bool]) -> None:
    async for item in run:
        if wanted(item):
            return


# --- timeouts ----------------------------------------------------------------------------------------------------

IMPATIENT = Timeouts(connect=2, first_byte=0.15, idle=0.15)


@pytest.mark.parametrize("act", [Stall("headers"), Stall("body"), Stall("stream")])
async def test_a_timeout_ends_the_run_without_rotation_mark_or_fallback(tmp_path: Path, act: object) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, call=IMPATIENT) as lab:
        misbehave(lab, act)
        before = lines_of(lab)
        with pytest.raises(ProviderError):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        await lab.driver.resources.marks.drained()
        assert len(asked(lab)) == 1
        assert not {EventKind.ROTATE, EventKind.MARK} & set(kinds(lab))
        assert lines_of(lab) == before
        assert left_behind(lab) == []


@pytest.mark.parametrize(
    "act", [Drop("headers"), Drop("stream"), Refuse(500), Refuse(502), Refuse(524), Respond(cut=1)]
)
async def test_what_fails_at_once_is_no_timeout_the_next_account_answers_without_a_mark(lab: Lab, act: object) -> None:
    first, second = await first_in_order(lab)
    misbehave(lab, act, first)
    answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    await lab.driver.resources.marks.drained()
    assert asked(lab) == [first, second]
    assert answer.profile == second
    assert [mark.reason for mark in lab.of(EventKind.MARK)] == [None]


async def test_an_endpoint_that_fails_for_two_accounts_is_left_for_another_model(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=SIX) as lab:
        misbehave(lab, Refuse(503))
        with pytest.raises(AllModelsFailedError):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        rounds = EngineSettings().rounds
        assert len([name for name in asked(lab) if name.startswith("coral:")]) == 2 * rounds
        assert len([name for name in asked(lab) if name.startswith("kelp:")]) == rounds


async def test_an_empty_reply_is_the_models_it_marks_nobody_and_asks_the_next_model(lab: Lab) -> None:
    misbehave(lab, Respond("", pieces=1), CORAL_1, CORAL_2)
    answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    await lab.driver.resources.marks.drained()
    assert answer.model == SECONDARY
    assert len(asked(lab)) == 2
    assert [mark.reason for mark in lab.of(EventKind.MARK)] == [None]


async def test_a_timeout_can_be_set_to_fall_back_or_to_rotate(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, call=IMPATIENT) as lab:
        misbehave(lab, Stall("headers"), CORAL_1, CORAL_2)
        for policy, requests in ((TimeoutPolicy.FALLBACK, 2), (TimeoutPolicy.ROTATE, 3)):
            lab.provider.requests.clear()
            settings = EngineSettings(timeouts=policy, call=IMPATIENT)
            async with Driver(lab.world.state_dir, environ={}, home=tmp_path, settings=settings) as driver:
                answer = await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
                await driver.resources.marks.drained()
            assert answer.model == SECONDARY
            assert len(asked(lab)) == requests
        errors = [profile.stats.error_count for profile in lab.driver.resources.auth("main").profiles]
        assert not any(errors)


async def test_the_whole_turn_has_a_limit_waiting_included(lab: Lab) -> None:
    misbehave(lab, Stall())
    with pytest.raises(ProviderError) as caught:
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", timeout_s=0.2)).result()
    assert caught.value.phase == "total"
    before = len(lab.provider.requests)
    holder = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    await lab.provider.until(lambda requests: len(requests) > before)
    with pytest.raises((TurnTimeoutError, SessionContendedError)) as waited:
        async with other_driver(lab) as driver:
            await driver.drive(TurnRequest(LIGHTHOUSE.key, "me too", timeout_s=0.2)).result()
    assert waited.value.unchanged
    holder.cancel()
    await holder.ended()


def other_driver(lab: Lab, **settings: object) -> Driver:
    """Another engine on the same state directory, as in another process."""
    return Driver(
        lab.world.state_dir,
        environ={},
        home=lab.world.state_dir.parent,
        settings=EngineSettings(**settings),  # type: ignore[arg-type]
    )


async def test_an_abort_in_the_compaction_wait_is_the_prompts_timeout(lab: Lab) -> None:
    async def never(_: Path) -> None:
        raise TimeoutError

    for policy, reached in ((TimeoutPolicy.TERMINAL, 0), (TimeoutPolicy.FALLBACK, 0)):
        async with Driver(
            lab.world.state_dir,
            environ={},
            home=lab.world.state_dir.parent,
            settings=EngineSettings(timeouts=policy),
            listen=lab.events.append,
            compaction_wait=never,
        ) as driver:
            with pytest.raises((ProviderError, AllModelsFailedError)):
                await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert len(lab.provider.requests) == reached
    models = [event.model for event in lab.of(EventKind.FAILURE)]
    assert models == [PRIMARY.model, PRIMARY.model, SECONDARY.model]
    assert not lab.of(EventKind.MARK)


async def test_a_user_abort_in_the_compaction_wait_is_an_abort(lab: Lab) -> None:
    waiting = asyncio.Event()

    async def wait(_: Path) -> None:
        waiting.set()
        await asyncio.Event().wait()

    async with Driver(lab.world.state_dir, environ={}, home=lab.world.state_dir.parent, compaction_wait=wait) as driver:
        run = driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
        await waiting.wait()
        run.cancel()
        with pytest.raises(asyncio.CancelledError):
            await run.result()
    assert lab.provider.requests == []
    assert left_behind(lab) == []


# --- the chain ---------------------------------------------------------------------------------------------------


async def test_no_model_answers_and_the_summary_lists_every_attempt_and_the_soonest_recovery(lab: Lab) -> None:
    misbehave(lab, rate_limited())
    with pytest.raises(AllModelsFailedError) as caught:
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    summary = caught.value.summary
    assert [str(attempt.model) for attempt in summary.attempts] == [str(PRIMARY), str(SECONDARY)]
    assert summary.soonest_recovery is not None
    assert 0 < summary.soonest_recovery - lab.clock.now_ms() <= 30_000
    assert caught.value.exit_code == 5
    assert len(asked(lab)) == 3
    assert left_behind(lab) == []


async def test_a_provider_without_an_address_is_passed_over(tmp_path: Path) -> None:
    models = (ModelRef("atlantis", "poseidon"), SECONDARY)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE, models=models) as lab:
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert answer.model == SECONDARY
        with pytest.raises(UsageError, match="atlantis has no base URL"):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", model=models[0])).result()


@pytest.mark.parametrize("message", ["prompt is too long: 250000 tokens > 200000 maximum"])
async def test_a_conversation_that_is_too_long_is_not_sent_to_another_model(lab: Lab, message: str) -> None:
    misbehave(lab, Refuse(400, "invalid_request_error", message))
    with pytest.raises(ProviderError):
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    assert {request.model for request in lab.provider.requests} == {PRIMARY.model}


async def test_a_transcript_that_cannot_be_written_is_no_model_failure(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationFailedError("no space left on device")

    monkeypatch.setattr("clawtop.engine.drive.attempt.append", refuse)
    with pytest.raises(OperationFailedError):
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    assert len(lab.provider.requests) == 1
    assert left_behind(lab) == []


# --- coordination ------------------------------------------------------------------------------------------------


async def test_a_takeover_ends_the_run_with_its_own_error_after_one_call(lab: Lab) -> None:
    misbehave(lab, Stall("stream"))
    path = lab.world.transcript(LIGHTHOUSE)
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    await heard(run, lambda item: isinstance(item, ReplyText))
    with path.open("a") as file:
        file.write('{"type":"message","id":"z","message":{"role":"user","content":"mine"}}\n')
    misbehave(lab, Respond("late"))
    assert run.rotate() is None
    assert (await run.result()).text == "late"
    await lab.driver.resources.marks.drained()
    lab.events.clear()
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    written = asyncio.Event()
    misbehave(lab, Respond("late", once=written))
    await lab.provider.until(lambda requests: len(requests) == 3)
    with path.open("a") as file:
        file.write('{"type":"message","id":"y","message":{"role":"user","content":"mine"}}\n')
    after = path.read_bytes()
    written.set()
    with pytest.raises(SessionTakeoverError):
        await run.result()
    assert path.read_bytes() == after
    assert len(lab.provider.requests) == 3
    assert {EventKind.TAKEOVER, EventKind.RUN_END} <= set(kinds(lab))
    assert not {EventKind.FAILURE, EventKind.FALLBACK, EventKind.MARK} & set(kinds(lab))
    assert left_behind(lab) == []


async def test_a_session_lock_that_stays_taken_is_the_true_error(lab: Lab) -> None:
    path = lab.world.state_dir / "openclaw.json"
    config = json.loads(path.read_text())
    config["session"] = {"writeLock": {"acquireTimeoutMs": 200}}
    path.write_text(json.dumps(config))
    async with LockProcess("session", lab.world.transcript(LIGHTHOUSE)) as other:
        with pytest.raises(SessionWriteLockTimeoutError, match=f"pid={other.pid}"):
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert lab.provider.requests == []
        assert not {EventKind.FAILURE, EventKind.FALLBACK, EventKind.MARK} & set(kinds(lab))
        assert len([path.name for path in lab.world.state_dir.rglob("*.jsonl.lock")]) == 1


async def test_a_stale_lock_of_a_killed_process_does_not_stop_a_run(lab: Lab) -> None:
    async with LockProcess("session", lab.world.transcript(LIGHTHOUSE)) as other:
        await other.kill()
    assert left_behind(lab)
    await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    assert left_behind(lab) == []
    (told,) = [event for event in lab.events if event.kind is EventKind.LOCK]
    assert told.session_key == LIGHTHOUSE.key
    assert told.session_file == f"{lab.world.transcript(LIGHTHOUSE)}.lock"
    assert told.text == f"removed the session's stale lock of pid {other.pid} ({proof_words(told.data['proof'])})"
    assert told.data["pid"] == other.pid
    assert told.data["proof"]
    assert told.data["outcome"] == "removed"


async def test_contention_waits_raises_or_forks(lab: Lab) -> None:
    answered = asyncio.Event()
    misbehave(lab, lambda request: Respond("slow", once=answered if request.prompt == "one" else None))
    first = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "one", lane="heartbeat"))
    await lab.provider.until(lambda requests: len(requests) == 1)
    with pytest.raises(SessionContendedError) as caught:
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "two", on_contention=OnContention.RAISE)).result()
    assert "heartbeat" in str(caught.value) or first.run_id in str(caught.value)
    fork = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "three", on_contention=OnContention.FORK)).result()
    fourth = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "four", on_contention=OnContention.WAIT))
    answered.set()
    waited = await fourth.result()
    assert (await first.result()).session_file == waited.session_file == lab.world.transcript(LIGHTHOUSE)
    assert fork.session_file != waited.session_file
    assert fork.forked_from == waited.session_file
    head = json.loads(fork.session_file.read_text().splitlines()[0])
    assert head["parentSession"] == str(waited.session_file)
    assert [one.text for one in read_conversation(fork.session_file).said][-2:] == ["three", "slow"]
    assert [one.text for one in read_conversation(waited.session_file).said][-4:] == ["one", "slow", "four", "slow"]


async def test_an_openclaw_run_under_a_gateway_that_may_live_counts_as_a_holder(lab: Lab) -> None:
    path = lab.world.sessions_dir("main") / "sessions.json"
    entries = json.loads(path.read_text())
    entries[LIGHTHOUSE.key] |= {"status": "running", "startedAt": lab.clock.now_ms()}
    path.write_text(json.dumps(entries))
    answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    assert answer.text, "a ghost of a gateway that is gone is no holder"
    listener = await asyncio.start_server(healthy_gateway, "127.0.0.1", 0)
    config_path = lab.world.state_dir / "openclaw.json"
    config = json.loads(config_path.read_text())
    config["gateway"]["port"] = listener.sockets[0].getsockname()[1]
    config_path.write_text(json.dumps(config))
    async with other_driver(lab) as driver, listener:
        with pytest.raises(SessionContendedError):
            await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", on_contention=OnContention.RAISE)).result()


async def healthy_gateway(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    body = b'{"ok":true,"status":"live"}'
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body) + body)
    await writer.drain()
    writer.close()


async def test_an_answer_of_openclaw_that_is_no_takeover_is_continued(lab: Lab) -> None:
    written = asyncio.Event()
    misbehave(lab, Respond("ours", once=written))
    path = lab.world.transcript(LIGHTHOUSE)
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    await lab.provider.until(lambda requests: len(requests) == 1)
    leaf = read_conversation(path).leaf
    with path.open("a") as file:
        message = {"role": "assistant", "content": [{"type": "text", "text": "a late delivery"}]}
        file.write(json.dumps({"type": "message", "id": "late", "parentId": leaf, "message": message}) + "\n")
    written.set()
    await run.result()
    said = [one.text for one in read_conversation(path).said]
    assert said[-3:] == ["a late delivery", "hello", "ours"]


# --- cancellation ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("phase", ["waiting-lane", "locking", "prompting", "streaming", "appending", "releasing"])
async def test_cancelling_in_any_phase_leaves_no_lock_holder_or_half_line(lab: Lab, phase: str) -> None:
    misbehave(lab, Respond("Two claws up.", pieces=3, pause=0.01))
    before = lines_of(lab)
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    await heard(run, lambda item: isinstance(item, Phase) and item.name == phase)
    run.cancel()
    await run.ended()
    assert left_behind(lab) == []
    after = lab.world.transcript(LIGHTHOUSE).read_bytes()
    assert after.endswith(b"\n")
    assert len(after.splitlines()) - before in {0, 2}
    assert read_conversation(lab.world.transcript(LIGHTHOUSE)).problems == ()
    again = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "again")).result()
    assert again.text


@pytest.mark.parametrize("cancels", [1, 2])
async def test_cancelling_at_any_step_of_the_loop_leaves_nothing_and_says_what_is_stored(
    lab: Lab, cancels: int
) -> None:
    """Also no connection: httpcore keeps one that was made for a request that was cancelled right after, for ever."""
    count, done = 0, False
    while not done:
        before = lines_of(lab)
        run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
        for _ in range(count):
            await asyncio.sleep(0)
        done = run.done
        for _ in range(cancels):
            run.cancel()
            await asyncio.sleep(0)
        await run.ended()
        assert left_behind(lab) == []
        assert lines_of(lab) - before == (0 if run.stored is None else 2)
        count += 1
    client = await lab.driver.resources.client()
    (pool,) = client._pools.values()
    await until(lambda: all(one.is_idle() or one.is_closed() for one in pool.connections))
    assert count > 5, "it waits, prompts, streams: steps in which it can be interrupted"


async def test_cancelling_after_a_failure_keeps_its_mark(lab: Lab) -> None:
    first, second = await first_in_order(lab)
    misbehave(lab, rate_limited(), first)
    misbehave(lab, Stall(), second)
    run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
    await lab.provider.until(lambda requests: len(requests) == 2)
    run.cancel()
    await run.ended()
    await lab.driver.resources.marks.drained()
    assert [(event.profile, event.reason) for event in lab.of(EventKind.MARK)] == [(first, "rate_limit")]


async def test_closing_the_driver_cancels_what_runs_and_lands_its_marks(tmp_path: Path) -> None:
    events: list[Event] = []
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        first, second = await first_in_order(lab)
        misbehave(lab, rate_limited(), first)
        misbehave(lab, Stall(), second)
        async with Driver(lab.world.state_dir, environ={}, home=tmp_path, listen=events.append) as driver:
            run = driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
            await lab.provider.until(lambda requests: len(requests) == 2)
            assert driver.running() == (run,)
            assert driver.running() == (run,)
        assert driver.running() == ()
        assert run.done
        assert [event.kind for event in events if event.kind is EventKind.MARK] == [EventKind.MARK]
        assert left_behind(lab) == []


async def test_the_backoff_after_overload_holds_nothing(lab: Lab) -> None:
    path = lab.world.state_dir / "openclaw.json"
    config = json.loads(path.read_text())
    config["auth"]["cooldowns"] = {"overloadedBackoffMs": 300}
    path.write_text(json.dumps(config))
    first, _ = await first_in_order(lab)
    misbehave(lab, overloaded(), first)
    async with other_driver(lab) as driver:
        run = driver.drive(TurnRequest(LIGHTHOUSE.key, "hello"))
        await heard(run, lambda item: isinstance(item, Event) and item.kind is EventKind.ROTATE)
        assert left_behind(lab) == []
        misbehave(lab, Respond("quick"))
        between = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "me first")).result()
        assert between.text == "quick"
        await run.result()
    said = [one.text for one in read_conversation(lab.world.transcript(LIGHTHOUSE)).said]
    assert said[-4:] == ["me first", "quick", "hello", "quick"]


# --- the state directory -----------------------------------------------------------------------------------------


async def test_a_driver_that_drives_nothing_creates_nothing(lab: Lab, tmp_path: Path) -> None:
    def tree(root: Path) -> dict[str, int]:
        return {str(path): path.stat().st_mtime_ns for path in root.rglob("*")}

    fresh = tmp_path / "fresh"
    fresh.mkdir()
    async with open_lab(fresh, profiles=TWO_AND_ONE):
        pass
    before = tree(fresh)
    async with Driver(fresh / ".openclaw", environ={}, home=fresh):
        pass
    assert tree(fresh) == before


async def test_a_directory_on_a_network_is_not_driven_without_a_registry_that_its_hosts_share(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(opening, "mount_obstacles", lambda _: ("network-mount",))
    place = lab.world.state_dir
    with pytest.raises(RefusedError, match="on a network file system") as refused:
        Driver(place, environ={}, home=place.parent)
    assert refused.value.unchanged == "nothing was sent and nothing was written"
    shared = Driver(place, environ={"CLAWTOP_REGISTRY": "etcd://127.0.0.1:1"}, home=place.parent)
    assert shared.registry is not None


async def test_a_generation_that_is_a_guess_is_refused(lab: Lab) -> None:
    path = lab.world.state_dir / "openclaw.json"
    config = json.loads(path.read_text())
    config["meta"]["lastTouchedVersion"] = ""
    path.write_text(json.dumps(config))
    (lab.world.agent_dir() / "auth-state.json").unlink()
    with pytest.raises(RefusedError) as caught:
        Driver(lab.world.state_dir, environ={}, home=lab.world.state_dir.parent)
    assert caught.value.unchanged


async def test_generation_a_is_driven_too(lab: Lab) -> None:
    state = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())
    (lab.world.agent_dir() / "auth-state.json").unlink()
    path = lab.world.agent_dir() / "auth-profiles.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"usageStats": state["usageStats"]}, indent=2))
    config_path = lab.world.state_dir / "openclaw.json"
    config = json.loads(config_path.read_text())
    config["meta"]["lastTouchedVersion"] = "2026.3.28"
    config_path.write_text(json.dumps(config))
    first, _ = await first_in_order(lab)
    async with other_driver(lab) as driver:
        misbehave(lab, rate_limited(), CORAL_1, CORAL_2)
        answer = await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        await driver.resources.marks.drained()
    assert answer.model == SECONDARY
    stats = json.loads(path.read_text())["usageStats"]
    assert stats[first]["cooldownReason"] == "rate_limit"
    assert not (lab.world.agent_dir() / "auth-state.json").exists()


async def test_an_inherited_profile_is_marked_in_its_owners_store(lab: Lab) -> None:
    misbehave(lab, rate_limited(), CORAL_1, CORAL_2)
    await lab.driver.drive(TurnRequest(HEARTBEAT.key, "hello")).result()
    await lab.driver.resources.marks.drained()
    state = json.loads((lab.world.agent_dir("main") / "auth-state.json").read_text())
    assert state["usageStats"][CORAL_1]["cooldownReason"] == "rate_limit"
    assert list(lab.world.agent_dir("sebastian").iterdir()) == []


async def test_a_local_provider_without_any_profile_is_asked_without_a_key(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles={"coral": ("clawdia",)}, models=(PRIMARY, SECONDARY)) as lab:
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", model=SECONDARY)).result()
        assert answer.profile is None
        assert "authorization" not in lab.provider.requests[-1].headers


async def test_a_malformed_reply_moves_the_chain_without_blaming_the_account(lab: Lab) -> None:
    misbehave(lab, Raw("<html>captive portal</html>", "text/html"), CORAL_1, CORAL_2)
    answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    assert answer.model == SECONDARY
    failures = [event.data["kind"] for event in lab.of(EventKind.FAILURE)]
    assert failures == [ErrorKind.PROTOCOL.value]


async def test_leftover_marks_of_a_clawtop_that_is_gone_land_before_other_writes(lab: Lab) -> None:
    state_dir = lab.world.state_dir
    assert not has_leftovers(state_dir)
    assert await land_leftovers_of(state_dir) == 0
    path = MarkSpool(state_dir).put(Mark("main", CORAL_1, "coral", lab.clock.now_ms(), "billing"))
    path.rename(path.with_name("5.4194000-dead.1.json"))
    assert has_leftovers(state_dir)
    assert await land_leftovers_of(state_dir) == 1
    assert not has_leftovers(state_dir)
    state = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())
    assert state["usageStats"][CORAL_1]["disabledReason"] == "billing"


async def test_a_limited_account_is_not_probed_by_the_next_round_of_the_same_run(lab: Lab) -> None:
    """Every coral account is limited, kelp's endpoint drops: the run goes over its models again, but not over coral."""
    misbehave(lab, rate_limited(), CORAL_1, CORAL_2)
    misbehave(lab, Drop(), KELP)
    with pytest.raises((AllModelsFailedError, ProviderError)):
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
    names = asked(lab)
    assert (names.count(CORAL_1), names.count(CORAL_2)) == (1, 1)
    assert names.count(KELP) > 2
