"""The blocking tree in ten situations, as an operator reads it; plus its guarantees."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from clawtop.core.health.judgement import judge
from clawtop.core.incident.blocking import Severity, blocking_tree, changes_at
from clawtop.core.incident.profile_links import ProfileLinks
from clawtop.core.model import (
    AccountRetry,
    Event,
    EventKind,
    GatewayState,
    LaneStats,
    LockKind,
    OpenClawVerdict,
    Problem,
    ProcessEvidence,
    PromptHolder,
    Session,
    Snapshot,
    Suspension,
    Verdict,
    VerdictKind,
    Waiter,
    Witness,
    WitnessKind,
    plain_text,
)
from clawtop.core.operations.loaded import as_gateway_knows
from clawtop.view.columns import Env, heading, placed, plain_row
from clawtop.view.facts import Facts
from clawtop.view.line import text_of
from clawtop.view.plain import table_title
from clawtop.view.tree_rows import tree_table
from tests.support.golden import assert_golden
from tests.support.worlds import (
    CALM,
    MINUTE,
    NOW,
    SECOND,
    agent,
    cooling,
    lock,
    profile,
    session,
    session_lock,
)

GOLDEN = Path(__file__).parent / "golden" / "tree"
WIDTH = 118

HEALTHY = (profile("anthropic:max-reef"), profile("anthropic:max-tide"))
RUNNING = session("main", "telegram:group:-100238841", 1, "running", lane="channel", started=12 * MINUTE, active=True)
OTHER = session("main", "main", 2, "running", lane="main", started=3 * MINUTE, active=True)

ALIVE = Verdict(VerdictKind.HELD, ("alive", "same-start"))
KEEP = OpenClawVerdict(False, (), False)
GATEWAY = ProcessEvidence(4711, True, 88123, argv=("node", "/usr/bin/openclaw", "gateway"))


def world(*sessions: Session, **parts: object) -> Snapshot:
    return replace(
        CALM,
        agents=(agent("main", HEALTHY),),
        sessions=sessions,
        locks=(),
        holders=(),
        lanes=(),
        warnings=(),
        **parts,  # type: ignore[arg-type]
    )


def holder(
    of: Session, run: str, lane: str, *waiters: Waiter, phase: str = "streaming", on: str | None = None
) -> PromptHolder:
    assert of.file is not None
    return PromptHolder(of.file, of.key, of.agent, lane, run, on, phase, NOW - 90 * SECOND, 5120, "clawtop", waiters)


def waiter(ticket: int, lane: str, run: str, seconds: int) -> Waiter:
    return Waiter(ticket, 5121, lane, run, NOW - seconds * SECOND, NOW + 30 * SECOND)


SITUATIONS = {
    "nothing-wrong": world(session("main", "main", 2)),
    "holder-alive": replace(
        world(RUNNING),
        holders=(holder(RUNNING, "run-reef", "channel", waiter(1, "heartbeat", "run-beat", 20)),),
        locks=(session_lock(RUNNING, 2 * SECOND, ALIVE, KEEP, pid=4711, owner=GATEWAY),),
    ),
    "holder-dead": replace(
        world(RUNNING),
        locks=(
            session_lock(
                RUNNING,
                12 * MINUTE,
                Verdict(VerdictKind.STALE, ("dead-pid",)),
                OpenClawVerdict(True, ("dead-pid",), True),
                pid=3120,
                owner=ProcessEvidence(3120, False),
            ),
        ),
    ),
    "holder-recycled": replace(
        world(RUNNING),
        locks=(
            session_lock(
                RUNNING,
                50 * MINUTE,
                Verdict(VerdictKind.STALE, ("recycled-pid",)),
                OpenClawVerdict(True, ("recycled-pid",), True),
                pid=812,
                owner=ProcessEvidence(812, True, argv=("sshd:", "[accepted]", "\x1b[2J")),
            ),
        ),
    ),
    "two-waiters": replace(
        world(RUNNING),
        holders=(
            holder(
                RUNNING,
                "run-reef",
                "channel",
                waiter(1, "heartbeat", "run-beat", 80),
                waiter(2, "cron", "run-cron", 12),
                phase="waiting-lane",
            ),
        ),
        lanes=(LaneStats("channel", "channel", "clawtop", active=4, limit=4, queued=3),),
    ),
    "pinned-to-cooling": replace(
        world(replace(RUNNING, active=False, status="failed", profile="anthropic:max-tide", profile_source="user")),
        agents=(agent("main", (HEALTHY[0], profile("anthropic:max-tide", cooling(4 * MINUTE)))),),
    ),
    "nothing-usable": replace(
        world(RUNNING),
        agents=(
            agent(
                "main",
                tuple(
                    profile(f"{name}:only", cooling(left * SECOND))
                    for name, left in (("anthropic", 22), ("openai", 251), ("google", 40))
                ),
            ),
        ),
    ),
    "takeover": replace(
        world(replace(RUNNING, status="failed", active=False)),
        events=(
            Event(
                NOW - 40 * SECOND,
                EventKind.TAKEOVER,
                "gateway-log",
                "session file changed while embedded prompt lock was released",
                session_key=RUNNING.key,
            ),
        ),
    ),
    "jammed-store-lock": replace(
        world(RUNNING),
        locks=(
            lock(
                "/home/claw/.openclaw/agents/main/agent/auth-profiles.json.lock",
                LockKind.AUTH,
                9 * MINUTE,
                Verdict(VerdictKind.UNKNOWN, ("unparsable",)),
                OpenClawVerdict(False, (), False),
                agent_id="main",
                problem="not JSON",
            ),
        ),
    ),
    "suspended-lane": world(
        replace(
            RUNNING,
            status="failed",
            active=False,
            suspension=Suspension("quota_exhausted", "suspended", NOW - 6 * MINUTE, NOW + 24 * MINUTE, "main"),
        )
    ),
    "ghost": world(
        replace(
            RUNNING,
            active=False,
            active_how="its gateway is gone",
            problems=(Problem("ghost", RUNNING.key, "running under a gateway that is gone"),),
        )
    ),
    "cycle": replace(
        world(RUNNING, OTHER),
        holders=(
            holder(RUNNING, "run-a", "channel", waiter(1, "nested", "run-b", 30)),
            holder(OTHER, "run-b", "main", waiter(1, "nested", "run-a", 25)),
        ),
    ),
}


def screen(snapshot: Snapshot) -> str:
    env = Env(Facts(snapshot, NOW), NOW)
    table = tree_table(env)
    columns = placed(table.columns, WIDTH)
    lines = [text_of(heading(columns, None, table_title(table))).rstrip()]
    lines += [plain_row(row, table, columns, env) for row in table.rows] or [text_of(table.empty)]
    return "\n".join(lines) + "\n"


def test_agents_and_sessions_are_called_as_people_call_them() -> None:
    """Whatever the sentence says around them, and though an agent's id stands in its words too."""
    exhausted = tuple(profile(f"{name}:only", cooling(22 * SECOND)) for name in ("anthropic", "openai", "google"))
    waits = replace(agent("no", exhausted), name="Northern Reef")
    shown = screen(replace(world(), agents=(agent("main", HEALTHY), waits)))
    assert "agent Northern Reef: no profile for its models is usable" in shown
    died = session("no", "main", 1, "running", started=MINUTE, problems=(Problem("ghost", "agent:no:main", "left"),))
    gone = replace(CALM.gateway, state=GatewayState.DEAD)
    shown = screen(replace(world(died), agents=(agent("main", HEALTHY), waits), gateway=gone))
    assert "Northern Reef: main died with it" in shown


@pytest.mark.parametrize("name", SITUATIONS)
def test_the_tree_of_a_situation(name: str) -> None:
    assert_golden(GOLDEN / f"{name}.txt", screen(SITUATIONS[name]))


def test_row_keys_are_unique_and_stable() -> None:
    for snapshot in SITUATIONS.values():
        table = tree_table(Env(Facts(snapshot, NOW), NOW))
        keys = [row.key for row in table.rows]
        assert len(keys) == len(set(keys))
        later = tree_table(Env(Facts(replace(snapshot, number=2, taken_at=NOW + 1000), NOW + 1000), NOW + 1000))
        assert [row.key for row in later.rows] == keys


def test_auto_pins_that_the_gateway_moves_away_from_block_nothing() -> None:
    tide = profile("anthropic:max-tide", cooling(4 * MINUTE))
    pinned = tuple(
        session("main", f"direct:{number}", number, "failed", pinned="anthropic:max-tide") for number in range(17)
    )
    assert blocking_tree(replace(world(*pinned), agents=(agent("main", (HEALTHY[0], tide)),)), NOW) == ()


def test_many_sessions_with_one_cause_are_one_tree() -> None:
    paused = Suspension("quota_exhausted", "suspended", NOW - 6 * MINUTE, NOW + 24 * MINUTE, "main")
    sessions = tuple(session("main", f"direct:{n}", n, suspension=paused) for n in range(30))
    trees = blocking_tree(world(*sessions), NOW)
    assert len(trees) == 1
    assert plain_text(trees[0].label).startswith("30 sessions (")
    assert trees[0].cause().id == "main"


def test_a_link_to_an_account_is_of_its_own_agent_and_model() -> None:
    links = ProfileLinks(as_gateway_knows(CALM, NOW), NOW)
    pins = (
        links.pinned(profile("anthropic:max", cooling(minutes * MINUTE), owner=owner), None, "user")
        for owner, minutes in (("main", 4), ("ops", 9))
    )
    assert [pin.until for pin in pins if pin is not None] == [NOW + 4 * MINUTE, NOW + 9 * MINUTE]
    scoped = profile("anthropic:max-tide", cooling(4 * MINUTE, model="small"))
    assert [links.why_not(scoped, model) is None for model in ("small", "large")] == [False, True]


def test_the_stuck_come_first() -> None:
    snapshot = replace(
        SITUATIONS["holder-dead"],
        sessions=(
            *SITUATIONS["suspended-lane"].sessions,
            replace(RUNNING, key="agent:main:other", session_id=RUNNING.session_id),
        ),
    )
    severities = [tree.severity for tree in blocking_tree(snapshot, NOW)]
    assert severities == sorted(severities, key=[Severity.STUCK, Severity.BLOCKED, Severity.BUSY].index)


def test_a_live_holder_without_waiters_is_no_news() -> None:
    assert blocking_tree(replace(world(RUNNING), holders=(holder(RUNNING, "run", "main"),)), NOW) == ()


def complaint(text: str, seconds_ago: int) -> Event:
    return Event(NOW - seconds_ago * SECOND, EventKind.STUCK, "gateway-log", text, session_key=RUNNING.key)


@pytest.mark.parametrize(
    ("started", "events", "label", "how"),
    [
        (7 * MINUTE, (), "OpenClaw is working: one turn for more than 6 min", "sessions.json"),
        (
            2 * MINUTE,
            (complaint("stalled session: processing, for 149s", 30),),
            "OpenClaw is working: stalled session: processing, for 149s",
            "gateway-log",
        ),
    ],
)
def test_a_turn_that_lasts_too_long_is_told(started: int, events: tuple[Event, ...], label: str, how: str) -> None:
    at_work = replace(RUNNING, started_at=NOW - started)
    (tree,) = blocking_tree(world(at_work), NOW, events)
    assert (tree.cause().label, tree.cause().how) == (label, how)
    assert (tree.since, tree.cause().remedy, tree.severity) == (NOW - started, "drain", Severity.BLOCKED)


@pytest.mark.parametrize(
    "events",
    [
        (),
        (complaint("stalled session: processing, for 149s", 400),),
        (complaint("long-running session: processing, for 149s", 10),),
        (complaint("stalled session: processing, for 300s", 61),),  # of the run before this one
    ],
)
def test_a_turn_that_does_its_work_is_no_news(events: tuple[Event, ...]) -> None:
    assert blocking_tree(world(replace(RUNNING, started_at=NOW - MINUTE)), NOW, events) == ()


@pytest.mark.parametrize("kind", [LockKind.AUTH, LockKind.SESSION])
@pytest.mark.parametrize(("age", "stuck"), [(0, False), (2 * SECOND, False), (2 * SECOND + 1, True), (MINUTE, True)])
def test_tree_and_headline_give_a_lock_without_an_owner_the_same_time_to_be_written(
    kind: LockKind, age: int, stuck: bool
) -> None:
    """Its file is there before its record is."""
    path = f"{OTHER.file}.lock" if kind is LockKind.SESSION else "/a/agents/main/agent/auth-profiles.json.lock"
    unknown = Verdict(VerdictKind.UNKNOWN, ("unparsable",))
    young = lock(
        path,
        kind,
        age,
        unknown,
        OpenClawVerdict(False, (), False),
        agent_id="main",
        session_id=OTHER.session_id if kind is LockKind.SESSION else None,
        problem="empty",
    )
    state = replace(world(replace(OTHER, status="done", active=False)), locks=(young,))
    assert any(tree.severity is Severity.STUCK for tree in blocking_tree(state, NOW)) is stuck
    assert ({"store-jammed", "blocked"} & {cause.code for cause in judge(state, NOW).causes} != set()) is stuck
    if not stuck:
        assert changes_at(state, NOW) == judge(state, NOW).changes_at == NOW - age + 2 * SECOND + 1


def test_when_time_alone_changes_the_tree() -> None:
    young = replace(RUNNING, started_at=NOW - 5 * MINUTE)
    assert changes_at(world(young), NOW) == NOW + MINUTE
    waits = replace(
        world(replace(RUNNING, started_at=None)),
        holders=(holder(RUNNING, "run", "main", waiter(1, "beat", "run-b", 1)),),
    )
    assert changes_at(waits, NOW) == NOW + SECOND
    assert changes_at(world(), NOW) is None


def test_a_run_that_asks_one_account_again_and_again_is_shown_and_forgotten_when_it_goes_on() -> None:
    told = Witness(WitnessKind.LOG, True, "", at=NOW - SECOND, retry=AccountRetry(3, 9, NOW + 6 * SECOND, "rate_limit"))
    silent = replace(OTHER, witnesses=(told,))
    ((node,),) = (tree.children for tree in blocking_tree(world(silent), NOW))
    assert node.label == "OpenClaw is retrying the same account, 3 of 9 after rate_limit"
    assert node.until == NOW + 6 * SECOND
    assert changes_at(world(silent), NOW) == NOW + 6 * SECOND
    for later, now in (
        (OTHER, NOW),
        (silent, NOW + 10 * MINUTE),
        (replace(silent, active=False, status="done"), NOW),
    ):
        said = [child.label for tree in blocking_tree(world(later), now) for child in tree.children]
        assert not [label for label in said if "retrying" in label]
