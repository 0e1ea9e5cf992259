"""The course of one turn: in its lane, round by round over the models, and again when an account is usable again."""

from __future__ import annotations

import asyncio
from typing import Any

from clawtop.clock import Deadline, settled_within
from clawtop.core.failover import fallback
from clawtop.core.failure.engine_reason import COOLED_REASONS, ENDPOINT_REASONS
from clawtop.core.model import EventKind
from clawtop.core.session.admission import OnContention
from clawtop.core.session.lanes import CRON, MAIN, NESTED, SUBAGENT, global_lane, session_lane
from clawtop.engine.drive.candidates import Candidates, ProbeBook
from clawtop.engine.drive.chain import AllModelsFailedError, Chain
from clawtop.engine.drive.events import AccountWait
from clawtop.engine.drive.opening import EngineSettings
from clawtop.engine.drive.resources import DriverResources
from clawtop.engine.drive.runner import ModelRun
from clawtop.engine.drive.session_choice import SessionChoice
from clawtop.engine.drive.turn import DrivenTurn, TurnAnswer
from clawtop.engine.operations.locked import heard, settled
from clawtop.engine.providers.errors import ProviderError
from clawtop.errors import ClawtopError, CoordinationError
from clawtop.store.sessions.entry import add_entry, entry_for
from clawtop.text import safe

ROUND_PAUSES = 2.5
"""The factor by which the pause grows after all endpoints failed."""
WAITING_FOR_ACCOUNT = "waiting-account"
LAST_S = 1.0
"""How long after the turn's limit it is ended from outside: each of its own waits ends with the limit and says why, but
a disk that does not answer ends none.
"""
LIST_S = 10.0
"""How long the list of sessions has to be written."""
COUNT_S = 1.0
"""How often a run that waits for an account checks whether one is usable again, and reports which one it waits for."""
RETURN_MARGIN_S = 0.25
"""How long after its announced time an account is tried again, since clocks differ."""
_GLOBAL_LANES = (MAIN, CRON, SUBAGENT, NESTED)


class TurnRun:
    """One turn, from its first event to its last; `run` is awaited once.

    Attributes:
        began_ms: when the turn was asked for, ms since the epoch.
    """

    def __init__(
        self,
        resources: DriverResources,
        settings: EngineSettings,
        probes: ProbeBook,
        turn: DrivenTurn,
        choice: SessionChoice,
        *,
        began_ms: int,
    ) -> None:
        self._resources = resources
        self._settings = settings
        self._clock = resources.clock
        self._candidates = Candidates(resources, turn, probes)
        self._turn = turn
        self._choice = choice
        self._began_ms = began_ms
        self._guard: Deadline | None = None

    async def run(self, wait_s: float = 0.0) -> TurnAnswer:
        """The reply, written to the transcript. Where all accounts are cooling, wait up to `wait_s` for the first one.

        Raises as `Drive.result`.
        """
        choice, asked, teller = self._choice, self._turn.asked, self._turn.teller
        what = f"run on {choice.key or choice.file.name} in lane {asked.lane}"
        teller.tell(EventKind.RUN_START, what, model=asked.models[0])
        try:
            answer = await self._guarded(wait_s)
        except BaseException as error:
            self._tell_end(error)
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
            await self._list(choice.key, answer)
        self._tell_end(None)
        return answer

    async def _guarded(self, wait_s: float) -> TurnAnswer:
        """`_answered`, which ends soon after the turn's limit whatever it waits for."""
        turn, self._guard = self._turn, self._clock.timeout_at(self._last_moment())
        try:
            async with self._guard:
                return await self._answered(wait_s)
        except TimeoutError:
            if turn.deadline is None or self._clock.monotonic() < turn.deadline:
                raise
            raise turn.timed_out() from None

    def _last_moment(self) -> float | None:
        return None if self._turn.deadline is None else self._turn.deadline + LAST_S

    async def _answered(self, wait_s: float) -> TurnAnswer:
        """The turn's answer; if all accounts are cooling, wait up to `wait_s` for the first to return."""
        while True:
            try:
                return await self._in_lane()
            except (AllModelsFailedError, ProviderError) as error:
                if wait_s <= 0 or (isinstance(error, ProviderError) and error.timed_out):
                    raise
                waited_s = await self._until_account(wait_s)
                if waited_s is None:
                    raise
            wait_s -= waited_s
            self._turn.limited.clear()

    async def _until_account(self, wait_s: float) -> float | None:
        """Wait until one of the cooling accounts is usable again, by time or because it was cleared. Returns the
        seconds waited; None: none is cooling, or none returns within `wait_s`. The turn's own time limit is
        paused.
        """
        turn = self._turn
        cooling = dict(self._returns())
        if not cooling:
            return None
        began, told = self._clock.monotonic(), False
        if self._guard is not None:
            self._guard.reschedule(None)
        while cooling.keys() <= (now := dict(self._returns())).keys():
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
        if self._guard is not None:
            self._guard.reschedule(self._last_moment())
        return waited_s

    def _returns(self) -> list[tuple[str, int]]:
        return self._candidates.returns(self._turn.asked.models)

    async def _in_lane(self) -> TurnAnswer:
        asked = self._turn.asked
        self._turn.enter("waiting-lane")
        waits = asked.on_contention is OnContention.WAIT
        own = session_lane(asked.session_key or asked.session_id if waits else asked.run_id)
        async with self._resources.lanes.slot(own, _place(asked.lane), deadline=self._turn.deadline):
            for number in range(1, self._settings.rounds + 1):
                try:
                    return await self._over_models()
                except (AllModelsFailedError, ProviderError) as error:
                    if number == self._settings.rounds or not _may_pass(self._turn, error):
                        raise
                await self._between_rounds(number)
            raise RuntimeError("no attempt over the models")

    async def _over_models(self) -> TurnAnswer:
        return await Chain(
            self._turn.asked.models,
            self._on_model,
            self._candidates,
            self._resources.layout.semantics.cooling.transient_reasons,
            self._resources.rules.timeouts,
        ).run()

    async def _between_rounds(self, number: int) -> None:
        """Every endpoint failed at once, which often passes soon: pause, then try them all again."""
        turn = self._turn
        seconds = ROUND_PAUSES * self._settings.pause_s * 2 ** (number - 1)
        left = turn.left_s()
        turn.teller.tell(EventKind.NOTICE, f"every endpoint failed; retrying in {seconds:g} s")
        turn.endpoint_failures.clear()
        turn.reasons.clear()
        await self._clock.sleep(seconds if left is None else min(seconds, left))

    async def _on_model(self, call: fallback.Call) -> TurnAnswer:
        more = call.number < call.total
        return await ModelRun(self._resources, self._turn, call.model, probe=call.probe, fallback_configured=more).run()

    # --- afterwards ----------------------------------------------------------------------------------------------

    async def _list(self, key: str, answer: TurnAnswer) -> None:
        """Add a session of clawtop's own to OpenClaw's list if that is safe; else report that it is not listed."""
        layout = self._resources.layout
        if not layout.storage.session_files:
            why = "it keeps its sessions in a database that only the gateway writes"
        elif answer.forked_from is not None:
            why = "it is a fork"
        elif not (await self._resources.foreign.gateway()).state.is_gone:
            why = "a gateway is, or may be, running, and only it may write the session list"
        else:
            ended = self._clock.now_ms()
            entry = entry_for(answer.session_id, answer.session_file, answer.model, self._began_ms, ended)
            store = self._choice.agent.sessions_store
            adding = asyncio.ensure_future(asyncio.to_thread(add_entry, store, key, entry, layout.state_dir))
            adding.add_done_callback(heard)
            await settled(settled_within(self._clock, LIST_S, {adding}))
            if not adding.done():
                why = f"its list has not been written within {LIST_S:g} s"
            elif isinstance(error := adding.exception(), ClawtopError):
                why = error.title
            elif error is not None:
                raise error
            else:
                return
        self._turn.teller.tell(
            EventKind.NOTICE,
            f"OpenClaw does not list this session ({why}); its transcript is {answer.session_file}",
            data={"listed": False},
        )

    def _tell_end(self, error: BaseException | None) -> None:
        turn = self._turn
        turn.enter("done")
        outcome, words = _outcome(error)
        turn.teller.tell(
            EventKind.RUN_END,
            words,
            duration_ms=turn.elapsed_ms(),
            session_file=str(turn.session_file),
            data={"outcome": outcome, "requests": turn.requests, **self._back(error)},
        )

    def _back(self, error: BaseException | None) -> dict[str, Any]:
        """Which account of the turn's models is usable again first, and when, if the turn failed and one is cooling."""
        if not isinstance(error, AllModelsFailedError | ProviderError):
            return {}
        found = next(iter(self._returns()), None)
        return {} if found is None else {"first_back": safe(found[0]), "back_at": found[1]}


def _place(lane: str) -> str:
    """The global lane for a turn's lane: cron, subagent and nested work has its own, everything else is main."""
    return global_lane(lane) if lane in _GLOBAL_LANES or lane.startswith(f"{NESTED}:") else MAIN


def _may_pass(turn: DrivenTurn, error: ClawtopError) -> bool:
    """Whether the round failed only because of endpoints and cooling accounts, not because of a time limit."""
    if isinstance(error, ProviderError) and error.timed_out:
        return False
    reasons = set(turn.reasons)
    return bool(reasons & ENDPOINT_REASONS) and reasons <= ENDPOINT_REASONS | COOLED_REASONS


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
