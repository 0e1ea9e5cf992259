"""Driving, draining and recovering on another host, from its dashboard: real far clawtops, and made-up ones."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import Event, EventKind, ModelRef
from clawtop.core.operations.outcome import OperationOutcome, outcome_of
from clawtop.core.session.drain import (
    DrainListener,
    DrainOutcome,
    DrainRequest,
    DrainStage,
    DrainStep,
    DrainWishes,
    Wait,
)
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import Respond, Stall
from clawtop.demo.world import CAST
from clawtop.engine.drive.events import AccountWait, ReplyText
from clawtop.errors import ClawtopError, OperationFailedError, RefusedError
from clawtop.fleet.draining import RemoteDrains
from clawtop.fleet.driving import RemoteDrive, RemoteEngine
from clawtop.fleet.fleet import Fleet, OpenedHost
from clawtop.fleet.remote import SEARCH_S, RemoteOperations
from clawtop.fleet.steering import Steers
from clawtop.fleet.transport import CommandTransport, HostSpec, Pipe, host_spec
from clawtop.store.own.journal import Journal
from clawtop.ui.ports import JobPorts
from clawtop.view.line import text_of
from tests.fleet.far_hosts import container_command
from tests.fleet.test_near import FakePipe
from tests.support.clocks import ManualClock, settle
from tests.support.live_dashboard import LiveDashboard, live_dashboard
from tests.support.waiting import until

pytestmark = pytest.mark.anyio

LIGHTHOUSE, *_ = CAST
QUICK = DrainWishes(deadline_s=30.0, still_s=0.2, stop_after_s=0.0)


@asynccontextmanager
async def far_dashboard(tmp_path: Path) -> AsyncIterator[LiveDashboard]:
    """A live world whose dashboard reaches it as a host of a fleet."""

    def far(ports: JobPorts) -> JobPorts:
        state_dir = Path(ports.drains._args.state_dir)  # type: ignore[attr-defined]
        opened = opened_host(tmp_path, state_dir)
        return JobPorts(opened.drains, lambda: opened.engine, opened.recoveries)

    async with live_dashboard(tmp_path, ports=far) as made:
        yield made


def opened_host(tmp_path: Path, state_dir: Path) -> OpenedHost:
    words = container_command(tmp_path, {"reef": state_dir})
    fleet = Fleet([host_spec("reef", words)], CommandTransport(None, SystemClock()), SystemClock())
    return fleet.open("reef")


def journal(dashboard: LiveDashboard) -> list[Event]:
    return list(Journal(dashboard.world.state_dir).tail(10_000))


async def test_a_run_on_a_host_is_watched_to_its_reply(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard:
        dashboard.behave(Respond("the lamp is lit"))
        request = TurnRequest(LIGHTHOUSE.key, "is the lamp lit?", agent=LIGHTHOUSE.agent)
        run = await dashboard.jobs.start_run(request)
        await run.task
        assert "the lamp is lit" in run.log.text
        assert run.log.ended_well
        assert run.log.attempts[0].ok
        assert outcome_of(journal(dashboard), run.log.run_id)[0] is OperationOutcome.DONE
        assert "is the lamp lit?" in dashboard.world.transcript(LIGHTHOUSE).read_text()


async def test_a_run_on_a_host_is_rotated_and_cancelled_from_here(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard:
        dashboard.behave(Stall())
        before = dashboard.world.transcript(LIGHTHOUSE).read_text()
        run = await dashboard.jobs.start_run(TurnRequest(LIGHTHOUSE.key, "never answered", agent=LIGHTHOUSE.agent))
        await until(lambda: len(run.log.attempts) == 1)
        assert run.rotate() is None
        await until(lambda: len(run.log.attempts) == 2)
        assert run.log.attempts[0].verdict == "rotated by hand, no mark"
        assert run.log.attempts[0].profile != run.log.attempts[1].profile
        assert run.cancel() is None
        await run.task
        assert run.log.end is not None
        assert "cancelled" in text_of(run.log.end[0])
        assert dashboard.world.transcript(LIGHTHOUSE).read_text() == before
        assert dashboard.left_behind() == []


async def test_leaving_the_hosts_dashboard_ends_its_runs_there(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard:
        dashboard.behave(Stall())
        run = await dashboard.jobs.start_run(TurnRequest(LIGHTHOUSE.key, "never answered", agent=LIGHTHOUSE.agent))
        await until(lambda: len(run.log.attempts) == 1)
        await dashboard.jobs.aclose()
        assert outcome_of(journal(dashboard), run.log.run_id)[0] is OperationOutcome.FAILED
        assert dashboard.left_behind() == []


async def test_what_a_host_refuses_to_drive_is_said_with_its_name(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard:
        run = await dashboard.jobs.start_run(TurnRequest(LIGHTHOUSE.key, "  ", agent=LIGHTHOUSE.agent))
        await run.task
        assert run.log.end is not None
        assert "reef: the message is empty" in " ".join(map(text_of, run.log.end))


async def test_a_drain_on_a_host_is_seen_step_by_step(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard:
        preview = await dashboard.jobs.survey(
            DrainRequest(LIGHTHOUSE.key, LIGHTHOUSE.agent, QUICK), lambda _preview: None
        )
        assert preview.complete
        assert preview.lines[False][0] == "nothing holds the session now"
        assert any("have the gateway end its run" in line for line in preview.lines[True])
        job = await dashboard.jobs.start_drain(DrainRequest(LIGHTHOUSE.key, LIGHTHOUSE.agent, QUICK))
        await until(lambda: not job.under_way)
        assert job.log.released
        assert any("kept out" in step.text for step in job.log.steps)
        assert outcome_of(journal(dashboard), job.log.drain_id)[0] is OperationOutcome.DONE


async def test_a_drain_on_a_host_is_stopped_and_leaves_the_session_open(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard, dashboard.engine() as other:
        dashboard.behave(Stall())
        run = other.drive(TurnRequest(LIGHTHOUSE.key, "never answered"))
        await until(lambda: run.phase in {"streaming", "prompting"})
        patient = DrainWishes(deadline_s=300.0, stop_after_s=200.0)
        job = await dashboard.jobs.start_drain(DrainRequest(LIGHTHOUSE.key, LIGHTHOUSE.agent, patient))
        await until(lambda: any(step.stage is DrainStage.WAIT for step in job.log.steps))
        await job.stop()
        assert job.log.released is False
        assert outcome_of(journal(dashboard), job.log.drain_id)[0] is OperationOutcome.FAILED
        run.cancel()


async def test_a_session_that_is_well_is_not_recovered(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard:
        opened = opened_host(tmp_path, dashboard.world.state_dir)
        done = await opened.recoveries.recover(None, LIGHTHOUSE.key, LIGHTHOUSE.agent, 1.0, lambda _text: None)
        assert done.move == "nothing"
        with pytest.raises(RefusedError, match="reef has no such session"):
            opened.recoveries.assess(LIGHTHOUSE.key, None)


# --- a host that is made up --------------------------------------------------------------------------------------


class Lines:
    """Far commands that say what a test lets them say; each is remembered with its words."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, ...]] = []
        self.pipes: list[FakePipe] = []
        self.answers: list[dict[str, object]] = []

    async def __call__(self, spec: HostSpec, words: Sequence[str]) -> Pipe:
        self.asked.append(tuple(words))
        pipe = FakePipe()
        if words[0] == "receipt":
            if self.answers:
                pipe.say(self.answers.pop(0))
            pipe.hang_up(0)
        else:
            self.pipes.append(pipe)
        return pipe


def _steers(lines: Lines, clock: ManualClock) -> Steers:
    return Steers(HostSpec("web"), lines, clock, RemoteOperations(HostSpec("web"), lines, clock, who="ann"))


async def _begun(lines: Lines, clock: ManualClock) -> RemoteDrive:
    drive = RemoteEngine(_steers(lines, clock)).drive(
        TurnRequest("agent:main:main", "hello", model=ModelRef("acme", "m"))
    )
    await settle()
    return drive


async def _result(drive: RemoteDrive) -> str:
    try:
        return (await drive.result()).stop_reason
    except ClawtopError as error:
        return str(error)


def _receipt(outcome: str, text: str) -> dict[str, object]:
    return {"schema": 1, "outcome": outcome, "operation": {"at": 7, "text": text, "data": {"requests": 2}}}


async def test_the_message_goes_over_stdin_and_never_onto_a_command_line() -> None:
    lines, clock = Lines(), ManualClock()
    drive = await _begun(lines, clock)
    assert lines.pipes[0].heard == [{"message": "hello"}]
    assert "hello" not in lines.asked[0]
    assert {"--model=acme/m", "--steered", drive.run_id} <= set(lines.asked[0])
    drive.cancel()
    await settle()
    assert lines.pipes[0].heard[-1] == {"cancel": True}
    lines.pipes[0].say({"type": "cancelled"})
    await drive.ended()
    with pytest.raises(asyncio.CancelledError):
        await drive.result()


async def test_a_wait_for_an_account_there_counts_by_the_clock_here() -> None:
    lines, clock = Lines(), ManualClock()
    drive = RemoteEngine(_steers(lines, clock)).drive(TurnRequest("agent:main:main", "hello", wait_for_account_s=600))
    await settle()
    assert "--wait-for-account=600" in lines.asked[0]
    told = {"type": "waiting", "profile": "coral:\x1b[31mclawdia", "until": 5, "left_ms": 90_000}
    lines.pipes[0].say(told)
    lines.pipes[0].say({**told, "left_ms": "soon"})
    await settle()
    drive.cancel()
    await settle()
    lines.pipes[0].say({"type": "cancelled"})
    await drive.ended()
    waits = [item async for item in drive if isinstance(item, AccountWait)]
    assert waits == [AccountWait("coral:\\x1b[31mclawdia", clock.now_ms() + 90_000)]


@pytest.mark.parametrize(
    ("outcome", "text", "told"),
    [
        ("done", "run ended with a reply", "the reply is in the session there"),
        ("failed", "run failed: \x1b[31mno", "its journal says: run failed: \\x1b[31mno"),
    ],
)
async def test_a_run_whose_connection_was_lost_is_found_in_the_hosts_journal(
    outcome: str, text: str, told: str
) -> None:
    lines, clock = Lines(), ManualClock()
    drive = await _begun(lines, clock)
    lines.answers = [_receipt("begun", "run on it"), _receipt(outcome, text)]
    lines.pipes[0].hang_up(255, "Connection reset by peer")
    await settle()
    await clock.advance(5)
    assert told in await _result(drive)
    assert ("receipt", drive.run_id, "--json") in lines.asked
    assert sum(words[0] == "drive" for words in lines.asked) == 1, "a message is never sent twice"


async def test_a_run_that_nobody_can_tell_about_is_not_rounded() -> None:
    lines, clock = Lines(), ManualClock()
    drive = await _begun(lines, clock)
    lines.pipes[0].hang_up(255, "Connection reset by peer")
    await settle()
    await clock.advance(SEARCH_S + 10)
    told = await _result(drive)
    assert "Its outcome is not known" in told
    assert f"clawtop receipt {drive.run_id}" in told


@pytest.mark.parametrize(
    "line",
    [
        b"\x1b]0;owned\x07 garbage",
        b"[1,2]",
        b'{"type":"event","run_id":5,"kind":[]}',
        b'{"type":"text","text":7}',
        b'{"type":"phase","phase":["x"],"at":1e400}',
        b'{"type":"discarded","chars":-1e99}',
        b"{" * 60,
        b"y" * 1000,
    ],
)
async def test_lines_that_make_no_sense_break_nothing(line: bytes) -> None:
    lines, clock = Lines(), ManualClock()
    drive = await _begun(lines, clock)
    lines.pipes[0].say(line)
    lines.pipes[0].say({"type": "answer", "model": 5, "tokens": [], "session_file": None, "stop_reason": "stop"})
    lines.answers = [_receipt("done", "run ended with a reply")]
    await settle()
    await clock.advance(5)
    assert await _result(drive) in {"stop", "the connection was lost; the reply is in the session there"}
    assert not any([isinstance(item, ReplyText) async for item in drive])


async def test_events_of_the_run_are_heard_and_those_of_others_are_not() -> None:
    lines, clock = Lines(), ManualClock()
    drive = await _begun(lines, clock)
    base = {"type": "event", "at": 5, "kind": "rotate", "source": "engine", "text": "to \x1b[2J two"}
    lines.pipes[0].say({**base, "run_id": drive.run_id, "data": {"forced": True}})
    lines.pipes[0].say({**base, "run_id": "another"})
    lines.pipes[0].say({"type": "answer", "stop_reason": "stop"})
    heard = [item async for item in drive]
    assert [(item.kind, item.text, dict(item.data)) for item in heard if isinstance(item, Event)] == [
        (EventKind.ROTATE, "to \\x1b[2J two", {"forced": True})
    ]


async def test_a_host_that_falls_silent_in_a_drain_is_given_up_and_its_journal_asked() -> None:
    lines, clock = Lines(), ManualClock()
    steps: list[DrainStep] = []
    waits: list[Wait] = []
    drain = RemoteDrains(_steers(lines, clock)).prepare(
        DrainRequest("k", "main", QUICK), DrainListener(steps.append, lambda wait, _left: waits.append(wait))
    )
    draining = asyncio.create_task(drain.drain())
    await settle()
    assert lines.asked[0][:2] == ("drain", "--yes")
    assert lines.asked[0][-2:] == ("--", "k")
    lines.pipes[0].say({"type": "step", "at": 1, "stage": "survey", "text": "held by pid 4"})
    lines.pipes[0].say({"type": "wait", "why": "pid 4", "left_s": 3.5})
    lines.pipes[0].say({"type": "wait", "why": "pid 4", "left_s": "soon"})
    lines.answers = [_receipt("failed", "aborted, NOT released: pid 4")]
    await settle()
    await clock.advance(60)
    outcome = await draining
    assert isinstance(outcome, DrainOutcome)
    assert not outcome.released
    assert "NOT released: pid 4" in outcome.words[0]
    assert ([step.text for step in steps], [wait.why for wait in waits]) == (["held by pid 4"], ["pid 4"])


async def test_a_drain_that_the_host_refuses_says_so() -> None:
    lines, clock = Lines(), ManualClock()
    drain = RemoteDrains(_steers(lines, clock)).prepare(DrainRequest("k", None, QUICK), DrainListener())
    draining = asyncio.create_task(drain.drain())
    await settle()
    lines.pipes[0].say({"schema": 1, "error": {"title": "another drain is under way"}, "exit_code": 1})
    with pytest.raises(RefusedError, match="web: another drain is under way"):
        await draining


async def test_a_far_clawtop_that_is_killed_leaves_what_its_journal_says(tmp_path: Path) -> None:
    async with far_dashboard(tmp_path) as dashboard, dashboard.engine() as other:
        dashboard.behave(Stall())
        run = other.drive(TurnRequest(LIGHTHOUSE.key, "never answered"))
        await until(lambda: run.phase in {"streaming", "prompting"})
        killed: list[Pipe] = []
        real = CommandTransport(None, SystemClock())

        async def connect(spec: HostSpec, words: Sequence[str]) -> Pipe:
            killed.append(await real(spec, words))
            return killed[-1]

        spec = host_spec("reef", container_command(tmp_path, {"reef": dashboard.world.state_dir}))
        clock = ManualClock()
        steps: list[DrainStep] = []
        steers = Steers(spec, connect, clock, RemoteOperations(spec, connect, clock, who="ann"))
        patient = DrainWishes(deadline_s=300.0, stop_after_s=200.0)
        drain = RemoteDrains(steers).prepare(
            DrainRequest(LIGHTHOUSE.key, LIGHTHOUSE.agent, patient), DrainListener(steps.append)
        )
        draining = asyncio.create_task(drain.drain())
        await until(lambda: any(step.stage is DrainStage.WAIT for step in steps))
        os.killpg(killed[0]._process.pid, signal.SIGKILL)  # type: ignore[attr-defined]
        while not draining.done():
            await clock.advance(SEARCH_S)
            await asyncio.sleep(0.05)
        with pytest.raises(OperationFailedError, match="Its outcome is not known"):
            await draining
        assert outcome_of(journal(dashboard), drain.drain_id)[0] is OperationOutcome.BEGUN
        run.cancel()
