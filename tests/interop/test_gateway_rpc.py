"""Beside live gateways of several versions: what they say, what ends a run, never "released" while one goes on.

The provider's own log says which requests are open; whatever clawtop says of a session is held against it.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.interop.gateways import KEY, START_S, GatewayLab, gateway_lab, reply_in
from tests.interop.openclaw_install import installed_or_skip

pytestmark = pytest.mark.interop

VERSIONS = ("2026.5.20", "2026.6.11", "2026.8.2", "2026.9.6")
SEES_ALL = frozenset({"2026.8.2", "2026.9.6"})
ABORT = ("--yes", "--gateway-abort", "--stop-after", "0", "--deadline", "120")


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayLab]:
    with gateway_lab(installed_or_skip(request.param), tmp_path) as made:
        yield made


every_version = pytest.mark.parametrize("lab", VERSIONS, indirect=True)


def told_true(lab: GatewayLab, answer: dict[str, Any]) -> None:
    """A release that was said was one, at the moment when it was said."""
    if answer["outcome"] == "drained":
        assert lab.provider.open_at(answer["steps"][-1]["at"]) == 0, (answer, lab.provider.log)


def reply(turn: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = turn.communicate(timeout=120)
    assert out, err
    return reply_in(out)


@every_version
def test_a_hung_run_is_seen_never_called_released_and_ended_by_the_gateway(lab: GatewayLab) -> None:
    turn = lab.hang()
    words = lab.words()
    assert words.problem is None
    assert words.version == lab.openclaw.version
    assert words.sessions[KEY].active is True

    left = lab.clawtop("drain", KEY, "--yes", "--deadline", "4", "--still", "0.5", codes=(2,))
    assert left["outcome"] == "not-released"
    assert lab.provider.open == 1
    assert left["remedies"][0].startswith("to end it: the gateway aborts it (sessions.abort")
    assert any("itself aborts a run that makes no progress for 6m00s" in line for line in left["remedies"])

    drained = lab.clawtop("drain", KEY, *ABORT)
    assert drained["outcome"] == "drained", drained
    told_true(lab, drained)
    assert lab.provider.open == 0
    assert "the gateway says that no run is active in it" in drained["proof"]
    assert reply(turn)["type"] == "aborted"
    assert lab.words().sessions[KEY].active is False
    no_pairing_is_left(lab)


@every_version
def test_a_queued_turn_is_named_and_the_session_is_released_only_without_it(lab: GatewayLab) -> None:
    lab.hang()
    lab.queue()
    drained = lab.clawtop("drain", KEY, *ABORT, codes=(0, 2))
    told_true(lab, drained)
    assert drained["outcome"] == "drained", drained
    assert lab.provider.open == 0


@every_version
def test_after_a_kill_and_a_restart_nothing_is_released_that_is_resumed(lab: GatewayLab) -> None:
    lab.hang()
    lab.kill()
    after_kill = lab.clawtop("drain", KEY, "--yes", "--deadline", "20", "--still", "1", codes=(0, 2))
    told_true(lab, after_kill)
    lab.start()
    restarted = lab.clawtop("drain", KEY, "--yes", "--deadline", "90", "--still", "1", codes=(0, 2))
    told_true(lab, restarted)
    if lab.provider.open:
        drained = lab.clawtop("drain", KEY, *ABORT, codes=(0, 2))
        told_true(lab, drained)


@every_version
def test_without_the_gateway_a_natural_release_is_proven_by_the_disk(lab: GatewayLab) -> None:
    turn = lab.hang()
    left = lab.clawtop("--no-gateway", "drain", KEY, *ABORT[:-1], "4", codes=(2,))
    assert left["offer"].startswith("openclaw gateway call sessions.abort --params ")
    assert lab.provider.open == 1
    lab.provider.go.set()
    drained = lab.clawtop("--no-gateway", "drain", KEY, "--yes", "--deadline", "120")
    told_true(lab, drained)
    assert drained["outcome"] == "drained"
    assert "the gateway says that no run is active in it" not in drained["proof"]
    assert reply(turn)["type"] == "final"


@pytest.mark.parametrize("lab", ["2026.3.28"], indirect=True)
def test_2026_3_grants_nothing_and_is_judged_by_its_lock(lab: GatewayLab) -> None:
    lab.wait(lambda: "operator.read" in (lab.words().problem or ""), START_S)
    talk = ("agent", "--session-id", "stuck", "--message", "ping", "--json", "--timeout", "110")
    lab.provider.go.set()
    lab.openclaw.run(talk, lab.env)  # its transcript is there only after its first turn, and no list names it
    lab.provider.go.clear()
    turn = subprocess.Popen(
        lab.openclaw.command(*talk), env=lab.env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        lab.wait(lambda: lab.provider.open > 0, START_S)
        row = next(row for row in lab.clawtop("status")["sessions"] if row["active"])
        name = row["key"] or row["file"]
        left = lab.clawtop("drain", name, *ABORT[:-1], "4", codes=(2,))
        assert "write lock is held by process" in left["held_by"][0]
        assert lab.provider.open == 1
        lab.provider.go.set()
        drained = lab.clawtop("drain", name, "--yes", "--deadline", "60")
        told_true(lab, drained)
        assert drained["outcome"] == "drained"
    finally:
        turn.kill()
        turn.wait()


def no_pairing_is_left(lab: GatewayLab) -> None:
    """Nobody was paired, and no request to be paired waits."""
    pending = [
        path for path in lab.directory.glob("devices/pending.json") if path.read_text().strip() not in ("", "{}")
    ]
    assert pending == []
