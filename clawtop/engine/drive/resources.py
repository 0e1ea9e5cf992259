"""What all runs of a driver share: the current store, the settings, and their common machinery."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from clawtop.clock import Clock
from clawtop.core.cooldown.marking import Mark
from clawtop.core.cooldown.provider_times import is_settled
from clawtop.core.cooldown.stats import Schedule, bypasses_cooldown, schedule_for
from clawtop.core.cooldown.windows import cooling_until
from clawtop.core.failover.decision import Action
from clawtop.core.failover.steps import FailoverRules
from clawtop.core.locks.limits import NEVER_MS
from clawtop.core.locks.staleness import HERE, NamespaceEvidence, owner_pid, proof_words
from clawtop.core.model import (
    AuthStore,
    ConfigSummary,
    EventKind,
    FailureReason,
    Generation,
    LockFile,
    ModelRef,
    Profile,
    UsageStats,
)
from clawtop.engine.drive.auth_view import AuthView
from clawtop.engine.drive.in_flight import InFlight
from clawtop.engine.drive.marks import Marks
from clawtop.engine.drive.prompting import PromptSources
from clawtop.engine.drive.turn import DrivenTurn
from clawtop.engine.prompt.foreign import ForeignRuns
from clawtop.engine.prompt.lane_scheduler import LaneScheduler
from clawtop.engine.prompt.registry import PromptRegistry
from clawtop.engine.prompt.session_lock import SessionLockController, own_start
from clawtop.engine.providers.base import Endpoint, Timeouts
from clawtop.errors import ClawtopError
from clawtop.nested import mapping
from clawtop.store.config import run_limit_s
from clawtop.store.json_text import UnreadableError, parse, read_bytes
from clawtop.store.locks.openclaw import BreakOutcome, BreakResult
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.own.accounts import AccountNote, AccountNotes
from clawtop.store.place.layout import Layout
from clawtop.store.provider.builtin import BUILTIN
from clawtop.store.provider.credentials import load_credential
from clawtop.store.provider.model_config import ProviderConfig, provider_named, read_providers
from clawtop.store.provider.network_config import auth_header, network_for
from clawtop.store.provider.secrets import SecretSources
from clawtop.store.sessions.conversation import KeptConversations

if TYPE_CHECKING:
    from clawtop.engine.providers.copilot import CopilotToken
    from clawtop.engine.providers.http import ProviderClient

COPILOT = "github-copilot"
BEDROCK = "bedrock-converse-stream"
HOLD_MARGIN_MS = 30_000
"""Added to the turn's remaining time in a lock that is held for the whole attempt."""
MODELS_FILE = "models.json"
MAX_MODELS_BYTES = 4 * 1024 * 1024


@dataclass
class DriverResources:
    """What the runs of one driver share. Belongs to its event loop."""

    layout: Layout
    generation: Generation | None
    config: ConfigSummary
    sources: SecretSources
    rules: FailoverRules
    call_timeouts: Timeouts
    clock: Clock
    processes: ProcessTable
    registry: PromptRegistry
    lanes: LaneScheduler
    marks: Marks
    foreign: ForeignRuns
    accounts: AccountNotes
    in_flight: InFlight
    pause_s: float
    jitter: Callable[[], float]
    environment: NamespaceEvidence = HERE
    compaction_wait: Callable[[Path], Awaitable[None]] | None = None
    conversations: KeptConversations = field(default_factory=KeptConversations, repr=False)
    _auth: AuthView = field(init=False, repr=False)
    _client: ProviderClient | None = field(default=None, repr=False)
    _making: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _schedules: dict[str, Schedule] = field(default_factory=dict, repr=False)
    _copilot: dict[str, CopilotToken] = field(default_factory=dict, repr=False)
    _providers: dict[str, dict[str, ProviderConfig]] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        self._auth = AuthView(self.layout, self.clock, self.marks)

    async def client(self) -> ProviderClient:
        """The HTTP client, created on first use, in a thread: loading httpx would freeze the screen for too long."""
        async with self._making:
            if self._client is None:
                self._client = await asyncio.to_thread(_new_client, self.clock)
            return self._client

    async def aclose(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    def moved(self, layout: Layout, config: ConfigSummary, sources: SecretSources) -> None:
        """The configuration changed: later runs use the new one."""
        self.layout, self.config, self.sources = layout, config, sources
        self._auth.moved(layout)
        self._providers.clear()
        self._schedules.clear()

    def schedule_of(self, provider: str) -> Schedule:
        """How long failed profiles of a provider cool: the version's rules with the configuration."""
        if provider not in self._schedules:
            self._schedules[provider] = schedule_for(self.layout.semantics, self.config.auth.cooldowns, provider)
        return self._schedules[provider]

    # --- the store -----------------------------------------------------------------------------------------------

    def auth(self, agent: str) -> AuthStore:
        """The store that an agent sees, with the marks of this engine that are still on their way (`AuthView.of`)."""
        return self._auth.of(agent)

    def mark(
        self,
        turn: DrivenTurn,
        profile: Profile,
        model: ModelRef,
        reason: FailureReason | None,
        retry_after_ms: int | None = None,
    ) -> None:
        """Have a failure, or (reason None) a success, of a turn marked; see `mark_account`."""
        self.mark_account(profile, model, reason, retry_after_ms, run_id=turn.asked.run_id)

    def mark_account(
        self,
        profile: Profile,
        model: ModelRef,
        reason: FailureReason | None,
        retry_after_ms: int | None = None,
        *,
        run_id: str | None = None,
    ) -> None:
        """Have a failure, or (reason None) a success, marked in the store that owns the profile; never waits.

        All clawtop processes of this directory learn of it immediately, with the provider's own time if it gave one.
        """
        if reason is not None and bypasses_cooldown(profile.provider):
            return
        now = self.clock.now_ms()
        self.marks.note(
            Mark(
                agent=profile.owner_agent,
                profile=profile.id,
                provider=profile.provider,
                at=now,
                reason=None if reason is None else reason.value,
                model=model.model,
                run_id=run_id,
            ),
            routine=reason is None and _holds_nothing(profile.stats),
        )
        if reason is None:
            self.accounts.forget(profile.owner_agent, profile.id, now)
            return
        schedule = self.schedule_of(profile.provider)
        window = cooling_until(self._auth.overlaid(profile).stats, profile.provider, now, schedule)
        told = None if retry_after_ms is None else now + retry_after_ms
        until = max(window or 0, told or 0)
        if until > now:
            scoped = model.model if reason is FailureReason.RATE_LIMIT else None
            note = AccountNote(now, until, reason.value, scoped, told)
            self.accounts.note(profile.owner_agent, profile.id, note)

    def noted(self, profiles: Iterable[Profile], model: str) -> dict[str, int]:
        """Until when accounts are not used for a model, in addition to what their store says: id -> ms since the
        epoch. A note counts until its account answers or is cleared.
        """
        return {profile.id: note.until for profile, note in self._notes(profiles, model)}

    def not_before(self, profiles: Sequence[Profile], model: str) -> int | None:
        """When the first of these accounts may be asked for a model as their providers themselves say, in ms since the
        epoch; None where one of them has not said so, or its time has come.
        """
        now = self.clock.now_ms()
        told = [note.told for _, note in self._notes(profiles, model) if note.told is not None and note.told > now]
        return min(told) if told and len(told) == len(profiles) else None

    def _notes(self, profiles: Iterable[Profile], model: str) -> Iterator[tuple[Profile, AccountNote]]:
        notes = self.accounts.read().notes
        if not notes:
            return
        now = self.clock.now_ms()
        for profile in profiles:
            note = notes.get((profile.owner_agent, profile.id))
            if note is None or note.until <= now or note.model not in {None, model}:
                continue
            if not is_settled(profile.stats, note.at, now):
                yield profile, note

    def note_decision(self, turn: DrivenTurn, model: ModelRef, action: Action, reason: FailureReason | None) -> None:
        """Report what the run does next, if no other event says so."""
        if action not in {Action.ROTATE_PROFILE, Action.FALLBACK_MODEL}:
            what = "the run ends here" + (f": {reason}" if reason else "")
            turn.teller.tell(
                EventKind.NOTICE, what, model=model, reason=reason, data={"decision": action.value, "stage": turn.phase}
            )

    # --- the provider --------------------------------------------------------------------------------------------

    def provider(self, agent: str, name: str) -> ProviderConfig:
        """A provider's configuration as that agent sees it. Raises ProviderUnknownError."""
        if agent not in self._providers:
            place = self.layout.agent(agent)
            own = _models_json(place.agent_dir / MODELS_FILE) if place is not None else {}
            self._providers[agent], _ = read_providers(self.layout.config.raw or {}, own)
        return provider_named(self._providers[agent], name)

    def endpoint(self, agent: str, model: ModelRef, profile: Profile | None) -> Endpoint:
        """Where a call goes and with what.

        Raises:
            SecretUnavailableError: the credential, or a configured header, cannot be resolved here.
            ProviderUnknownError: the provider has no base URL.
        """
        config = self.provider(agent, model.provider)
        account: str | None = None
        if profile is None:
            kind, secret = "api_key", config.secret(self.sources)
        else:
            credential = load_credential(profile, self.sources, self.clock.now_ms())
            kind, secret, account = credential.type, credential.secret, credential.account
        base_url = config.url(self.sources, model.model)
        what = f"provider {config.id}"
        return Endpoint(
            provider=model.provider,
            api=config.api_of(model.model),
            base_url=base_url,
            secret=secret,
            credential_type=kind,
            headers=config.resolved_headers(self.sources, model.model),
            bearer=config.bearer,
            auth=auth_header(config.request, self.sources, what=what),
            compat=config.model(model.model).compat,
            network=network_for(base_url, config.request, self.sources, what=what),
            account=account,
        )

    async def ready(self, endpoint: Endpoint, client: ProviderClient) -> Endpoint:
        """The endpoint with what it needs first: a short-lived token, a signature.

        Raises ProviderError.
        """
        if endpoint.provider == COPILOT and endpoint.secret is not None:
            from clawtop.engine.providers import copilot

            now = self.clock.now_ms()
            key = endpoint.secret.reveal()
            token = self._copilot.get(key)
            if token is None or not token.is_fresh(now):
                get = copilot.exchanged if self.layout.semantics.copilot_exchanges else copilot.located
                token = self._copilot[key] = await get(endpoint, client.fetch, now)
            return copilot.with_token(endpoint, token, BUILTIN[COPILOT][0])
        if endpoint.api == BEDROCK and endpoint.secret is None and endpoint.auth is None:
            from clawtop.engine.providers.bedrock import SigV4, region_of

            region = region_of(endpoint.base_url, self.sources.environ)
            return replace(endpoint, sign=await asyncio.to_thread(SigV4, region, endpoint.provider))
        return endpoint

    def prompt_sources(self, turn: DrivenTurn, model: ModelRef) -> PromptSources:
        """What a model's prompt consists of, besides the conversation."""
        asked = turn.asked
        place = self.layout.agent(asked.agent)
        return PromptSources(
            provider=self.provider(asked.agent, model.provider),
            model=model,
            agent=asked.agent,
            config=self.layout.config.raw or {},
            settings=asked.settings,
            context=asked.context,
            system=asked.system,
            session_id=turn.session_id,
            default=place.models[0] if place is not None and place.models else None,
        )

    def origin(self, agent: str, model: ModelRef) -> str:
        """The model's address: models with the same one fail together. Never raises."""
        try:
            parts = urlsplit(self.provider(agent, model.provider).base_url_of(model.model))
            return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
        except (ClawtopError, ValueError):
            return f"provider:{model.provider}"

    def works_without_profile(self, agent: str, provider: str) -> bool:
        """Whether there is a key besides the profiles, or the provider needs none."""
        config = self.provider(agent, provider)
        return config.has_key(self.sources) or config.api == BEDROCK

    def context_window(self, agent: str, model: ModelRef) -> int | None:
        """How many tokens the model takes, where the configuration says so."""
        try:
            return self.provider(agent, model.provider).context_window_of(model.model)
        except ClawtopError:
            return None

    def max_tokens(self, agent: str, model: ModelRef) -> int | None:
        return self.provider(agent, model.provider).max_tokens_of(model.model)

    def timeouts(self, agent: str, model: ModelRef, left_s: float | None) -> Timeouts:
        """The limits of one call: the provider's own `timeoutSeconds`, and what is left of the turn."""
        own = self.provider(agent, model.provider).timeout_s
        ends = [seconds for seconds in (self.call_timeouts.total, own, left_s) if seconds is not None]
        return replace(self.call_timeouts, total=min(ends) if ends else None)

    @property
    def turn_limit_s(self) -> float | None:
        """`agents.defaults.timeoutSeconds`: how long OpenClaw lets a run last, in seconds."""
        return run_limit_s(self.layout.config.raw)

    @cached_property
    def _start_ticks(self) -> int | None:
        return own_start(self.processes)

    # --- the session ---------------------------------------------------------------------------------------------

    async def open_lock(self, turn: DrivenTurn) -> SessionLockController:
        """Take the session's write lock, for no longer than the turn lasts. Raises as `SessionLockController`."""
        limits = self.config.lock_limits
        left = turn.left_s()
        if left is not None:
            limits = replace(limits, acquire_ms=max(1, min(limits.acquire_ms, round(left * 1000), NEVER_MS)))
            if self.layout.storage.lock_names_hold:
                hold_ms = min(round(left * 1000) + HOLD_MARGIN_MS, NEVER_MS)
                limits = replace(limits, max_hold_ms=max(limits.max_hold_ms, hold_ms))
        return await SessionLockController(
            turn.session_file,
            generation=self.generation if self.layout.storage.session_files else None,
            limits=limits,
            clock=self.clock,
            processes=self.processes,
            environment=self.environment,
            start_ticks=self._start_ticks,
            on_break=lambda lock, result: _tell_broken(turn, lock, result),
        ).open()


def _tell_broken(turn: DrivenTurn, lock: LockFile, result: BreakResult) -> None:
    """Report a stale lock that this run removed, with the proof."""
    if result.verdict is None or result.outcome not in {BreakOutcome.REMOVED, BreakOutcome.DISPLACED}:
        return
    text = f"removed the session's stale lock of pid {owner_pid(lock)} ({proof_words(result.verdict.reasons)})"
    if result.outcome is BreakOutcome.DISPLACED:
        text += "; another lock appeared at the last moment and could not be put back: its owner works without it"
    data = {"pid": owner_pid(lock), "proof": list(result.verdict.reasons), "outcome": result.outcome.value}
    turn.teller.tell(EventKind.LOCK, text, session_file=lock.path, data=data)


def _holds_nothing(stats: UsageStats) -> bool:
    """Whether the store records no failure of an account, so that a success changes only the time of its last use."""
    held = stats.cooldown_until or stats.disabled_until or stats.blocked_until
    return not (held or stats.error_count or stats.failure_counts)


def _new_client(clock: Clock) -> ProviderClient:
    from clawtop.engine.providers.http import ProviderClient

    return ProviderClient(clock)


def _models_json(path: Path) -> Mapping[str, Any]:
    try:
        content, _ = read_bytes(path, MAX_MODELS_BYTES)
        document = parse(content, str(path))
    except (FileNotFoundError, UnreadableError):
        return {}
    return mapping(document)
