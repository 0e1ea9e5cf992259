"""Whole screens of incidents that operators meet: first lines, tables, tree, forecast and pins."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest

from clawtop.core.model import (
    DiskRoom,
    Gateway,
    GatewayHealth,
    GatewayState,
    OpenClawVerdict,
    Problem,
    ProcessCondition,
    ProcessEvidence,
    ProcessUsage,
    Serving,
    Session,
    Snapshot,
    Verdict,
    VerdictKind,
)
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.forecast_rows import forecast_table, stranded_table
from clawtop.view.headline import headline
from clawtop.view.incident_text import table_lines
from clawtop.view.line import text_of
from clawtop.view.plain import plain_lines
from clawtop.view.tree_rows import tree_table
from tests.support.golden import assert_golden
from tests.support.incidents import (
    AFTER_RECOVERY,
    CLEARED_AFTER_402,
    CRON_HUNG,
    LIVE,
    LOCAL_RUN,
    RESTARTING,
    failed,
    half_written_log,
)
from tests.support.worlds import (
    CALM,
    GATEWAY_PID,
    LOCKS,
    MINUTE,
    NOW,
    SECOND,
    agent,
    cooling,
    profile,
    session,
    session_lock,
)

GOLDEN = Path(__file__).parent / "golden" / "incidents"
FIT = (profile("anthropic:one"), profile("anthropic:two"), profile("openai:three"))
MODEL = "claude-opus-4-6"
GATEWAY = ProcessEvidence(GATEWAY_PID, True, argv=("openclaw",))
HELD = Verdict(VerdictKind.HELD, ("alive",))
KEEP = OpenClawVerdict(False, (), False)


def chats(count: int, pinned: str | None = None) -> tuple[Session, ...]:
    return tuple(
        session("main", f"telegram:direct:{4000 + n}", n, updated=n * MINUTE, pinned=pinned)
        for n in range(1, count + 1)
    )


RUNNING = session(
    "main",
    "telegram:group:-1002",
    3,
    "running",
    lane="channel",
    started=12 * MINUTE,
    active=True,
    how="its lock is held",
)
LEFT_RUNNING = replace(
    RUNNING,
    active=False,
    active_how="its gateway is gone",
    problems=(Problem("ghost", RUNNING.key, "stored as running, but its gateway is gone"),),
)
PAUSED = ProcessUsage(300 << 20, cpu=0.0, condition=ProcessCondition.PAUSED)
HALF_WRITTEN = Problem("bad-json", "/claw/openclaw.json", "is no JSON5: it ends too early (line 1)")
INCIDENTS: dict[str, tuple[str, Snapshot]] = {
    "outage-by-timeouts": (
        "FAILING",
        replace(
            CALM,
            agents=(agent("main", FIT),),
            sessions=tuple(failed(chat, 60 + 20 * n, "timeout") for n, chat in enumerate(chats(4))),
        ),
    ),
    "all-keys-cool-for-one-model": (
        "OUT",
        replace(
            CALM,
            agents=(
                agent(
                    "main",
                    (
                        profile("anthropic:one", cooling(40 * SECOND, model=MODEL)),
                        profile("anthropic:two", cooling(3 * MINUTE, model=MODEL)),
                    ),
                ),
            ),
        ),
    ),
    "gateway-frozen": ("FROZEN", replace(CALM, gateway=replace(LIVE, serving=Serving.SILENT))),
    "gateway-paused": ("PAUSED", replace(CALM, gateway=replace(LIVE, usage=PAUSED))),
    "gateway-an-hour-behind": ("CLOCKS", replace(CALM, gateway=replace(LIVE, clock_offset=-60 * MINUTE))),
    "disk-full": ("DISK", replace(CALM, room=DiskRoom(0, full=True))),
    "gateway-did-not-tell-in-time": (
        "BUSY",
        replace(CALM, gateway=replace(LIVE, serving=Serving.ANSWERS, health=GatewayHealth(NOW, live=True, late=True))),
    ),
    "configuration-half-written": (
        "BLIND",
        replace(CALM, config=replace(CALM.config, path="/claw/openclaw.json", unread=True), warnings=(HALF_WRITTEN,)),
    ),
    "gateway-stopped": (
        "STOPPED",
        replace(
            CALM,
            locks=(),
            config=replace(CALM.config, gateway_wanted=True),
            gateway=Gateway(GatewayState.ABSENT, None, 18789, how="nothing listens on its port"),
        ),
    ),
    "seventeen-automatic-pins": (
        "SERVING",
        replace(
            CALM,
            agents=(agent("main", (profile("anthropic:one", cooling(9 * MINUTE)), *FIT[1:])),),
            sessions=chats(17, pinned="anthropic:one"),
        ),
    ),
    "lock-of-a-former-life": (
        "BLOCKED",
        replace(
            CALM,
            sessions=(RUNNING,),
            gateway=replace(LIVE, started_at=NOW - 6 * MINUTE),
            locks=(
                replace(
                    session_lock(RUNNING, 12 * MINUTE, HELD, KEEP, pid=GATEWAY_PID, owner=GATEWAY),
                    leaked=f"process {GATEWAY_PID} took it before the gateway restarted inside it",
                ),
            ),
        ),
    ),
    "gateway-in-a-container": (
        "OK",
        replace(
            CALM,
            gateway=replace(LIVE, how="it answers on its port; its process is not visible from here"),
            locks=(replace(LOCKS[4], verdict=Verdict(VerdictKind.UNKNOWN, ("other-namespace",))),),
        ),
    ),
    "gateway-restarting": ("STARTING", RESTARTING),
    "cleared-after-402": ("OUT", CLEARED_AFTER_402),
    "cron-hung": ("HUNG", CRON_HUNG),
    "local-run": ("OK", LOCAL_RUN),
    "run-after-recovery": ("FAILING", AFTER_RECOVERY),
    "gateway-killed": (
        "DEAD",
        replace(
            CALM,
            sessions=(LEFT_RUNNING,),
            locks=(),
            gateway=Gateway(GatewayState.DEAD, GATEWAY_PID, 18789, how="its process is gone"),
        ),
    ),
    "answers-again": (
        "OK",
        replace(CALM, agents=(agent("main", (profile("anthropic:one", cooling(-2 * SECOND)), *FIT[1:])),)),
    ),
}


def screen(snapshot: Snapshot) -> str:
    env = Env(Facts(snapshot, NOW), NOW, UTC)
    lines = plain_lines(snapshot, NOW, 120, zone=UTC)
    for table in (tree_table(env), forecast_table(env), stranded_table(env)):
        lines += ["", *(line.rstrip() for line in table_lines(table, 20))]
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("name", INCIDENTS)
def test_the_screen_of_an_incident(name: str) -> None:
    badge, snapshot = INCIDENTS[name]
    text = screen(snapshot)
    assert text.splitlines()[1].split()[0] == badge
    assert_golden(GOLDEN / f"{name}.txt", text)


def test_the_screen_beside_a_half_written_log(tmp_path: Path) -> None:
    """What stands whole in it is told, what does not is named, and everything else is as without it."""
    text = screen(half_written_log(tmp_path))
    assert text.splitlines()[1].split()[0] == "SILENT"
    assert_golden(GOLDEN / "half-written-log.txt", text)


def test_all_incidents_have_one_kind_of_calm() -> None:
    """Only what is well says so, and then nothing in the tree needs attention."""
    for name, (badge, snapshot) in INCIDENTS.items():
        env = Env(Facts(snapshot, NOW), NOW, UTC)
        calm = "nothing needs attention" in text_of(headline(env)[1])
        assert calm == (badge == "OK"), name
        assert not (calm and tree_table(env).rows), name
