"""A second gateway of one state directory: found by what it was started with, named only with certainty."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.model import Gateway, GatewayState, ProcessEvidence, Serving
from clawtop.store.gateway.rivals import EVERY_SECONDS, SETTLED_MS, RivalWatch
from tests.store.test_command_line import Machine
from tests.support.clocks import ManualClock
from tests.support.processes import alive

OWNER = 1_000
NOW = 1_795_000_000_000
TITLE = ("openclaw-gateway",)
LIVE = Gateway(GatewayState.LIVE, 6, 18789)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home directory with one state directory, as processes 6 to 8 see it too."""
    (tmp_path / "home" / ".openclaw").mkdir(parents=True)
    (tmp_path / "srv").mkdir()
    for pid in ("6", "7", "8"):
        (tmp_path / "proc" / pid).mkdir(parents=True)
        (tmp_path / "proc" / pid / "root").symlink_to("/")
    return tmp_path / "home"


def gateway(pid: int = 7, argv: tuple[str, ...] = TITLE, uid: int = OWNER, ago: int = SETTLED_MS) -> ProcessEvidence:
    return alive(pid, argv=argv, started_at=NOW - ago, uid=uid)


def watching(
    home: Path, *running: tuple[ProcessEvidence, Mapping[str, str]]
) -> tuple[RivalWatch, Machine, ManualClock]:
    machine, clock = Machine(*running), ManualClock(NOW)
    watch = RivalWatch(
        machine,
        clock,
        proc=home.parent / "proc",
        ports=lambda pid: (9_000 + pid, 9_100),
        ask=lambda port: Serving.ANSWERS if port == 9_007 else Serving.OTHER,
    )
    return watch, machine, clock


@pytest.mark.parametrize(
    ("process", "env", "found"),
    [
        pytest.param(gateway(), {"HOME": "{home}"}, True, id="by its home"),
        pytest.param(
            gateway(), {"HOME": "/", "OPENCLAW_STATE_DIR": "{home}/.openclaw"}, True, id="by the directory it names"
        ),
        pytest.param(gateway(), {"HOME": "{home}", "OPENCLAW_STATE_DIR": "{home}/../srv"}, False, id="another's"),
        pytest.param(gateway(), {}, False, id="its environment may not be seen"),
        pytest.param(gateway(uid=4_321), {"HOME": "{home}"}, False, id="another user's"),
        pytest.param(gateway(argv=("openclaw-agent",)), {"HOME": "{home}"}, False, id="no gateway"),
        pytest.param(gateway(argv=("openclaw",)), {"HOME": "{home}"}, True, id="5.20's title, and it answers"),
        pytest.param(gateway(8, argv=("openclaw",)), {"HOME": "{home}"}, False, id="5.20's title, and it does not"),
        pytest.param(gateway(ago=SETTLED_MS - 1), {"HOME": "{home}"}, False, id="just starting"),
    ],
)
def test_which_process_is_a_gateway_too(
    home: Path, process: ProcessEvidence, env: Mapping[str, str], found: bool
) -> None:
    watch, *_ = watching(home, (process, {name: value.format(home=home) for name, value in env.items()}))
    assert watch.look(LIVE, home / ".openclaw", OWNER, euid=OWNER) == ((7,) if found else ())


def test_the_gateway_of_the_lock_is_no_rival_of_its_own(home: Path) -> None:
    env = {"HOME": str(home)}
    watch, machine, _ = watching(home, (gateway(6), env), (gateway(7), env))
    assert watch.look(LIVE, home / ".openclaw", OWNER, euid=OWNER) == (7,)
    assert watch.look(replace(LIVE, pid=None), home / ".openclaw", OWNER, euid=OWNER) == (6, 7)
    assert machine.searches == 2


@pytest.mark.anyio
async def test_the_table_is_searched_now_and_then(home: Path) -> None:
    watch, machine, clock = watching(home)
    for _ in range(3):
        watch.look(LIVE, home / ".openclaw", OWNER, euid=OWNER)
    assert machine.searches == 1
    await clock.advance(EVERY_SECONDS)
    watch.look(LIVE, home / ".openclaw", OWNER, euid=OWNER)
    assert machine.searches == 2


@pytest.mark.parametrize("state", [GatewayState.DEAD, GatewayState.ABSENT, GatewayState.UNKNOWN])
def test_without_a_living_gateway_nobody_is_searched(home: Path, state: GatewayState) -> None:
    watch, machine, _ = watching(home, (gateway(), {"HOME": str(home)}))
    assert watch.look(Gateway(state, 6), home / ".openclaw", OWNER, euid=OWNER) == ()
    assert watch.look(LIVE, home / ".openclaw", OWNER, euid=OWNER + 1) == ()
    assert machine.searches == 0
