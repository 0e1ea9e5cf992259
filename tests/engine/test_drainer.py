"""Drains over real directories, records, locks and processes."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.cli import main as cli
from clawtop.clock import SystemClock
from clawtop.core.generations import SEMANTICS, Chosen
from clawtop.core.model import ConfigSummary, EventKind, Gateway, GatewayState, GatewayWords, RunSight
from clawtop.core.session.admission import OnContention
from clawtop.core.session.drain import DrainListener, DrainPreview, DrainStage
from clawtop.core.session.proof import Access
from clawtop.engine.drain import scene
from clawtop.engine.drain.drainer import BUSY_S, LOOK_S, Drainer, DrainStep, DrainWishes, new_drain_id, resumable
from clawtop.engine.drain.scene import DrainTarget
from clawtop.engine.gateway.answers import Abort, AbortSaid
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.errors import OperationFailedError, RefusedError, SessionContendedError
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.own.admissions import read_admissions
from clawtop.store.own.holders import SHARDS
from clawtop.store.own.journal import Journal
from clawtop.store.own.presence import Presence, holders_dir
from clawtop.store.snapshot import SnapshotReader
from tests.engine.other_process import other_process
from tests.support.clocks import ManualClock
from tests.support.waiting import until
from tests.support.worlds import INCIDENT

pytestmark = pytest.mark.anyio

KEY = "agent:main:main"
QUICK = DrainWishes(deadline_s=20.0, still_s=0.3, stop_after_s=0.0)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A generation B directory with one session and no gateway."""
    state = tmp_path / "state"
    (state / "agents/main/agent").mkdir(parents=True)
    sessions = state / "agents/main/sessions"
    sessions.mkdir()
    (state / "openclaw.json").write_text('{"meta":{"lastTouchedVersion":"2026.5.20"},"gateway":{"port":9}}')
    (state / "agents/main/agent/auth-profiles.json").write_text('{"version":1,"profiles":{}}')
    store(state, status="done")
    transcript(state).write_text('{"type":"session","version":3,"id":"s1"}\n{"type":"message","id":"m1"}\n')
    return state


def transcript(state: Path) -> Path:
    return state / "agents/main/sessions/s1.jsonl"


def lock(state: Path) -> Path:
    return Path(f"{transcript(state)}.lock")


def store(state: Path, **entry: object) -> None:
    (state / "agents/main/sessions/sessions.json").write_text(
        json.dumps({KEY: {"sessionId": "s1", "updatedAt": SystemClock().now_ms(), **entry}})
    )


def drainer(state: Path, wishes: DrainWishes = QUICK, *, gateway_answers: bool = False, **more: object) -> Drainer:
    reader = SnapshotReader(
        state_dir=state,
        env={},
        home=state,
        clock=SystemClock(),
        processes=SystemProcesses(),
        port_probe=lambda _port: gateway_answers,
    )
    target = DrainTarget("main", KEY, transcript(state))
    more = {"drain_id": new_drain_id(), "clock": SystemClock(), **more}
    return Drainer(reader, target, wishes, processes=SystemProcesses(), **more)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def draining(state: Path, wishes: DrainWishes, until: DrainStage) -> AsyncIterator[asyncio.Task[object]]:
    """A drain under way that has reached a stage."""
    reached = asyncio.Event()

    def on_step(step: DrainStep) -> None:
        if step.stage is until:
            reached.set()

    task = asyncio.create_task(drainer(state, wishes, listener=DrainListener(on_step), drain_id="first").drain())
    await asyncio.wait({task, asyncio.create_task(reached.wait())}, return_when=asyncio.FIRST_COMPLETED)
    yield task
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError, Exception):
        await task


@pytest.fixture
def stranger() -> Iterator[int]:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        yield process.pid
        assert process.stdin is not None
        process.stdin.close()


def steps_in_journal(state: Path) -> list[str]:
    return [event.data["stage"] for event in Journal(state).tail() if event.kind is EventKind.DRAIN]


async def test_a_quiet_session_is_drained_proven_and_journaled(state: Path) -> None:
    before = transcript(state).read_bytes()
    outcome = await drainer(state).drain()
    assert outcome.released
    assert len(outcome.words) == 5
    assert steps_in_journal(state) == ["survey", "close", "prove", "drained"]
    assert read_admissions(state) == ()
    assert transcript(state).read_bytes() == before


async def test_a_journal_that_cannot_be_written_is_named_with_what_was_not_done(state: Path) -> None:
    journal = Journal(state)
    journal.path.parent.parent.mkdir(exist_ok=True)
    journal.path.parent.write_text("")
    before = transcript(state).read_bytes()
    with pytest.raises(OperationFailedError) as caught:
        await drainer(state).drain()
    assert str(journal.path) in caught.value.title
    assert (caught.value.unchanged, caught.value.hint) == (
        "the session was not touched",
        "nothing is done without a journal entry",
    )
    assert transcript(state).read_bytes() == before


async def test_a_preview_changes_nothing(state: Path) -> None:
    def tree() -> list[tuple[str, int]]:
        return sorted((str(path), path.lstat().st_mtime_ns) for path in state.rglob("*"))

    before = tree()
    preview = await asyncio.to_thread(drainer(state).preview)
    assert "nothing holds the session now" in preview.lines[False]
    assert tree() == before


async def test_a_preview_tells_what_the_disk_shows_before_the_gateway_answers(state: Path) -> None:
    caller, early = FakeCaller(state), list[DrainPreview]()

    def told(preview: DrainPreview) -> None:
        assert caller.asked == 0
        early.append(preview)

    preview = await asyncio.to_thread(drainer(state, gateway_answers=True, caller=caller).preview, told)
    assert [one.complete for one in early] == [False]
    assert "is not known" in early[0].lines[False][0]
    assert preview.complete
    assert caller.asked == 1
    assert preview.lines[False][0].startswith("an OpenClaw run")
    assert any("not allowed for this drain" in line for line in preview.lines[False])
    assert not any("not allowed for this drain" in line for line in preview.lines[True])


async def test_a_run_in_another_process_is_asked_to_stop_and_new_ones_are_kept_out(state: Path) -> None:
    async with PromptRegistry(state, clock=SystemClock()) as registry:

        async def run() -> None:
            async with await registry.acquire(transcript(state), lane="main", run_id="stuck"):
                await asyncio.sleep(60)

        running = asyncio.create_task(run())
        await until(lambda: read_admissions(state))
        wishes = DrainWishes(deadline_s=20.0, still_s=0.6, stop_after_s=0.4)
        async with other_process(state) as other, draining(state, wishes, DrainStage.CLOSE) as drain:
            while not (states := read_admissions(state)) or states[0].closing is None:
                await asyncio.sleep(0.001)
            answer = await other.ask(f"acquire {transcript(state)} raise")
            assert answer.startswith("contended run stuck")
            await other.tell(f"acquire {transcript(state)} wait")
            outcome = await drain
            assert running.cancelled()
            assert outcome.released  # type: ignore[attr-defined]
            assert (await other.answer()).startswith("acquired"), "the waiting run goes on when the session is open"
    assert "stop" in steps_in_journal(state)


async def test_a_run_that_does_not_stop_is_not_released(state: Path) -> None:
    async with PromptRegistry(state, clock=SystemClock()) as registry:
        asked: list[str] = []
        holding = asyncio.get_running_loop().create_future()

        async def deaf() -> None:
            holding.set_result(await registry.acquire(transcript(state), lane="main", run_id="deaf"))
            while not asked:
                try:
                    await asyncio.Event().wait()
                except asyncio.CancelledError:
                    asked.append("stop")

        run = asyncio.create_task(deaf())
        holder = await holding
        outcome = await drainer(state, DrainWishes(deadline_s=0.8, still_s=0.1, stop_after_s=0.2)).drain()
        assert not outcome.released
        assert "run deaf" in outcome.words[0]
        assert outcome.steps[-1].stage is DrainStage.NOT_RELEASED
        assert "run deaf" in outcome.steps[-1].text
        assert asked == ["stop"]
        await run
        await holder.release()
        async with await registry.acquire(
            transcript(state), lane="main", run_id="next", on_contention=OnContention.RAISE
        ):
            pass


async def test_a_stale_lock_is_removed_on_proof(state: Path) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    lock(state).write_text(json.dumps({"pid": dead.pid, "createdAt": "2026-05-20T00:00:00.000Z"}))
    outcome = await drainer(state).drain()
    assert outcome.released
    assert not lock(state).exists()
    assert "unlock" in steps_in_journal(state)


@pytest.mark.parametrize("content", ["living", "{"])
async def test_a_lock_without_proof_stays_and_is_reported(state: Path, stranger: int, content: str) -> None:
    text = json.dumps({"pid": stranger, "createdAt": "2030-01-01T00:00:00.000Z"}) if content == "living" else content
    lock(state).write_text(text)
    outcome = await drainer(state, DrainWishes(deadline_s=1.5, still_s=0.1, stop_after_s=0.0)).drain()
    assert not outcome.released
    assert lock(state).read_text() == text


@contextlib.contextmanager
def command_line(state: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that calls itself a run of the command line of this state directory."""
    code = "import setproctitle, sys; setproctitle.setproctitle('openclaw-agent'); print(flush=True); sys.stdin.read()"
    env = {"HOME": str(state), "OPENCLAW_STATE_DIR": str(state)}
    process = subprocess.Popen([sys.executable, "-c", code], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with process:
        try:
            assert process.stdout is not None
            process.stdout.readline()
            yield process
        finally:
            process.kill()


async def test_a_run_without_a_gateway_is_waited_for_until_its_status_moves(state: Path) -> None:
    with command_line(state):
        store(state, status="running", startedAt=SystemClock().now_ms())
        async with draining(state, DrainWishes(deadline_s=20, still_s=0.2), DrainStage.WAIT) as drain:
            await asyncio.sleep(0.3)
            assert not drain.done()
            store(state, status="done")
            outcome = await drain
            assert outcome.released  # type: ignore[attr-defined]


async def test_a_run_without_a_gateway_ends_with_its_process(state: Path) -> None:
    with command_line(state) as process:
        store(state, status="running", startedAt=SystemClock().now_ms())
        async with draining(state, DrainWishes(deadline_s=20, still_s=0.2), DrainStage.WAIT) as drain:
            assert not drain.done()
            process.kill()
            process.wait()
            outcome = await drain
            assert outcome.released  # type: ignore[attr-defined]


class FakeCaller:
    """A gateway that says what a test wants, and settles the session when it is told to abort."""

    def __init__(self, state: Path, *, access: Access = Access.OPEN, **words: object) -> None:
        self._state = state
        self._access = access
        self._words = words
        self.active: bool | None = True
        self.aborted = 0
        self.asked = 0

    def access(self) -> Access:
        return self._access

    async def words(self, gateway: Gateway, key: str | None) -> GatewayWords:
        self.asked += 1
        sessions = {KEY: RunSight(KEY, self.active)}
        words = GatewayWords(1, "2026.5.20", sessions, complete=True, tasks=())
        return replace(words, **self._words)  # type: ignore[arg-type]

    async def abort(self, gateway: Gateway, key: str) -> AbortSaid:
        self.aborted += 1
        self.active = False
        store(self._state, status="killed")
        return AbortSaid(Abort.ABORTED, "run-1")


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A gateway of which a run cannot stay invisible for long."""
    row = SEMANTICS["5.x"]
    chosen = Chosen(row._replace(remote=row.remote._replace(admission_ms=100)), None)
    monkeypatch.setattr(scene, "semantics_of", lambda *_: chosen)


def running(state: Path) -> None:
    store(state, status="running", startedAt=SystemClock().now_ms())


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("allowed", [True, False])
async def test_the_gateways_run_is_aborted_only_when_that_is_allowed(state: Path, allowed: bool) -> None:
    running(state)
    caller = FakeCaller(state)
    wishes = DrainWishes(deadline_s=20 if allowed else 1, still_s=0.2, stop_after_s=0, abort_in_gateway=allowed)
    outcome = await drainer(state, wishes, gateway_answers=True, caller=caller).drain()
    assert outcome.released is allowed
    assert caller.aborted == int(allowed)
    if allowed:
        assert "the gateway says that no run is active in it" in outcome.words
        assert "it is not released yet" in "".join(step.text for step in outcome.steps)
    else:
        assert outcome.remedies[0].startswith("to end it: the gateway aborts it (sessions.abort")
        assert any("itself aborts a run that makes no progress for 6m00s" in line for line in outcome.remedies)


async def test_without_a_token_the_words_to_type_are_offered_and_nothing_is_asked(state: Path) -> None:
    running(state)
    caller = FakeCaller(state, access=Access.NO_TOKEN)
    wishes = DrainWishes(deadline_s=0.5, still_s=0.2, stop_after_s=0, abort_in_gateway=True)
    outcome = await drainer(state, wishes, gateway_answers=True, caller=caller).drain()
    assert not outcome.released
    assert outcome.offer == shlex.join(
        ("openclaw", "gateway", "call", "sessions.abort", "--params", json.dumps({"key": KEY}))
    )
    assert (caller.asked, caller.aborted) == (0, 0)


@pytest.mark.usefixtures("quick")
async def test_without_a_token_a_natural_release_is_proven_by_the_disk(state: Path) -> None:
    caller = FakeCaller(state, access=Access.NO_TOKEN)
    outcome = await drainer(state, QUICK, gateway_answers=True, caller=caller).drain()
    assert outcome.released
    assert caller.asked == 0


async def test_a_list_that_cannot_be_read_leaves_it_unproven(state: Path) -> None:
    (state / "agents/main/sessions/sessions.json").write_text('{"agent:main')
    outcome = await drainer(state, DrainWishes(1.0, 0.1, 0.0)).drain()
    assert not outcome.released
    assert "sessions.json is not JSON" in outcome.words[0]


async def test_locks_that_cannot_be_listed_leave_it_unproven(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scandir = os.scandir

    def refusing(path: str) -> object:
        if str(path) == str(transcript(state).parent):
            raise PermissionError(13, "Permission denied")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    outcome = await drainer(state, DrainWishes(1.0, 0.1, 0.0)).drain()
    assert not outcome.released
    assert "whether it has a write lock is not known" in outcome.words[0]


async def test_a_gateway_that_does_not_answer_leaves_it_unproven(state: Path) -> None:
    caller = FakeCaller(state, problem="the gateway did not answer sessions.list in time")
    outcome = await drainer(state, DrainWishes(1.0, 0.1, 0.0), gateway_answers=True, caller=caller).drain()
    assert not outcome.released
    assert outcome.words == ("perhaps an OpenClaw run: the gateway did not answer sessions.list in time",)


async def test_the_gateways_yes_counts_although_the_disk_says_done(state: Path) -> None:
    outcome = await drainer(state, DrainWishes(1.0, 0.1, 5.0), gateway_answers=True, caller=FakeCaller(state)).drain()
    assert not outcome.released
    assert outcome.words == ("an OpenClaw run: the gateway says that a run is active in it",)


async def test_a_writer_restarts_the_proof(state: Path) -> None:
    """The clock is the test's, and moves by one look after each look."""
    clock, lefts = ManualClock(), asyncio.Queue[float]()
    wishes = DrainWishes(deadline_s=60, still_s=1.5)
    drain = asyncio.create_task(
        drainer(
            state, wishes, clock=clock, listener=DrainListener(on_wait=lambda _, left: lefts.put_nowait(left))
        ).drain()
    )
    for _ in range(3):
        while await lefts.get() > 0.5:
            await clock.advance(LOOK_S)
        with transcript(state).open("a") as file:
            file.write('{"type":"custom"}\n')
        await clock.advance(LOOK_S)
        assert await lefts.get() == pytest.approx(1.5, abs=0.01), "the proof began anew"
        await clock.advance(LOOK_S)
    while not drain.done():
        await clock.advance(LOOK_S)
        await asyncio.sleep(0.001)
    assert (await drain).released


async def test_fresh_carries_the_conversation_over(state: Path) -> None:
    outcome = await drainer(state, DrainWishes(deadline_s=20, still_s=0.1, fresh=True)).drain()
    assert outcome.fresh is not None
    header, line = (json.loads(text) for text in Path(outcome.fresh).read_text().splitlines())
    assert header["parentSession"] == str(transcript(state))
    assert line == {"type": "message", "id": "m1"}


async def test_stopping_a_drain_opens_the_session_and_says_not_released(state: Path) -> None:
    async with draining(state, DrainWishes(deadline_s=60, still_s=30), DrainStage.PROVE) as drain:
        drain.cancel()
        with pytest.raises(asyncio.CancelledError):
            await drain
    assert read_admissions(state) == ()
    assert steps_in_journal(state)[-1] == "not-released"


async def test_two_drains_of_one_session_do_not_mix(state: Path) -> None:
    async with draining(state, DrainWishes(deadline_s=60, still_s=30), DrainStage.PROVE):
        for drain_id in ("first", "second"):
            with pytest.raises(RefusedError, match="under way"):
                await asyncio.to_thread(drain_elsewhere, state, drain_id)


def drain_elsewhere(state: Path, drain_id: str) -> None:
    """Drain from another process; its refusal is raised here."""
    code = (
        "import asyncio, sys; from pathlib import Path; from tests.engine.test_drainer import drainer;"
        "from clawtop.errors import RefusedError\n"
        "try: asyncio.run(drainer(Path(sys.argv[1]), drain_id=sys.argv[2]).drain())\n"
        "except RefusedError as error: print(error)"
    )
    command = [sys.executable, "-c", code, str(state), drain_id]
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=root)
    raise RefusedError(done.stdout)


_HANG_UP = """
import asyncio, os, signal, sys
from pathlib import Path
from clawtop.core.session.drain import DrainListener, DrainStage
from clawtop.core.session.proof import Access
from clawtop.engine.drain import scene
from clawtop.engine.drain.drainer import DrainWishes
from tests.engine.test_drainer import drainer
def on_step(step):
    if step.stage is DrainStage.PROVE:
        os.kill(os.getpid(), signal.SIGHUP)
asyncio.run(drainer(Path(sys.argv[1]), DrainWishes(60, 30), listener=DrainListener(on_step), drain_id="gone").drain())
"""


async def test_a_drain_whose_terminal_went_away_leaves_the_session_open_and_can_be_resumed(state: Path) -> None:
    root = Path(__file__).resolve().parents[2]
    gone = await asyncio.create_subprocess_exec(sys.executable, "-c", _HANG_UP, str(state), cwd=root)
    assert await gone.wait() < 0
    assert read_admissions(state) == (), "its closing died with it"
    async with (
        PromptRegistry(state, clock=SystemClock()) as registry,
        await registry.acquire(transcript(state), lane="main", run_id="next", on_contention=OnContention.RAISE),
    ):
        pass
    target = resumable(state, "gone")
    assert (target.key, target.file) == (KEY, transcript(state))
    assert (await drainer(state, drain_id="gone").drain()).released
    with pytest.raises(RefusedError, match="has ended"):
        resumable(state, "gone")
    with pytest.raises(RefusedError, match="has no drain"):
        resumable(state, "never")


async def test_while_it_drains_even_our_own_engine_is_kept_out(state: Path) -> None:
    wishes = DrainWishes(deadline_s=60, still_s=30)
    async with draining(state, wishes, DrainStage.PROVE), PromptRegistry(state, clock=SystemClock()) as registry:
        with pytest.raises(SessionContendedError, match="drain first"):
            await registry.acquire(transcript(state), lane="main", run_id="next", on_contention=OnContention.RAISE)


# --- the verb ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clawtop(state: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def call(*argv: str) -> tuple[int, str, str]:
        code = cli.run(["drain", *argv, "--state-dir", str(state)])
        out, err = capsys.readouterr()
        return code, out, err

    return call


def test_the_verb_drains_and_proves(state: Path, clawtop: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = clawtop(KEY, "--yes", "--json", "--still", "0.2", "--deadline", "20")
    facts = json.loads(out)
    assert code == facts["exit_code"] == 0
    assert (facts["outcome"], facts["target"]["session_key"], len(facts["proof"])) == ("drained", KEY, 5)
    assert [step["stage"] for step in facts["steps"]] == ["survey", "close", "prove", "drained"]


def test_the_verb_says_not_released_with_code_2(
    state: Path, stranger: int, clawtop: Callable[..., tuple[int, str, str]]
) -> None:
    lock(state).write_text(json.dumps({"pid": stranger, "createdAt": "2030-01-01T00:00:00.000Z"}))
    code, out, _ = clawtop(str(transcript(state)), "--yes", "--deadline", "0.5", "--still", "0.1")
    assert code == 2
    assert "aborted, NOT released" in out
    drain_id = out.strip().rpartition(" ")[2]
    lock(state).unlink()
    code, out, _ = clawtop("--resume", drain_id, "--yes", "--deadline", "20", "--still", "0.1", "--json")
    assert (code, json.loads(out)["drain"]) == (0, drain_id)


def test_the_verb_previews(state: Path, clawtop: Callable[..., tuple[int, str, str]]) -> None:
    code, out, _ = clawtop(KEY, "--dry-run")
    assert code == 0
    assert "nothing holds the session now" in out
    code, out, _ = clawtop("main", "--dry-run", "--json")
    assert (code, json.loads(out)["dry_run"]) == (0, True)
    assert not (state / "clawtop").exists()


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["nobody", "--yes"], 1, "there is no session nobody"),
        ([KEY], 1, "use --yes"),
        ([], 64, "name a session, or --resume ID"),
        ([KEY, "--resume", "x"], 64, "name a session, or --resume ID"),
        ([KEY, "--at", "5"], 64, "drain works only on the live state"),
        (["/etc/passwd", "--yes"], 1, "not a file of a known kind"),
        (["--resume", "x", "--yes"], 1, "has no drain"),
    ],
)
def test_the_verb_refuses(
    state: Path, clawtop: Callable[..., tuple[int, str, str]], argv: list[str], code: int, words: str
) -> None:
    found, _, err = clawtop(*argv)
    assert (found, words in err) == (code, True), err
    assert not (state / "clawtop").exists()
    assert os.listdir(state / "agents/main/sessions")  # noqa: PTH208 - names only


NAMED = ConfigSummary(backends={"my-cli": "hang"})


@pytest.mark.parametrize(
    ("gateway", "config", "why"),
    [
        (Gateway(GatewayState.LIVE, 7), NAMED, "cannot be seen from here"),
        (Gateway(GatewayState.LIVE, 7, backends=()), NAMED, None),
        (Gateway(GatewayState.LIVE, 7, backends=()), ConfigSummary(), None),
        (Gateway(GatewayState.LIVE, 7, backends=()), ConfigSummary(unread=True), "configuration"),
        (Gateway(GatewayState.UNKNOWN), ConfigSummary(unread=True), "configuration"),
        (Gateway(GatewayState.UNKNOWN), NAMED, "not known whether its gateway is alive"),
        (Gateway(GatewayState.UNKNOWN), ConfigSummary(), None),
        (Gateway(GatewayState.DEAD), NAMED, None),
    ],
)
async def test_no_process_of_a_run_is_only_said_where_they_were_looked_for(
    gateway: Gateway, config: ConfigSummary, why: str | None
) -> None:
    found = scene._unseen(replace(INCIDENT, gateway=gateway, config=config))
    assert found is None if why is None else why in (found or "")


async def test_a_process_that_is_stopped_while_it_changes_the_record_is_waited_for_no_longer_than_the_limit(
    state: Path,
) -> None:
    """The clock is the test's."""
    clock = ManualClock()
    steps = Presence.of(holders_dir(state)).directory / "locks" / "steps"
    with contextlib.ExitStack() as stopped:
        for number in range(SHARDS):
            file = stopped.enter_context((steps / f"{number:02d}.lock").open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
        drain = asyncio.create_task(drainer(state, QUICK, clock=clock).drain())
        began = clock.monotonic()
        while not drain.done():
            if clock.sleeping:
                await clock.advance(0.1)
            await asyncio.sleep(0.001)
        with pytest.raises(OperationFailedError, match="has been changing the record"):
            await drain
        assert clock.monotonic() - began < BUSY_S + 1
    assert (await drainer(state, QUICK).drain()).released
