"""Who acts in the world: runs, an OpenClaw that asks nobody, recoveries, drains, and fate."""

from __future__ import annotations

from collections.abc import Generator

from clawtop.core.model import LockFile, PromptHolder, VerdictKind
from clawtop.core.session.admission import (
    Ask,
    Claimant,
    Close,
    Closing,
    Granted,
    Leave,
    OnContention,
    Reopen,
)
from clawtop.core.session.attention import AttentionKind, AttentionReport, WorkKind
from clawtop.core.session.recovery import RecoveryMove
from tests.sim.world import Acts, BrokenInvariantError, Process, Run, World

LOOK_MS = 200
ACQUIRE_MS = 4_000
SEEN_AGAIN_MS = 250

Waits = Generator[int, None, bool]
"""Part of an actor: yields delays, and says in the end whether it got what it wanted."""


def claimant(world: World, process: Process, name: str) -> Claimant:
    return Claimant(name, process.member, process.pid, "main", name, since=world.wall(process))


def wait_for_prompt(world: World, run: Run, wish: OnContention, patience: int) -> Waits:
    """As `engine.registry` waits: asks, sleeps until it is woken or looks by itself, leaves at its deadline."""
    who, deadline = claimant(world, run.process, run.name), world.now + patience
    while True:
        for effect in world.apply(run.process, run.session, Ask(who, wish)):
            if isinstance(effect, Granted) and effect.holding.who.token == run.name:
                world.begin(run)
                return True
        if wish is not OnContention.WAIT or world.now >= deadline:
            world.apply(run.process, run.session, Leave(run.name, "deadline"))
            world.count("contended")
            return False
        slept = 0
        while slept < LOOK_MS and run.name not in world.woken:
            nap = world.random.randrange(1, 60)
            slept += nap
            yield nap
        world.woken.discard(run.name)


def take_lock(world: World, run: Run) -> Waits:
    """As `engine.session_lock` waits: publish, or look at the owner, twice before his lock is broken."""
    deadline, seen, since = world.now + ACQUIRE_MS, None, 0
    while not world.publish(run):
        lock: LockFile = world.locks[run.session].file
        if seen is None or seen.identity != lock.identity:
            seen, since = lock, world.now
        elif world.now - since >= SEEN_AGAIN_MS and world.judge(run.process, lock).kind is VerdictKind.STALE:
            yield world.random.randrange(1, 5)
            world.break_stale(run.process, run.session, lock)
            seen = None
            continue
        if world.now >= deadline:
            world.count("lock timeout")
            return False
        yield world.random.randrange(2, 60)
    yield writing(world)
    return True


def writing(world: World) -> int:
    """How long somebody keeps the lock: a moment, or now and then as long as a slow disk takes."""
    return world.random.randrange(1, 5) if world.random.random() < 0.9 else world.random.randrange(50, 500)


def turn(world: World, run: Run) -> Acts:
    """A run under its holder: question, provider call without the lock, answer behind the fence."""
    lines = world.files.setdefault(run.session, [])
    if (yield from take_lock(world, run)):
        lines.append(f"{run.name} asks")
        fence = len(lines)
        world.release(run)
        yield world.random.randrange(5, 400)
        if (yield from take_lock(world, run)):
            if len(lines) == fence:
                lines.append(f"{run.name} answers")
                world.count("answered")
            else:
                world.count("takeover")
            yield writing(world)
            world.release(run)
    world.end(run)
    world.apply(run.process, run.session, Leave(run.name))


def ordinary_run(world: World, process: Process, session: str, name: str) -> Acts:
    """A lane's turn; one that may fork moves to a fresh session when the old one is taken."""
    wish = world.random.choice([OnContention.WAIT] * 4 + [OnContention.RAISE, OnContention.FORK])
    run = Run(name, process, session)
    got = yield from wait_for_prompt(world, run, wish, world.random.randrange(500, 8_000))
    if not got and wish is OnContention.FORK:
        run = Run(name, process, f"{session}+{name}")
        got = yield from wait_for_prompt(world, run, OnContention.RAISE, 0)
        if not got:
            raise BrokenInvariantError(f"seed {world.seed}: a fresh session has a holder")
    if got:
        yield world.random.randrange(1, 10)
        yield from turn(world, run)


def openclaw_run(world: World, process: Process, session: str, name: str) -> Acts:
    """Another program: it takes the lock for its lines and knows no registry."""
    run = Run(name, process, session)
    yield 1
    if (yield from take_lock(world, run)):
        world.files.setdefault(session, []).append(f"{name} meddles")
        yield writing(world)
        if not world.still_ours(run):
            raise BrokenInvariantError(f"seed {world.seed}: {name} lost its lock while it lives (7)")
        world.release(run)


STALLED = AttentionReport(AttentionKind.STALLED, "no progress", "stalled_agent_run", WorkKind.EMBEDDED_RUN, False, True)
STUCK = AttentionReport(AttentionKind.STUCK, "stale", "stale_session_state", None, True, False)


def recovery(world: World, process: Process, session: str, name: str) -> Acts:
    """As `engine.recoverer`: plan, ask the registry, start only under its grant."""
    report, first_seen, wait_ms = world.random.choice([STALLED, STUCK]), world.wall(process), 3_000
    began = world.now
    while True:
        held = holder_of(world, session)
        plan = world.rules.plan(report, held, world.wall(process), first_seen=first_seen, max_wait_ms=wait_ms)
        yield world.random.randrange(1, 30)
        fresh = plan.plan is RecoveryMove.FORK or world.now - began > wait_ms
        if plan.plan is RecoveryMove.NOTHING:
            return
        if fresh:
            session = f"{session}+{name}"
        run = Run(name, process, session)
        patience = 0 if fresh else max(0, began + wait_ms - world.now)
        if (yield from wait_for_prompt(world, run, OnContention.WAIT, patience)):
            world.recovered(run, fresh)
            yield from turn(world, run)
            return
        if fresh:
            raise BrokenInvariantError(f"seed {world.seed}: a fresh session has a holder")


def holder_of(world: World, session: str) -> PromptHolder | None:
    """What a reader of the records sees: a living holder."""
    state = world.records.get(session)
    if state is None or state.holder is None:
        return None
    who = state.holder.who
    if not any(process.member == who.member and process.alive for process in world.processes):
        return None
    return PromptHolder(session, None, None, who.lane, who.run_id, None, "streaming", who.since, who.pid, "clawtop")


def drain(world: World, process: Process, session: str, name: str) -> Acts:
    """Keeps a session closed for a while; sometimes it just goes away and lets its record expire."""
    now = world.wall(process)
    closing = Closing(name, process.member, process.pid, now, now + world.random.randrange(200, 3_000))
    world.apply(process, session, Close(closing))
    yield world.random.randrange(50, 3_500)
    if world.random.random() < 0.7:
        world.apply(process, session, Reopen(name))


def fate(world: World, sessions: list[str], quiet_after: int) -> Acts:
    """Kills, stops and starts processes and moves their clocks; leaves the world alone in the end."""
    number = 0
    while world.now < quiet_after:
        yield world.random.randrange(50, 700)
        number += 1
        living = [process for process in world.processes if process.alive]
        victim, chance = world.random.choice(living), world.random.random()
        if chance < 0.3 and len(living) > 1:
            world.crash(victim)
            start(world, world.start_process(), sessions, f"r{number}")
        elif chance < 0.6:
            victim.offset += world.random.choice([-1, 1]) * world.random.choice([100, 5_000, 3_600_000])
            world.tell(f"the clock of {victim.member} jumps to {victim.offset}")
        else:
            victim.ready_at = world.now + world.random.randrange(10, 3_000)


CAST = [ordinary_run] * 6 + [openclaw_run, recovery, recovery, drain]


def start(world: World, process: Process, sessions: list[str], name: str) -> None:
    """Some work for a process."""
    for number in range(world.random.randrange(2, 5)):
        actor = world.random.choice(CAST)
        label = f"{actor.__name__}-{name}-{number}"
        world.spawn(actor(world, process, world.random.choice(sessions), label), process)
