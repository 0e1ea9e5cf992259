"""`clawtop drive --through gateway`: what is printed of a turn that a gateway runs, over a real socket."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from clawtop.cli.drive_gateway import turn_through
from tests.engine.test_gateway_client import KEY, layout, live
from tests.support.gateways import FakeGateway, serving

pytestmark = pytest.mark.anyio

PIECES = ("pong and", " its last", "-word")


async def driven(tmp_path: Path, *ends: Mapping[str, Any], timeout: float = 30.0) -> int:
    """Run a turn whose reply comes in `PIECES`, then these payloads; then the gateway falls silent, or closes."""
    fake = FakeGateway(methods=("chat.send",))

    def answer(params: Mapping[str, Any]) -> Any:
        run = {"runId": params["idempotencyKey"]}
        said = [{"state": "delta", "deltaText": piece} for piece in PIECES]
        frames = ({"type": "event", "event": "chat", "payload": {**run, **part}} for part in (*said, *ends))
        fake.after = tuple(map(json.dumps, frames))
        return {**run, "status": "started"}

    fake.answers["chat.send"] = answer
    args = argparse.Namespace(session=KEY, agent=None, json=True, timeout=timeout, no_gateway=False)
    reader = cast("Any", SimpleNamespace(layout=layout(tmp_path)))
    async with serving(fake):
        snapshot = cast("Any", SimpleNamespace(gateway=live(fake.port), sessions=()))
        return await turn_through(args, reader, snapshot, "hi")


@pytest.mark.parametrize(
    ("end", "code", "outcome"),
    [
        ({"state": "final"}, 0, "reply"),
        ({"state": "error", "errorMessage": "no model answered"}, 5, "failed"),
        ({"state": "aborted"}, 130, "cancelled"),
    ],
)
async def test_the_end_of_a_run_is_its_last_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], end: dict[str, Any], code: int, outcome: str
) -> None:
    assert await driven(tmp_path, end) == code
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (lines[-1]["kind"], lines[-1]["data"]) == ("run-end", {"outcome": outcome})
    deltas = [line["text"] for line in lines if line["type"] == "delta"]
    assert "".join(deltas) == "".join(PIECES), "the last word too"
    assert lines[-2]["type"] == {"reply": "final", "failed": "failed", "cancelled": "aborted"}[outcome]


async def test_a_turn_whose_time_is_over_may_go_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert await driven(tmp_path, timeout=0.5) == 6
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["type"] for line in lines[-2:]] == ["error", "event"]
    assert lines[-1]["data"] == {"outcome": "unknown"}
