"""A turn that the gateway runs, told as it goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.engine.gateway.errors import GatewayCallError
from clawtop.engine.gateway.turn import WITHOUT_A_RUN, TurnEvent, TurnPhase, send_turn
from clawtop.engine.gateway.wire import WRITE
from tests.engine.test_gateway_client import KEY, door, live
from tests.support.gateways import FakeGateway, RefusingError, serving

pytestmark = pytest.mark.anyio

RUN = "run-1"


def chat(state: str, run_id: str = RUN, **more: Any) -> str:
    return json.dumps({"type": "event", "event": "chat", "payload": {"runId": run_id, "state": state, **more}})


def message(text: str) -> dict[str, Any]:
    return {"role": "assistant", "content": [{"type": "text", "text": text}, {"type": "image"}, 7]}


async def told(tmp_path: Path, *frames: str, refusal: str | None = None) -> list[TurnEvent]:
    """What is told of a turn whose gateway sends these frames after its answer."""

    def answer(params: Mapping[str, Any]) -> Any:
        if refusal is not None:
            raise RefusingError(refusal)
        return {"runId": params["idempotencyKey"], "status": "started"}

    fake = FakeGateway({"chat.send": answer}, methods=("chat.send",), after=frames)
    entry = door(tmp_path)
    async with serving(fake):
        turn = send_turn(entry, live(fake.port), KEY, "hi", run_id=RUN, clock=SystemClock())
        found = [item async for item in turn]
    (params,) = (params for method, params in fake.asked if method == "chat.send")
    assert params == {"sessionKey": KEY, "message": "hi", "idempotencyKey": RUN}
    assert fake.connects[0]["scopes"] == [WRITE]
    return found


async def test_a_reply_is_streamed_to_its_end(tmp_path: Path) -> None:
    found = await told(
        tmp_path,
        chat("status", phase="starting_model"),
        chat("delta", "another-run", deltaText="not ours"),
        chat("delta", deltaText="po"),
        chat("delta", message=message("pong")),
        chat("final", message=message("pong")),
        chat("delta", deltaText="after the end"),
    )
    assert [(item.kind, item.text) for item in found] == [
        (TurnPhase.STARTED, "started"),
        (TurnPhase.PHASE, "starting_model"),
        (TurnPhase.DELTA, "po"),
        (TurnPhase.DELTA, "ng"),
        (TurnPhase.FINAL, "pong"),
    ]


async def test_an_end_without_its_text_has_what_was_streamed(tmp_path: Path) -> None:
    found = await told(tmp_path, chat("delta", deltaText="pong"), chat("final"))
    assert found[-1] == TurnEvent(TurnPhase.FINAL, "pong", RUN)


BEHIND = {"sessionKey": KEY, "agentId": "main"}


async def test_a_message_that_is_dropped_with_the_run_before_it_is_no_empty_reply(tmp_path: Path) -> None:
    found = await told(
        tmp_path,
        chat("aborted", "elsewhere", sessionKey="agent:main:other", stopReason="rpc"),
        chat("status", "before", **BEHIND, phase="starting_model"),
        chat("aborted", "before", **BEHIND, stopReason="rpc"),
        chat("final", sessionKey=KEY, seq=1),
    )
    assert [(item.kind, item.text) for item in found[1:]] == [
        (TurnPhase.ABORTED, "dropped because the run it waited behind was aborted")
    ]


async def test_a_message_that_another_run_takes_in_is_answered_by_that_run(tmp_path: Path) -> None:
    found = await told(
        tmp_path,
        chat("delta", "before", **BEHIND, deltaText="pong"),
        chat("delta", "elsewhere", sessionKey="agent:main:other", deltaText="no"),
        chat("final", sessionKey=KEY, seq=1),
        chat("delta", "before", **BEHIND, deltaText="\n\npong"),
        chat("final", "elsewhere", sessionKey="agent:main:other", message=message("no")),
        chat("final", "before", **BEHIND, message=message("pong\n\npong")),
    )
    assert [(item.kind, item.text, item.run_id) for item in found[1:]] == [
        (TurnPhase.PHASE, "taken into run before, which answers it", RUN),
        (TurnPhase.DELTA, "\n\npong", RUN),
        (TurnPhase.FINAL, "pong\n\npong", RUN),
    ]


async def test_a_message_that_never_ran_is_no_empty_reply(tmp_path: Path) -> None:
    elsewhere = chat("aborted", "elsewhere", sessionKey="agent:main:other")
    (_, end) = await told(tmp_path, elsewhere, chat("final", sessionKey=KEY, seq=1))
    assert (end.kind, end.text) == (TurnPhase.FAILED, WITHOUT_A_RUN)


async def test_events_that_are_no_words_are_passed_over(tmp_path: Path) -> None:
    odd = json.dumps({"type": "event", "event": {"": {}}, "payload": {"runId": RUN, "state": "final"}})
    other = json.dumps(
        {"type": "event", "event": "chat", "payload": {"runId": "r2", "state": {"a": []}, "sessionKey": KEY}}
    )
    (_, *rest) = await told(tmp_path, odd, other, chat("status", phase="x"), chat("final", message=message("hi")))
    assert rest[-1] == TurnEvent(TurnPhase.FINAL, "hi", RUN)
    (*_, phase, end) = await told(tmp_path, other, chat("final"), chat("final", "r2", message=message("there")))
    assert (phase.kind, end) == (TurnPhase.PHASE, TurnEvent(TurnPhase.FINAL, "there", RUN))


@pytest.mark.parametrize(
    "frames", [(chat("status", phase="starting_model"), chat("final")), (chat("final", message=message("")),)]
)
async def test_a_turn_that_ran_and_says_nothing_has_an_empty_reply(tmp_path: Path, frames: tuple[str, ...]) -> None:
    assert (await told(tmp_path, *frames))[-1] == TurnEvent(TurnPhase.FINAL, "", RUN)


def fallback_step(outcome: str, run_id: str = RUN) -> str:
    data = {
        "phase": "fallback_step",
        "fallbackStepFinalOutcome": outcome,
        "fallbackStepFromFailureDetail": "429 Rate limit reached",
    }
    payload = {"runId": run_id, "stream": "lifecycle", "data": data}
    return json.dumps({"type": "event", "event": "agent", "payload": payload})


async def test_a_turn_whose_models_all_failed_ends_though_no_chat_event_says_so(tmp_path: Path) -> None:
    found = await told(
        tmp_path,
        fallback_step("next_fallback"),
        fallback_step("chain_exhausted", "another-run"),
        fallback_step("chain_exhausted"),
    )
    assert [(item.kind, item.text) for item in found[1:]] == [
        (TurnPhase.FAILED, "all models failed: 429 Rate limit reached")
    ]


@pytest.mark.parametrize(
    ("frame", "kind", "text"),
    [
        (chat("error", errorMessage="All models failed\x1b[1m"), TurnPhase.FAILED, "All models failed\\x1b[1m"),
        (chat("error"), TurnPhase.FAILED, "it does not say why"),
        (chat("aborted", stopReason="rpc"), TurnPhase.ABORTED, "rpc"),
    ],
)
async def test_other_ends_are_told(tmp_path: Path, frame: str, kind: TurnPhase, text: str) -> None:
    assert (await told(tmp_path, frame))[-1] == TurnEvent(kind, text, RUN)


async def test_a_refusal_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(GatewayCallError, match="no such agent"):
        await told(tmp_path, refusal="no such agent")


async def test_a_frame_that_is_none_ends_it_with_its_name(tmp_path: Path) -> None:
    with pytest.raises(GatewayCallError, match="not a JSON object"):
        await told(tmp_path, "{ not json")
