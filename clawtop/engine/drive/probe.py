"""One tiny request to an account, to learn whether it is usable. Nothing is written unless marks are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from clawtop.core.failure.engine_reason import ENDPOINT_REASONS, engine_mark
from clawtop.core.model import FailureReason, ModelRef, Profile
from clawtop.engine.drive.resources import DriverResources
from clawtop.engine.providers.base import Finished, Message, Prompt, Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.errors import ClawtopError
from clawtop.store.provider.secrets import SecretUnavailableError
from clawtop.values import dataclass

QUESTION = "Reply with: ok"
MAX_TOKENS = 16
LIMITS = Timeouts(connect=10, first_byte=30, idle=30, total=45)
AT_ONCE = 8
WHOLE_S = 90.0
"""What an account has in all: its request, a token that must be exchanged first, and this machine's own disks."""


@dataclass(frozen=True, slots=True)
class Probed:
    """The result of probing one account.

    Attributes:
        state: usable, limited, dead (key rejected or no credit), unreachable (its endpoint), or unknown.
        until: ms since the epoch at which the provider says that it is usable again; None: it does not say.
        latency_ms: from the request to the first text, or to the error; None: nothing was sent.
        why: one line in the provider's words, redacted; empty when usable.
    """

    profile: str
    provider: str
    model: str | None
    state: str
    reason: str | None = None
    until: int | None = None
    latency_ms: int | None = None
    why: str = ""

    @property
    def is_usable(self) -> bool:
        return self.state == "usable"


async def probe(
    resources: DriverResources, agent: str, profiles: Sequence[Profile], *, mark: bool, model: ModelRef | None
) -> list[Probed]:
    """Ask each account, several at once; the answers in the order of `profiles`.

    Args:
        mark: mark the results in OpenClaw's store, as a turn would.
        model: the model to ask; None: the first of the account's provider that the agent uses.
    """
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(profile: Profile) -> Probed:
        async with slots:
            try:
                async with resources.clock.timeout(WHOLE_S):
                    return await _one(resources, agent, profile, mark=mark, model=model)
            except TimeoutError:
                why = f"no answer within {WHOLE_S:g} s: its credential, or a disk, does not answer"
                return Probed(profile.id, profile.provider, None, "unknown", why=why)

    return list(await asyncio.gather(*(one(profile) for profile in profiles)))


async def _one(
    resources: DriverResources, agent: str, profile: Profile, *, mark: bool, model: ModelRef | None
) -> Probed:
    asked = model or _model_for(resources, agent, profile.provider)
    if asked is None:
        why = "no model of this provider is configured; name one with --model"
        return Probed(profile.id, profile.provider, None, "unknown", why=why)
    began = resources.clock.monotonic()
    sent = False
    try:
        endpoint = resources.endpoint(agent, asked, profile)
        client = await resources.client()
        endpoint = await resources.ready(endpoint, client)
        client.prepare(endpoint)
        sent, began = True, resources.clock.monotonic()
        prompt = Prompt(asked.model, (Message("user", QUESTION),), max_tokens=MAX_TOKENS)
        first: float | None = None
        async for part in client.stream(endpoint, prompt, LIMITS):
            if not isinstance(part, Finished) and first is None:
                first = resources.clock.monotonic()
        latency = (first or resources.clock.monotonic()) - began
    except ProviderError as error:
        took = resources.clock.monotonic() - began
        return _failed(resources, profile, asked, error, took if sent else None, mark=mark)
    except (SecretUnavailableError, ClawtopError) as error:
        expired = isinstance(error, SecretUnavailableError) and error.expired
        state = "dead" if expired else "unknown"
        return Probed(profile.id, profile.provider, asked.model, state, why=error.title)
    if mark:
        resources.mark_account(profile, asked, None)
    return Probed(profile.id, profile.provider, asked.model, "usable", latency_ms=round(latency * 1000))


def _failed(
    resources: DriverResources,
    profile: Profile,
    model: ModelRef,
    error: ProviderError,
    took: float | None,
    *,
    mark: bool,
) -> Probed:
    reason = error.reason
    now = resources.clock.now_ms()
    if mark and (marked := engine_mark(reason, resources.layout.semantics.marking)) is not None:
        resources.mark_account(profile, model, marked, error.retry_after_ms)
    until = None if error.retry_after_ms is None else now + error.retry_after_ms
    return Probed(
        profile.id,
        profile.provider,
        model.model,
        _state(error),
        reason.value,
        until,
        None if took is None else round(took * 1000),
        error.message,
    )


def _state(error: ProviderError) -> str:
    if error.kind in {ErrorKind.EMPTY, ErrorKind.TOOLS}:
        return "usable"  # the account works; the answer's text does not matter
    match error.reason:
        case FailureReason.RATE_LIMIT | FailureReason.OVERLOADED:
            return "limited"
        case FailureReason.AUTH | FailureReason.AUTH_PERMANENT | FailureReason.BILLING:
            return "dead" if error.kind is not ErrorKind.CREDENTIAL else "unknown"
        case FailureReason.TIMEOUT:
            return "unreachable"
        case reason if reason in ENDPOINT_REASONS:
            return "unreachable"
    return "unknown"


def _model_for(resources: DriverResources, agent: str, provider: str) -> ModelRef | None:
    """The first model that the agent uses of a provider, else the first that the configuration describes."""
    places = [place for place in resources.layout.agents if place.id == agent] + list(resources.layout.agents)
    for place in places:
        for model in place.models:
            if model.provider == provider:
                return model
    try:
        described = resources.provider(agent, provider).models
    except ClawtopError:
        return None
    return next((ModelRef(provider, name) for name in described), None)
