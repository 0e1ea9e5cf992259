"""The dashboard's drain key beside live gateways whose sessions are rows, in a real terminal: a hung run with a turn
behind it, a gateway killed and started again, and no token. The provider's own log says what is open.
"""

from __future__ import annotations

import json
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from tests.interop.gateways import KEY, START_S, GatewayLab, gateway_lab, reply_in
from tests.interop.openclaw_install import installed_or_skip
from tests.support.databases import agent_database, state_database
from tests.support.terminals import OVERVIEW, Terminal, clawtop, open_terminal

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]

VERSIONS = ("2026.8.2", "2026.9.6")
STORES_CHATS = "2026.9.6"
"""What is sent to a session that works stands in its databases; 2026.8.2 keeps it in memory."""

DRAIN_S = 120.0
COLUMNS, LINES = 140, 45
PROVEN = (
    "no turn of it is claimed",
    "no input waits for its turn",
    "the gateway says that no run is active in it",
)


@pytest.fixture(params=VERSIONS)
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GatewayLab]:
    with gateway_lab(installed_or_skip(request.param), tmp_path) as made:
        yield made


def test_a_hung_run_and_what_waits_behind_it_are_ended_and_the_end_is_proven(lab: GatewayLab) -> None:
    turns = [lab.hang(), lab.queue()]
    with dashboard(lab) as terminal:
        if lab.openclaw.version == STORES_CHATS:
            terminal.wait_for("1 waiting", START_S)
            drain(terminal, "1 input waits behind it (clawtop-", "an abort drops it")
        else:
            drain(terminal, "a chat has sent meanwhile waits behind it unseen", "an abort drops it")
        have_the_gateway_end_it(terminal)
        assert lab.provider.open == 1, "a preview ends nothing"
        terminal.send("y")
        terminal.wait_for("✓ drained", DRAIN_S)
        assert lab.provider.open == 0
        assert nothing_is_left(lab)
        terminal.wait_for(lambda t: all(proof in words(t) for proof in PROVEN))
        assert "the gateway says it is aborting" in words(terminal)
        assert [last_word(turn) for turn in turns] == [(130, "aborted"), (130, "aborted")]
        leave(terminal)


def test_what_a_restarted_gateway_resumes_is_never_called_released(lab: GatewayLab) -> None:
    lab.hang()
    lab.kill()
    lab.start()
    with dashboard(lab) as terminal:
        drain(terminal)
        have_the_gateway_end_it(terminal)
        terminal.send("y")
        terminal.wait_for(lambda t: "✓ drained" in t.text or "✗ NOT released" in t.text, DRAIN_S)
        released = "✓ drained" in terminal.text
        assert not (released and lab.provider.open), (words(terminal), lab.provider.log)
        assert released
        assert nothing_is_left(lab)
        leave(terminal)


def test_without_its_token_a_gateway_is_watched_and_what_to_type_is_told(lab: GatewayLab) -> None:
    lab.hang()
    with dashboard(lab, OPENCLAW_CONFIG_PATH=str(without_token(lab))) as terminal:
        drain(terminal, "OpenClaw's own command aborts it: openclaw gateway call sessions.abort --params")
        terminal.send("y")
        terminal.wait_for(lambda t: "▶ wait" in t.text)
        assert lab.provider.open == 1
        lab.provider.go.set()
        terminal.wait_for("✓ drained", DRAIN_S)
        assert lab.provider.open == 0
        assert nothing_is_left(lab)
        shown = words(terminal)
        assert PROVEN[0] in shown
        assert PROVEN[1] in shown
        assert PROVEN[2] not in shown
        leave(terminal)


# --- steps -----------------------------------------------------------------------------------------------------------


@contextmanager
def dashboard(lab: GatewayLab, **environment: str) -> Iterator[Terminal]:
    """The dashboard, armed, its cursor on the session."""
    argv = clawtop(*OVERVIEW, "--state-dir", str(lab.directory))
    env = {**lab.env, **environment}
    with open_terminal(argv, columns=COLUMNS, lines=LINES, environment=env) as terminal:
        terminal.wait_for(lambda t: lab.openclaw.version in t.lines[0] and "SESSIONS 1" in t.text, START_S)
        terminal.send("\t")
        terminal.wait_for(lambda t: any(line.startswith("▌main ") for line in t.lines))
        terminal.send("a")
        terminal.wait_for(lambda t: t.lines[0].endswith("ARMED"))
        yield terminal


def drain(terminal: Terminal, *seen: str) -> None:
    """Press the key and wait for the preview with all of this in it."""
    terminal.send("d")
    terminal.wait_for("Yes, drain it (y)", START_S)
    assert KEY in words(terminal)
    for text in seen:
        assert text in words(terminal)


def have_the_gateway_end_it(terminal: Terminal) -> None:
    """Press the key and wait until the preview can be agreed to: the gateway has said what runs.

    A terminal may have got the new lines and not yet the new buttons.
    """
    terminal.send("g")
    terminal.wait_for(lambda t: "the gateway ends its run" in words(t) and agreeable(t), START_S)


def agreeable(terminal: Terminal) -> bool:
    return "(y)" in words(terminal) and "the gateway is being asked" not in words(terminal)


def last_word(turn: subprocess.Popen[str]) -> tuple[int, str]:
    """The exit code of a driven turn, and what became of its reply."""
    out, _ = turn.communicate(timeout=START_S)
    return turn.returncode, reply_in(out)["type"]


def leave(terminal: Terminal) -> None:
    terminal.send("\x1b")
    terminal.wait_for(lambda t: "✓ drained" not in t.text)
    terminal.send("q")
    assert terminal.exit_code(60.0) == 0


def words(terminal: Terminal) -> str:
    """What the dialog says, wherever it breaks its lines."""
    framed = [line.split("│") for line in terminal.lines]
    return " ".join(" ".join(parts[1] for parts in framed if len(parts) > 2).split())


def nothing_is_left(lab: GatewayLab) -> bool:
    """By the gateway's own tables: no claim of the session, and no input that waits."""
    claims = (
        "SELECT count(*) FROM worker_session_placements WHERE session_key=? AND turn_claim_id IS NOT NULL",
        state_database(lab.directory),
    )
    inputs = (
        "SELECT count(*) FROM session_pending_inputs WHERE session_key=? AND state='queued' AND accepted_at>=?",
        agent_database(lab.directory),
    )
    began = lab.reader().read().gateway.started_at or 0
    with closing(sqlite3.connect(f"file:{claims[1]}?mode=ro", uri=True)) as state:
        claimed = state.execute(claims[0], (KEY,)).fetchone()[0]
    with closing(sqlite3.connect(f"file:{inputs[1]}?mode=ro", uri=True)) as agent:
        waiting = agent.execute(inputs[0], (KEY, began)).fetchone()[0]
    return (claimed, waiting) == (0, 0)


def without_token(lab: GatewayLab) -> Path:
    """A configuration for clawtop alone, whose token stands in a variable that nobody has set."""
    config = json.loads((lab.directory / "openclaw.json").read_text())
    config["gateway"]["auth"]["token"] = "${CLAWTOP_INTEROP_NO_SUCH_TOKEN}"
    path = lab.home / "without-token.json"
    path.write_text(json.dumps(config))
    return path
