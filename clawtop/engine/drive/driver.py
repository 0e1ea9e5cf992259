"""The engine's interface: drive a session, watch the run, rotate it, cancel it.

    async with Driver("~/.openclaw") as driver:
        run = driver.drive(TurnRequest("agent:main:main", "hello"))
        async for item in run:        # events, phases and the reply's text as it comes
            ...
        answer = await run.result()

One `Driver` belongs to one event loop and one state directory. It creates nothing before the first `drive`.
"""

from __future__ import annotations

import asyncio
import os
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from clawtop.clock import Clock, SystemClock
from clawtop.core.failover import fallback
from clawtop.core.failure.engine_reason import COOLED_REASONS, ENDPOINT_REASONS
from clawtop.core.model import Event, EventKind
from clawtop.core.nearest import did_you_mean
from clawtop.core.rotation.pins import Pin
from clawtop.core.session.admission import OnContention
from clawtop.core.session.lanes import CRON, MAIN, NESTED, SUBAGENT, global_lane, session_lane
from clawtop.core.session.turn_request import TurnRequest
from clawtop.engine.drive.candidates import Candidates, ProbeBook
from clawtop.engine.drive.chain import AllModelsFailedError, Chain
from clawtop.engine.drive.events import AccountWait, Phase, ReplyDiscarded, ReplyText, Teller
from clawtop.engine.drive.handle import Drive
from clawtop.engine.drive.journal_writer import JournalWriter
from clawtop.engine.drive.opening import EngineSettings, Ground, open_resources
from clawtop.engine.drive.runner import ModelRun
from clawtop.engine.drive.session_choice import SessionChoice, choose_session, unknown_session
from clawtop.engine.drive.turn import DrivenTurn, ResolvedRequest, TurnAnswer
from clawtop.engine.operations.locked import settled
from clawtop.engine.prompt.choice import RegistryChoice, registry_choice
from clawtop.engine.providers.errors import ProviderError
from clawtop.errors import ClawtopError, CoordinationError, OperationFailedError, UsageError
from clawtop.store import door
from clawtop.store.locks.processes import ProcessTable, SystemProcesses
from clawtop.store.locks.standpoint import evidence
from clawtop.store.own.journal import Journal
from clawtop.store.place.layout import Layout
from clawtop.store.provider.model_config import ProviderUnknownError
from clawtop.store.sessions.entry import add_entry, entry_for, make_sessions_dir
from clawtop.store.sessions.lists import NotReadYetError, ReadLists, SessionLists
from clawtop.store.sessions.settings import RunContext, RunContexts
from clawtop.text import safe

__all__ = ["AccountWait", "Drive", "Driver", "EngineSettings", "Phase", "ReplyDiscarded", "ReplyText", "TurnAnswer"]

_GLOBAL_LANES = (MAIN, CRON, SUBAGENT, NESTED)
_LOOK_EVERY_S = 30.0
ROUND_PAUSES = 2.5
"""The factor by which the pause grows after all endpoints failed."""
WAITING_FOR_ACCOUNT = "waiting-account"
COUNT_S = 1.0
"""How often a run that waits for an account checks whether one is usable again, and reports which one it waits for."""
RETURN_MARGIN_S = 0.25
"""How long after its announced time an account is tried again, since clocks differ."""


class Driver:
    """Drives sessions of one state directory."""

    def __init__(
        self,
        state_dir: str | Path | None = None,
        *,
        clock: Clock | None = None,
        processes: ProcessTable | None = None,
        environ: Mapping[str, str] | None = None,
        home: Path | None = None,
        settings: EngineSettings | None = None,
        listen: Callable[[Event], None] | None = None,
        compaction_wait: Callable[[Path], Awaitable[None]] | None = None,
    ) -> None:
        """Find the state directory; nothing is created or opened yet.

        Args:
            listen: gets every event of the engine, in the loop's thread.
            compaction_wait: awaited before each prompt of a session; raises TimeoutError when that takes too long.

        Raises:
            StateUnreadableError: there is no such directory.
            RefusedError: its generation keeps sessions or credentials where clawtop does not write.
        """
        self._clock: Clock = clock or SystemClock()
        given = dict(os.environ) if environ is None else environ
        self._settings = _with_registry(settings or EngineSettings(), given)
        self._ground = Ground(
            state_dir,
            self._clock,
            processes or SystemProcesses(),
            given,
            home or Path.home(),
        )
        self._listen = listen
        self._drives: dict[str, Drive] = {}
        self._probes = ProbeBook()
        self._lists = SessionLists()
        self._contexts = RunContexts()
        self._adopted = False
        self._looked_at: float | None = None
        self.resources = open_resources(self._ground, self._settings, self.emit, compaction_wait)
        self._writer = JournalWriter(Journal(self.layout.state_dir))

    @property
    def layout(self) -> Layout:
        return self.resources.layout

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel all runs, release everything, write or spool every mark, and finish writing the journal."""
        runs = tuple(self._drives.values())
        for run in runs:
            run.cancel()
        for run in runs:
            await run.ended()
        await self.resources.marks.aclose(self._settings.drain_s)
        await self.resources.registry.aclose()
        await self.resources.foreign.aclose()
        await self.resources.aclose()
        await asyncio.to_thread(self._writer.close)

    @property
    def registry(self) -> RegistryChoice | None:
        """Where the registry of several hosts is; None: on this host alone."""
        return self._settings.registry

    @property
    def journal_problem(self) -> ClawtopError | None:
        """Why the journal could not be written, if it could not."""
        return self._writer.problem

    def adopt_marks(self) -> int:
        """Take over the spooled marks of dead clawtop processes, once; returns how many there were."""
        if self._adopted:
            return 0
        self._adopted = True
        return self.resources.marks.adopt()

    def running(self) -> tuple[Drive, ...]:
        """The runs that are under way."""
        return tuple(self._drives.values())

    # --- driving -------------------------------------------------------------------------------------------------

    def drive(self, request: TurnRequest) -> Drive:
        """Begin a turn; needs a running event loop."""
        self.adopt_marks()
        run = Drive(request.run_id or uuid.uuid4().hex[:12])
        self._drives[run.run_id] = run
        task = asyncio.get_running_loop().create_task(self._turn(run, request), name=f"clawtop run {run.run_id}")
        task.add_done_callback(lambda _: self._drives.pop(run.run_id, None))
        run.begin(task)
        return run

    async def _turn(self, run: Drive, request: TurnRequest) -> TurnAnswer:
        began, began_ms = self._clock.monotonic(), self._clock.now_ms()
        await self._look_around()
        choice, context = await self._found(request.session, request.agent)
        if not request.message.strip():
            raise UsageError("the message is empty")
        if choice.row is None and not request.may_create and not choice.file.exists():
            raise await asyncio.to_thread(unknown_session, self.layout, request.session, request.agent)
        asked = replace(self._resolved(run.run_id, choice, request), context=context)
        if not self.layout.storage.session_files:
            self._make_own_place(choice)
        elif choice.row is None:
            make_sessions_dir(choice.agent.sessions_dir)
        teller = Teller(
            self._clock, self.emit, run.run_id, asked.agent, asked.session_key, str(asked.session_file), asked.lane
        )
        turn = DrivenTurn(
            asked=asked,
            clock=self._clock,
            teller=teller,
            hear=run.hear,
            deadline=began + self._limit_s(request.timeout_s),
            began=began,
            session_file=asked.session_file,
            session_id=asked.session_id,
        )
        run.turn = turn
        what = f"run on {choice.key or choice.file.name} in lane {asked.lane}"
        teller.tell(EventKind.RUN_START, what, model=asked.models[0])
        try:
            answer = await self._answered(turn, request.wait_for_account_s or 0.0)
        except BaseException as error:
            self._tell_end(turn, error)
            raise
        teller.tell(
            EventKind.REPLY,
            f"replied: {len(answer.text)} characters, {answer.usage.total} tokens ({answer.model})",
            model=answer.model,
            profile=answer.profile,
            duration_ms=answer.duration_ms,
            session_file=str(answer.session_file),
        )
        if choice.row is None and choice.key is not None:
            await self._list(turn, choice, answer, began_ms)
        self._tell_end(turn, None)
        return answer

    async def _found(self, session: str, agent: str | None) -> tuple[SessionChoice, RunContext]:
        """A session, and what OpenClaw sent in its last run: immediately if neither must be read."""
        try:
            choice = choose_session(self.layout, session, agent, ReadLists(self._lists))
        except NotReadYetError:
            choice = await asyncio.to_thread(choose_session, self.layout, session, agent, self._lists)
        file = str(choice.file)
        context = self._contexts.known(file)
        return choice, context if context is not None else await asyncio.to_thread(self._contexts.of, file)

    def _limit_s(self, asked: float | None) -> float:
        """How long a turn may take, in seconds: as asked, else as the configuration says, else the default."""
        return asked or self.resources.turn_limit_s or self._settings.turn_s

    async def _answered(self, turn: DrivenTurn, wait_s: float) -> TurnAnswer:
        """The turn's answer; if all accounts are cooling, wait up to `wait_s` for the first to return."""
        while True:
            try:
                return await self._in_lane(turn)
            except (AllModelsFailedError, ProviderError) as error:
                if wait_s <= 0 or (isinstance(error, ProviderError) and error.timed_out):
                    raise
                waited_s = await self._until_account(turn, wait_s)
                if waited_s is None:
                    raise
            wait_s -= waited_s
            turn.limited.clear()

    async def _until_account(self, turn: DrivenTurn, wait_s: float) -> float | None:
        """Wait until one of the cooling accounts is usable again, by time or because it was cleared. Returns the
        seconds waited; None: none is cooling, or none returns within `wait_s`. The turn's own time limit is
        paused.
        """
        cooling = dict(self._returns(turn))
        if not cooling:
            return None
        began, told = self._clock.monotonic(), False
        while cooling.keys() <= (now := dict(self._returns(turn))).keys():
            profile, until = next(iter(now.items()))
            left_s = max(0.0, (until - self._clock.now_ms()) / 1000)
            if self._clock.monotonic() - began + left_s + RETURN_MARGIN_S > wait_s:
                return None
            if not told:
                told = True
                turn.enter(WAITING_FOR_ACCOUNT)
                words = f"every account is cooling; {profile} is back in {left_s:.0f} s"
                data = {"profile": profile, "until": until}
                turn.teller.tell(EventKind.WAIT, words, profile=profile, data=data)
            turn.hear(AccountWait(profile, until))
            await self._clock.sleep(min(COUNT_S, left_s + RETURN_MARGIN_S))
        await self._clock.sleep(RETURN_MARGIN_S)
        waited_s = self._clock.monotonic() - began
        if turn.deadline is not None:
            turn.deadline += waited_s
        return waited_s

    def _returns(self, turn: DrivenTurn) -> list[tuple[str, int]]:
        return Candidates(self.resources, turn, self._probes).returns(turn.asked.models)

    async def _in_lane(self, turn: DrivenTurn) -> TurnAnswer:
        asked = turn.asked
        turn.enter("waiting-lane")
        waits = asked.on_contention is OnContention.WAIT
        own = session_lane(asked.session_key or asked.session_id if waits else asked.run_id)
        async with self.resources.lanes.slot(own, _place(asked.lane), deadline=turn.deadline):
            for number in range(1, self._settings.rounds + 1):
                try:
                    return await self._over_models(turn)
                except (AllModelsFailedError, ProviderError) as error:
                    if number == self._settings.rounds or not _may_pass(turn, error):
                        raise
                await self._between_rounds(turn, number)
            raise RuntimeError("no attempt over the models")

    async def _over_models(self, turn: DrivenTurn) -> TurnAnswer:
        return await Chain(
            turn.asked.models,
            partial(self._on_model, turn),
            Candidates(self.resources, turn, self._probes),
            self.resources.layout.semantics.cooling.transient_reasons,
            self.resources.rules.timeouts,
        ).run()

    async def _between_rounds(self, turn: DrivenTurn, number: int) -> None:
        """Every endpoint failed at once, which often passes soon: pause, then try them all again."""
        seconds = ROUND_PAUSES * self._settings.pause_s * 2 ** (number - 1)
        left = turn.left_s()
        turn.teller.tell(EventKind.NOTICE, f"every endpoint failed; retrying in {seconds:g} s")
        turn.endpoint_failures.clear()
        turn.reasons.clear()
        await self._clock.sleep(seconds if left is None else min(seconds, left))

    async def _on_model(self, turn: DrivenTurn, call: fallback.Call) -> TurnAnswer:
        more = call.number < call.total
        return await ModelRun(self.resources, turn, call.model, probe=call.probe, fallback_configured=more).run()

    def _resolved(self, run_id: str, choice: SessionChoice, request: TurnRequest) -> ResolvedRequest:
        configured = choice.agent.models
        primary, fallbacks = (configured[0], configured[1:]) if configured else (None, ())
        models = fallback.candidates(request.model or choice.settings.model, fallbacks=fallbacks, primary=primary)
        if not models:
            unread = "".join(f": {safe(each.where)} {each.text}" for each in self.layout.config.problems[:1])
            raise UsageError(
                f"agent {safe(choice.agent.id, 60)} has no model{unread}",
                hint="name one with --model PROVIDER/MODEL, or set agents.defaults.model in openclaw.json",
            )
        if request.model is not None:
            self._check_provider(choice.agent.id, request.model.provider)
        row = choice.row
        pin = Pin(row.profile, row.profile_source, row.profile_compaction_count) if row is not None else Pin()
        return ResolvedRequest(
            run_id=run_id,
            agent=choice.agent.id,
            session_file=choice.file,
            session_id=choice.session_id,
            session_key=choice.key,
            lane=request.lane or session_lane(choice.key or choice.session_id),
            message=request.message,
            models=models,
            pin=pin,
            on_contention=request.on_contention,
            compaction_count=(row.compaction_count if row is not None else None) or 0,
            new_session=row is None,
            cwd=_workspace(self.layout, choice),
            system=request.system,
            settings=choice.settings,
        )

    def _check_provider(self, agent: str, name: str) -> None:
        """Whether the provider that the operator named has an address. Raises UsageError: no other is asked instead."""
        try:
            self.resources.provider(agent, name)
        except ProviderUnknownError as error:
            known = {profile.provider for profile in self.resources.auth(agent).profiles}
            near = did_you_mean(name, known)
            raise UsageError(f"{error.title}{near}", hint=error.hint, unchanged=error.unchanged) from None

    def _make_own_place(self, choice: SessionChoice) -> None:
        """The directory of clawtop's own transcripts. Raises OperationFailedError."""
        directory = choice.file.parent
        try:
            door.own_directory(directory.parent.parent, directory.parent, directory)
        except OSError as error:
            raise OperationFailedError(
                f"{safe(directory)} cannot be created: {error.strerror or error}", unchanged="nothing was sent"
            ) from error

    # --- afterwards ----------------------------------------------------------------------------------------------

    async def _list(self, turn: DrivenTurn, choice: SessionChoice, answer: TurnAnswer, began_ms: int) -> None:
        """Add a session of clawtop's own to OpenClaw's list if that is safe; else report that it is not listed."""
        if not self.layout.storage.session_files:
            why = "it keeps its sessions in a database that only the gateway writes"
        elif answer.forked_from is not None or choice.key is None:
            why = "it is a fork"
        elif not (await self.resources.foreign.gateway()).state.is_gone:
            why = "a gateway is, or may be, running, and only it may write the session list"
        else:
            ended = self._clock.now_ms()
            entry = entry_for(answer.session_id, answer.session_file, answer.model, began_ms, ended)
            try:
                store = choice.agent.sessions_store
                await settled(asyncio.to_thread(add_entry, store, choice.key, entry, self.layout.state_dir))
                return
            except ClawtopError as error:
                why = error.title
        turn.teller.tell(
            EventKind.NOTICE,
            f"OpenClaw does not list this session ({why}); its transcript is {answer.session_file}",
            data={"listed": False},
        )

    def _tell_end(self, turn: DrivenTurn, error: BaseException | None) -> None:
        turn.enter("done")
        outcome, words = _outcome(error)
        turn.teller.tell(
            EventKind.RUN_END,
            words,
            duration_ms=turn.elapsed_ms(),
            session_file=str(turn.session_file),
            data={"outcome": outcome, "requests": turn.requests, **self._back(turn, error)},
        )

    def _back(self, turn: DrivenTurn, error: BaseException | None) -> dict[str, Any]:
        """Which account of the turn's models is usable again first, and when, if the turn failed and one is cooling."""
        if not isinstance(error, AllModelsFailedError | ProviderError):
            return {}
        found = next(iter(self._returns(turn)), None)
        return {} if found is None else {"first_back": safe(found[0]), "back_at": found[1]}

    def emit(self, event: Event) -> None:
        """Journal an event, and pass it to the run it belongs to and to all listeners."""
        self._writer.put(event)
        run = self._drives.get(event.run_id) if event.run_id else None
        if run is not None:
            run.hear(event)
        if self._listen is not None:
            self._listen(event)

    async def _look_around(self) -> None:
        """Apply the current configuration, and find out whether this directory's pids can be judged here."""
        ground, resources = self._ground, self.resources
        if not self.layout.config.is_current():
            layout = ground.layout()
            resources.moved(layout, ground.config(layout), ground.sources(layout))
        now = self._clock.monotonic()
        if self._looked_at is None or now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            resources.environment = evidence(resources.layout.state_dir, await resources.foreign.gateway())


def _place(lane: str) -> str:
    """The global lane for a turn's lane: cron, subagent and nested work has its own, everything else is main."""
    return global_lane(lane) if lane in _GLOBAL_LANES or lane.startswith(f"{NESTED}:") else MAIN


def _workspace(layout: Layout, choice: SessionChoice) -> str:
    """The workspace that OpenClaw would name in a new transcript."""
    agents: Any = (layout.config.raw or {}).get("agents")
    sections = agents if isinstance(agents, Mapping) else {}
    listed = sections.get("list")
    own = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    entries = [item for item in own if item.get("id") == choice.agent.id] + [sections.get("defaults")]
    named = (item.get("workspace") for item in entries if isinstance(item, Mapping))
    return next((name for name in named if isinstance(name, str) and name), str(layout.state_dir / "workspace"))


def _may_pass(turn: DrivenTurn, error: ClawtopError) -> bool:
    """Whether the round failed only because of endpoints and cooling accounts, not because of a time limit."""
    if isinstance(error, ProviderError) and error.timed_out:
        return False
    reasons = set(turn.reasons)
    return bool(reasons & ENDPOINT_REASONS) and reasons <= ENDPOINT_REASONS | COOLED_REASONS


def _with_registry(settings: EngineSettings, environ: Mapping[str, str]) -> EngineSettings:
    """`settings` with the registry that the environment names, where they name none. Raises UsageError."""
    url = environ.get("CLAWTOP_REGISTRY", "")
    if settings.registry is not None or not url:
        return settings
    return replace(settings, registry=registry_choice(url, environ.get("CLAWTOP_REGISTRY_MOUNTS", "").split(",")))


def _outcome(error: BaseException | None) -> tuple[str, str]:
    match error:
        case None:
            return "reply", "run ended with a reply"
        case asyncio.CancelledError():
            return "cancelled", "run cancelled"
        case CoordinationError():
            return "coordination", f"run ended without a model failure: {error.title}"
        case AllModelsFailedError():
            return "failed", error.title
        case ClawtopError():
            return "failed", f"run failed: {error.title}"
        case _:
            return "failed", f"run failed: {type(error).__name__}"
