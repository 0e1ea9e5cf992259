"""The chain over models and what it asks of the engine: cooling candidates, probes and their throttle, its steps."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from clawtop.core.failover.fallback import Consult, Cooling
from clawtop.core.model import EventKind, FailureReason
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.provider import rate_limited
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE, Lab, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive.candidates import Candidates, ProbeBook
from clawtop.engine.drive.chain import AllModelsFailedError, failure_of
from clawtop.engine.drive.turn import TurnTimeoutError
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.errors import OperationFailedError, SessionWriteLockTimeoutError
from clawtop.store.provider.model_config import ProviderUnknownError

pytestmark = pytest.mark.anyio
CORAL = ("coral:clawdia", "coral:larry")


def cool(lab: Lab, *profiles: str, reason: str = "rate_limit", for_ms: int = 60_000) -> None:
    """Have profiles cool (or, for billing, be disabled) on the disk."""
    path = lab.world.agent_dir() / "auth-state.json"
    state = json.loads(path.read_text())
    now = lab.clock.now_ms()
    kind = "disabled" if reason in {"billing", "auth_permanent"} else "cooldown"
    for profile in profiles:
        state["usageStats"][profile] |= {
            f"{kind}Until": now + for_ms,
            f"{kind}Reason": reason,
            "errorCount": 1,
            "failureCounts": {reason: 1},
            "lastFailureAt": now,
        }
    path.write_text(json.dumps(state))


def models_asked(lab: Lab) -> list[str]:
    return [request.model for request in lab.provider.requests]


@pytest.mark.parametrize("reason", ["billing", "auth", "auth_permanent"])
async def test_a_provider_that_will_not_recover_soon_is_passed_over(tmp_path: Path, reason: str) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        cool(lab, *CORAL, reason=reason, for_ms=5 * 3_600_000)
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert answer.model == SECONDARY
        assert models_asked(lab) == [SECONDARY.model]
        (step,) = lab.of(EventKind.FALLBACK)
        assert (step.data["from"], step.data["to"]) == (str(PRIMARY), str(SECONDARY))
        assert step.reason == reason


async def test_a_cooling_primary_is_probed_once_and_then_left_alone_for_a_while(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        for profile in CORAL:
            lab.provider.standing[lab.key(profile)] = rate_limited()
        cool(lab, *CORAL)
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "one")).result()
        assert models_asked(lab) == [PRIMARY.model, SECONDARY.model], "one probe, of one profile"
        await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "two")).result()
        assert models_asked(lab)[2:] == [SECONDARY.model], "the throttle is closed"


async def test_a_probe_that_succeeds_brings_the_primary_back(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        cool(lab, *CORAL)
        answer = await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "one")).result()
        await lab.driver.resources.marks.drained()
        assert answer.model == PRIMARY
        stats = json.loads((lab.world.agent_dir() / "auth-state.json").read_text())["usageStats"]
        assert "cooldownUntil" not in stats[answer.profile or ""]


async def test_marks_that_are_on_their_way_make_a_candidate_cool(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        run = lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "warm"))
        await run.result()
        assert run.turn is not None
        resources = lab.driver.resources
        for profile in resources.auth("main").profiles:
            if profile.id in CORAL:
                resources.mark(run.turn, profile, PRIMARY, FailureReason.RATE_LIMIT)
        host = Candidates(resources, run.turn, ProbeBook())
        answer = host.consult(Consult(PRIMARY, is_primary=True, requested_model=True, has_fallbacks=True))
        assert isinstance(answer, Cooling)
        assert answer.decision.reason == "rate_limit"


async def test_nothing_is_usable_and_the_summary_says_when_something_will_be(tmp_path: Path) -> None:
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        cool(lab, *CORAL, reason="billing", for_ms=7_000_000)
        cool(lab, "kelp:barnaby", reason="auth", for_ms=900_000)
        with pytest.raises(AllModelsFailedError) as caught:
            await lab.driver.drive(TurnRequest(LIGHTHOUSE.key, "hello")).result()
        assert models_asked(lab) == []
        soonest = caught.value.summary.soonest_recovery
        assert soonest is not None
        assert 800_000 < soonest - lab.clock.now_ms() <= 900_000
        assert len(caught.value.summary.attempts) == 2


@pytest.mark.parametrize(
    ("error", "kind", "reason"),
    [
        (ProviderError(ErrorKind.HTTP, "429 x", provider="p", status=429), "provider", "rate_limit"),
        (ProviderError(ErrorKind.TIMEOUT, "idle", provider="p", phase="idle"), "provider", "timeout"),
        (ProviderError(ErrorKind.EMPTY, "nothing", provider="p"), "provider", "empty_response"),
        (ProviderError(ErrorKind.CREDENTIAL, "gone", provider="p"), "provider", "auth"),
        (ProviderError(ErrorKind.PROTOCOL, "not a stream", provider="p"), "provider", "server_error"),
        (TurnTimeoutError("over"), "lane-timeout", None),
        (SessionWriteLockTimeoutError("locked"), "coordination", None),
        (OperationFailedError("disk full"), "no-harness", None),
        (ProviderUnknownError("no base URL"), "unknown", None),
        (ValueError("a bug"), "unknown", None),
    ],
)
def test_every_error_of_the_engine_has_its_kind(error: Exception, kind: str, reason: str | None) -> None:
    failure = failure_of(error, PRIMARY)
    assert (failure.kind, failure.reason) == (kind, reason)
