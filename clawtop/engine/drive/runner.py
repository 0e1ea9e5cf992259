"""A turn on one model: the provider's profiles in order, one request each, rotation first.

Rotate first, then mark, and wait for no mark (thread 57281); a 429 is one request of that profile for that model, which
is what OpenClaw's cooldown of a rate limit is scoped to (thread 342); a timeout ends the run unless the settings say
otherwise (thread 62351). What follows a failure is decided by `core.failover.steps`; this
module carries its effects out, in their order. Before all of them the failure is noted in clawtop's own spool, so that
a kill does not lose it; the store is marked in the background.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from clawtop.core.failover.compaction import abort_in_compaction_wait
from clawtop.core.failover.decision import AttemptStage, Signals, run_iteration_limit
from clawtop.core.failover.steps import (
    Backoff,
    Continue,
    Fallback,
    Log,
    MarkFailure,
    Retry,
    Rotate,
    RunEffect,
    RunState,
    SurfaceError,
    after_advance,
    after_failure,
)
from clawtop.core.failure.engine_reason import ENDPOINT_REASONS, Reach, engine_mark, reach_of
from clawtop.core.model import EventKind, FailureReason, ModelRef, Profile
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import (
    NO_MODEL,
    cooling_check,
    first_profile,
    is_ordered,
    next_profile,
    order_ids,
)
from clawtop.core.rotation.pins import recovered_check, resolve_override
from clawtop.engine.drive.attempt import Attempt
from clawtop.engine.drive.resources import DriverResources
from clawtop.engine.drive.turn import NOT_ROTATABLE, DrivenTurn, TurnAnswer
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.text import safe
from clawtop.values import dataclass

ENDPOINT_TRIES = 2
LONGEST_PAUSE_S = 2.0
"""A failing endpoint is tried again after a doubling pause, and not by a third account in a row."""

ASSISTANT_PHASES = frozenset({"first-byte", "idle", "total"})
"""Timeouts of the answer side; one while connecting belongs to the prompt side. An overload always belongs to the
answer side, where OpenClaw counts its rotations.
"""


class CompactionAbortedError(ProviderError):
    """The run was aborted while it waited for a compaction's retry: handled as the prompt's error (thread 342)."""

    def __init__(self, provider: str) -> None:
        super().__init__(
            ErrorKind.TIMEOUT, "aborted while waiting for a compaction's retry", provider=provider, phase="compaction"
        )


@dataclass(frozen=True, slots=True)
class _Choice:
    """The profiles of one run: `ids` in the order to try, `locked` when the user pinned the only one."""

    ids: tuple[str, ...]
    by_id: dict[str, Profile]
    locked: bool


class ModelRun:
    """One turn on one model. `run` is awaited once; `rotate` may be called from outside while it runs."""

    def __init__(
        self, resources: DriverResources, turn: DrivenTurn, model: ModelRef, *, probe: bool, fallback_configured: bool
    ) -> None:
        """`probe`: a profile may be tried although it cools. `fallback_configured`: another model is still to come."""
        self._resources = resources
        self._turn = turn
        self._model = model
        self._probe = probe
        self._fallback_configured = fallback_configured
        self._state = RunState()
        self._choice = self._chosen()
        self._current: str | None = None
        self._running: asyncio.Task[TurnAnswer] | None = None
        self._forced = False
        self._origin = resources.origin(turn.asked.agent, model)

    async def run(self) -> TurnAnswer:
        """The model's answer, from the first profile that gives one.

        Raises:
            ProviderError: no profile gave an answer, or a timeout ended the run.
            CoordinationError: somebody else has the session. Nothing was marked for it.
        """
        self._current = self._first()
        limit = run_iteration_limit(len(self._choice.ids))
        self._resources.marks.expect()
        self._turn.advance = self.rotate
        try:
            for _ in range(limit):
                answer = await self._round()
                if answer is not None:
                    return answer
        finally:
            self._turn.advance = None
        raise ProviderError(
            ErrorKind.PROTOCOL, f"the run made {limit} attempts without an answer", provider=self._model.provider
        )

    def rotate(self) -> str | None:
        """Cancel the running attempt and continue with the next profile; nothing is marked. Else: why not."""
        if self._running is None or self._running.done():
            return "no attempt is running right now"
        if self._turn.phase in NOT_ROTATABLE:
            return "the reply is already complete"
        if self._choice.locked:
            return f"the session is pinned to {safe(self._current, 80)} by its user"
        if self._next() is None:
            return "no other profile of the provider is usable now"
        self._forced = self._running.cancel()
        return None if self._forced else "the attempt has just ended"

    async def _round(self) -> TurnAnswer | None:
        """One attempt and what follows from it: the answer, or None to try again."""
        profile = self._choice.by_id.get(self._current) if self._current is not None else None
        await self._spare_endpoint()
        self._forced = False
        try:
            with self._resources.in_flight.using(profile.id if profile is not None else None):
                self._running = asyncio.get_running_loop().create_task(self._attempt(profile))
                answer = await self._running
        except ProviderError as error:
            self._turn.discard()
            await self._failed(profile, error)
            return None
        except asyncio.CancelledError:
            self._turn.discard()
            if not self._forced or _is_cancelled():
                raise
            self._force_next(profile)
            return None
        except BaseException:
            self._turn.discard()
            raise
        finally:
            self._running = None
        self._turn.endpoint_failures.pop(self._origin, None)
        if profile is not None:
            self._resources.mark(self._turn, profile, self._model, None)
        return answer

    async def _attempt(self, profile: Profile | None) -> TurnAnswer:
        wait = self._resources.compaction_wait
        if wait is not None:
            try:
                await wait(self._turn.session_file)
            except TimeoutError:
                raise CompactionAbortedError(self._model.provider) from None
        return await Attempt(self._resources, self._turn, self._model, profile).run()

    # --- after a failure -----------------------------------------------------------------------------------------

    async def _failed(self, profile: Profile | None, error: ProviderError) -> None:
        """Carry out what follows; returns when there is another attempt to make, else raises the error."""
        reason = error.reason
        self._turn.reasons.append(reason)
        if profile is not None and reason is FailureReason.RATE_LIMIT:
            self._turn.limited.add((profile.id, self._model.model))
        endpoint_down = self._count_endpoint(error)
        stage, signals = self._signals(error, reason)
        signals = signals._replace(every_account=reach_of(reason) is not Reach.ACCOUNT, endpoint_down=endpoint_down)
        rules = self._resources.rules
        self._state, effects = after_failure(stage, self._state, signals, rules)
        self._note(effects, profile, error)  # before any words about it, which take longer: a kill may come
        self._turn.teller.tell(
            EventKind.FAILURE,
            f"{error.message} ({self._model})",
            model=self._model,
            profile=profile.id if profile else None,
            reason=reason,
            data=error.facts(),
        )
        rotated = False
        for effect in effects:
            if isinstance(effect, Rotate):
                rotated = self._rotate(profile, reason)
            else:
                await self._carry_out(effect, error)
        if any(isinstance(effect, Rotate) for effect in effects):
            self._state, effects = after_advance(self._state, rotated, rules)
            for effect in effects:
                await self._carry_out(effect, error)

    def _count_endpoint(self, error: ProviderError) -> bool:
        """Count a failure of the endpoint; True when enough have failed in a row that it counts as down.

        An endpoint that does not speak the API fails for every account.
        """
        failures = self._turn.endpoint_failures
        if error.reason not in ENDPOINT_REASONS:
            failures.pop(self._origin, None)
            return False
        weight = ENDPOINT_TRIES if error.kind is ErrorKind.PROTOCOL else 1
        failures[self._origin] = failures.get(self._origin, 0) + weight
        return failures[self._origin] >= ENDPOINT_TRIES

    async def _spare_endpoint(self) -> None:
        """Pause before an endpoint that has just failed is asked again."""
        failed = self._turn.endpoint_failures.get(self._origin, 0)
        if failed:
            seconds = min(self._resources.pause_s * 2 ** (failed - 1), LONGEST_PAUSE_S)
            await self._pause(seconds * (0.75 + self._resources.jitter() / 2))

    def _signals(self, error: ProviderError, reason: FailureReason | None) -> tuple[AttemptStage, Signals]:
        if isinstance(error, CompactionAbortedError):
            return AttemptStage.PROMPT, abort_in_compaction_wait(
                user_aborted=False, fallback_configured=self._fallback_configured
            )
        answering = (
            error.kind in {ErrorKind.IN_STREAM, ErrorKind.EMPTY}
            or error.phase in ASSISTANT_PHASES
            or reason is FailureReason.OVERLOADED
        )
        return AttemptStage.ASSISTANT if answering else AttemptStage.PROMPT, Signals(
            reason=reason,
            failover_failure=reason is not None,
            fallback_configured=self._fallback_configured,
            timed_out=error.timed_out,
            idle_timed_out=error.phase == "idle",
        )

    def _note(self, effects: Iterable[RunEffect], profile: Profile | None, error: ProviderError) -> None:
        """Have the failure noted in clawtop's own spool; the store is marked behind the run's back, after rotation."""
        if profile is None or not _is_the_providers(error):
            return
        for effect in effects:
            if isinstance(effect, MarkFailure):
                marked = engine_mark(effect.reason, self._resources.layout.semantics.marking)
                if marked is not None:
                    self._resources.mark(self._turn, profile, self._model, marked, error.retry_after_ms)

    async def _carry_out(self, effect: RunEffect, error: ProviderError) -> None:
        match effect:
            case Backoff(ms) if ms > 0:
                await self._pause(ms / 1000)
            case Log(action, reason):
                self._resources.note_decision(self._turn, self._model, action, reason)
            case Fallback() | SurfaceError() | Continue():
                raise error
            case MarkFailure() | Backoff() | Retry() | Rotate():
                pass

    def _rotate(self, profile: Profile | None, reason: FailureReason | None) -> bool:
        chosen = self._next()
        if chosen is None:
            return False
        self._current = chosen
        self._tell_rotation(profile, chosen, reason)
        return True

    def _force_next(self, profile: Profile | None) -> None:
        chosen = self._next()
        if chosen is not None:
            self._current = chosen
            self._tell_rotation(profile, chosen, None)

    def _tell_rotation(self, profile: Profile | None, chosen: str, reason: FailureReason | None) -> None:
        left = profile.id if profile else "no profile"
        why = reason or "by hand, no mark"
        self._turn.teller.tell(
            EventKind.ROTATE,
            f"{why}: from {left} to {chosen}",
            model=self._model,
            profile=chosen,
            reason=reason,
            data={"from": left, "to": chosen, "forced": reason is None},
        )

    async def _pause(self, seconds: float) -> None:
        left = self._turn.left_s()
        await self._resources.clock.sleep(seconds if left is None else min(seconds, left))

    # --- which profile -------------------------------------------------------------------------------------------

    def _chosen(self) -> _Choice:
        resources, asked, provider = self._resources, self._turn.asked, self._model.provider
        store = resources.auth(asked.agent)
        now, schedule = resources.clock.now_ms(), resources.schedule_of(provider)
        ids = order_ids(
            order_query(
                provider,
                store.profiles,
                store.order,
                resources.config.auth,
                now,
                schedule,
                for_model=self._model.model,
                pending=resources.noted(store.profiles, self._model.model),
                in_flight=resources.in_flight.counts(),
            )
        )
        by_id = {profile.id: profile for profile in store.profiles}
        if asked.pin.profile is None:
            return _Choice(ids, by_id, locked=False)
        noted = resources.noted(store.profiles, self._model.model)

        def cools(model: str | None) -> Callable[[str], bool]:
            return cooling_check(store.profiles, now, schedule, for_model=model, pending=noted)

        override = resolve_override(
            asked.pin,
            ids,
            serves=lambda id_: id_ in by_id and by_id[id_].provider == provider,
            is_cooling=cools(self._model.model if schedule.order_by_model else None),
            schedule=schedule,
            compaction_count=asked.compaction_count,
            is_new_session=asked.new_session,
            cools_for_all=cools(NO_MODEL),
            recovered=recovered_check(
                store.profiles, ordered=is_ordered(provider, store.order, resources.config.auth, schedule)
            ),
            stored=asked.pin.profile in by_id,
        )
        if override.profile is None:
            return _Choice(ids, by_id, locked=False)
        if override.pin.pinned_by == "user":
            return _Choice((override.profile,), by_id, locked=True)
        return _Choice((override.profile, *(id_ for id_ in ids if id_ != override.profile)), by_id, locked=False)

    def _first(self) -> str | None:
        """The profile to begin with; None: ask with the provider's own key. ProviderError if there is neither."""
        choice, provider = self._choice, self._model.provider
        locked = choice.ids[0] if choice.locked else None
        first = first_profile(choice.ids, self._cooling(), locked=locked, may_probe=self._probe)
        if first is not None:
            return first[0]
        if not choice.ids and self._resources.works_without_profile(self._turn.asked.agent, provider):
            return None
        why = "every profile is cooling" if choice.ids else "no usable auth profile"
        raise ProviderError(
            ErrorKind.CREDENTIAL, f"{why} for provider {provider}", provider=provider, code="no-profile"
        )

    def _next(self) -> str | None:
        return next_profile(self._choice.ids, self._current, self._cooling(), locked=self._choice.locked)

    def _cooling(self) -> Callable[[str], bool]:
        """Which profiles cool at this moment: the store as it is now, the marks of every run of this engine, and what
        this run itself was told, even if that has been cleared since (docs/invariants.md 5).
        """
        resources, model = self._resources, self._model
        profiles = resources.auth(self._turn.asked.agent).profiles
        cools = cooling_check(
            profiles,
            resources.clock.now_ms(),
            resources.schedule_of(model.provider),
            for_model=model.model,
            pending=resources.noted(profiles, model.model),
        )
        limited = self._turn.limited
        return lambda profile: (profile, model.model) in limited or cools(profile)


def _is_the_providers(error: ProviderError) -> bool:
    """A credential that cannot be read from here says nothing about the account; one that expired does."""
    return error.kind is not ErrorKind.CREDENTIAL or error.code == "expired"


def _is_cancelled() -> bool:
    """Whether the turn itself was cancelled, not only its attempt."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
