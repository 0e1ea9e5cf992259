"""Operations: exactly the planned change or none, journaled, with a receipt that says what the gateway made of it."""

from __future__ import annotations

import asyncio
import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.generations import SEMANTICS, Chosen
from clawtop.core.model import EventKind, Gateway, GatewayState, ProcessEvidence, Snapshot
from clawtop.core.operations.clear import clear_profile, clear_provider
from clawtop.core.operations.edit import AuthState
from clawtop.core.operations.order import reset_order, rotate
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Sight
from clawtop.core.operations.undo import undo
from clawtop.core.operations.unlock import unlock
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.engine.operations import changes, execute
from clawtop.engine.operations.execute import OperationRequest, Operations, machine_for
from clawtop.errors import LockNotObtainedError, OperationFailedError, RefusedError
from clawtop.store import atomic
from clawtop.store.auth.machine import Machine
from clawtop.store.locks.openclaw import release
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.own.journal import Journal
from clawtop.store.place.layout import Layout
from clawtop.store.place.locating import locate
from clawtop.store.snapshot import SnapshotReader
from tests.support.lock_files import publish
from tests.support.stores import COOLING, auth_state, make_state_dir, tree

pytestmark = pytest.mark.anyio

LIVE = Gateway(GatewayState.LIVE, pid=4711)
DEAD_PID = 2**22 - 7


class Table:
    """Everybody is dead, but for those named."""

    def __init__(self, *alive: int) -> None:
        self.alive = alive

    def look(self, pid: int) -> ProcessEvidence:
        return ProcessEvidence(pid, alive=pid in self.alive, argv=("node", "openclaw") if pid in self.alive else ())


class World:
    """A state directory with its reader, journal and operations."""

    def __init__(self, root: Path, generation: str = "B", table: ProcessTable | None = None) -> None:
        self.root = root
        self.generation = generation
        self.directory = make_state_dir(root, generation)
        self.table = table or Table()
        self.reader = SnapshotReader(
            state_dir=self.directory,
            env={"TMPDIR": str(root)},
            home=root,
            clock=SystemClock(),
            processes=self.table,
            port_probe=None,
        )
        self.journal = Journal(self.directory)
        self.reloads: list[Gateway] = []
        self.refusal: GatewayCallError | None = None

    @property
    def operations(self) -> Operations:
        def machine(layout: Layout, gateway: Gateway) -> Machine:
            return machine_for(layout, gateway, Machine(processes=self.table))

        return Operations(self.layout, journal=self.journal, machine=machine, caller=self)  # type: ignore[arg-type]

    async def reload(self, gateway: Gateway) -> None:
        self.reloads.append(gateway)
        if self.refusal is not None:
            raise self.refusal

    def layout(self) -> Layout:
        return locate(self.directory, env={"TMPDIR": str(self.root)}, home=self.root)

    def read(self) -> Snapshot:
        return self.reader.read()

    def stats(self, profile: str = "fakeai:one") -> dict[str, Any]:
        found: dict[str, Any] = auth_state(self.directory, generation=self.generation)["usageStats"][profile]
        return found


@pytest.fixture(params=["A", "B"])
def both(tmp_path: Path, request: pytest.FixtureRequest) -> World:
    return World(tmp_path, request.param)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


async def test_a_clear_is_done_journaled_and_can_be_undone(both: World) -> None:
    before = auth_state(both.directory, generation=both.generation)
    receipt = await both.operations.execute(
        clear_profile(both.read(), "fakeai:one"), OperationRequest(reason="it is 3 am")
    )
    assert both.stats() == {"lastUsed": COOLING["lastUsed"], "errorCount": 0, "lastFailureAt": COOLING["lastFailureAt"]}
    assert receipt.exit_code == 0
    assert receipt.undo == receipt.id
    name = {"A": "auth-profiles.json", "B": "auth-state.json"}[both.generation]
    assert receipt.file == receipt.to_json()["file"] == str(both.directory / "agents/main/agent" / name)

    intent, result = both.journal.tail()
    assert intent.data["file"] == receipt.file
    assert (intent.kind, result.kind) == (EventKind.INTENT, EventKind.OPERATION)
    assert intent.data["reason"] == result.data["reason"] == "it is 3 am"
    assert intent.data["id"] == result.data["id"] == receipt.id
    assert "sk-fake" not in both.journal.path.read_text()

    back = undo(both.read(), both.journal.tail())
    await both.operations.execute(back)
    assert auth_state(both.directory, generation=both.generation) == before
    with pytest.raises(RefusedError, match="nothing to undo"):
        undo(both.read(), both.journal.tail())


async def test_nothing_is_changed_where_a_later_store_of_the_plan_may_not_be(world: World) -> None:
    main, ops = (world.directory / "agents" / agent for agent in ("main", "ops"))
    shutil.copytree(main, ops, dirs_exist_ok=True)
    plan = clear_profile(world.read(), "fakeai:one", agent="main")
    (step,) = plan.steps
    (ops / "agent/auth-profiles.json").unlink()
    before = world.stats()
    with pytest.raises(RefusedError, match=r"ops/agent/auth-profiles\.json does not exist"):
        await world.operations.execute(replace(plan, steps=(step, replace(step, owner="ops"))))
    assert world.stats() == before
    assert world.journal.tail() == ()


async def test_a_provider_is_cleared_under_one_hold(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    edit = world.directory / "agents/main/agent/auth-state.json"
    content = json.loads(edit.read_text())
    content["usageStats"]["fakeai:three"] = {"disabledUntil": 4_000_000_000_000, "disabledReason": "billing"}
    edit.write_text(json.dumps(content))
    receipt = await world.operations.execute(clear_provider(world.read(), "fakeai"))
    assert {change.key for change in receipt.changes} == {"fakeai:one", "fakeai:three"}
    assert "cooldownUntil" not in world.stats()
    assert world.stats("fakeai:three") == {"errorCount": 0}


async def test_rotate_and_reset_write_and_remove_the_order(both: World) -> None:
    await both.operations.execute(rotate(both.read(), "fakeai"))
    first = auth_state(both.directory, generation=both.generation)["order"]["fakeai"]
    assert first == ["fakeai:three", "fakeai:one", "fakeai:two"]
    await both.operations.execute(rotate(both.read(), "fakeai"))
    assert auth_state(both.directory, generation=both.generation)["order"] == {
        "fakeai": ["fakeai:two", "fakeai:one", "fakeai:three"]
    }
    await both.operations.execute(reset_order(both.read(), "fakeai"))
    assert "order" not in auth_state(both.directory, generation=both.generation)


async def test_nothing_to_do_writes_nothing_anywhere(world: World) -> None:
    before = tree(world.directory)
    receipt = await world.operations.execute(clear_profile(world.read(), "fakeai:two"))
    assert (receipt.sight_how, receipt.notes) == ("nothing to do", ())
    assert receipt.undo is None
    assert tree(world.directory) == before


async def test_a_plan_is_pinned_to_what_it_showed(world: World) -> None:
    plan = clear_profile(world.read(), "fakeai:one")
    path = world.directory / "agents/main/agent/auth-state.json"
    content = json.loads(path.read_text())
    content["usageStats"]["fakeai:one"]["errorCount"] = 2
    path.write_text(json.dumps(content))
    before = path.read_bytes()
    with pytest.raises(RefusedError, match=r"changed since the preview: usageStats.fakeai:one.errorCount is now 2"):
        await world.operations.execute(plan)
    assert path.read_bytes() == before
    assert [event.kind for event in world.journal.tail()] == [EventKind.INTENT, EventKind.OPERATION]
    assert world.journal.tail()[-1].data["outcome"] == "failed"


async def test_two_operators_at_once_one_does_it_the_other_is_told(world: World) -> None:
    plans = [clear_profile(world.read(), "fakeai:one") for _ in range(2)]
    done = await asyncio.gather(*(world.operations.execute(plan) for plan in plans), return_exceptions=True)
    assert sorted(type(item).__name__ for item in done) == ["Receipt", "RefusedError"]
    assert world.stats()["errorCount"] == 0


async def test_two_operators_on_different_profiles_both_succeed(world: World) -> None:
    path = world.directory / "agents/main/agent/auth-state.json"
    content = json.loads(path.read_text())
    content["usageStats"]["fakeai:three"] = dict(COOLING)
    path.write_text(json.dumps(content))
    plans = [clear_profile(world.read(), id_) for id_ in ("fakeai:one", "fakeai:three")]
    receipts = await asyncio.gather(*(world.operations.execute(plan) for plan in plans))
    assert len({receipt.id for receipt in receipts}) == 2
    assert "cooldownUntil" not in world.stats()
    assert "cooldownUntil" not in world.stats("fakeai:three")


async def test_an_owner_change_is_refused_before_anything_is_created(world: World) -> None:
    plan = clear_profile(world.read(), "fakeai:one")
    before = tree(world.directory)

    def machine(layout: Layout, gateway: Gateway) -> Machine:
        return Machine(euid=lambda: 54321)

    other = Operations(world.layout, journal=world.journal, machine=machine)
    with pytest.raises(RefusedError, match="belongs to"):
        await other.execute(plan)
    assert tree(world.directory) == before


async def test_a_held_lock_names_its_holder_and_the_refusal_is_journaled(tmp_path: Path) -> None:
    world = World(tmp_path, table=Table(77))
    plan = clear_profile(world.read(), "fakeai:one")
    path = str(world.directory / "agents/main/agent/auth-profiles.json.lock")
    assert publish(path, {"pid": 77, "createdAt": "2026-05-20T12:00:00.000Z"})
    with pytest.raises(LockNotObtainedError, match=r"pid 77 \(node openclaw\)"):
        await world.operations.execute(plan, OperationRequest(wait_s=0.05))
    assert world.stats() == COOLING
    assert "pid 77" in world.journal.tail()[-1].data["why"]


async def test_what_cannot_be_journaled_is_not_done(world: World) -> None:
    (world.directory / "clawtop").write_text("not a directory")
    with pytest.raises(OperationFailedError, match="journal"):
        await world.operations.execute(clear_profile(world.read(), "fakeai:one"))
    assert world.stats() == COOLING


async def test_cancelled_at_the_write_it_is_still_journaled_and_undoable(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, may_end = threading.Event(), threading.Event()
    plan = clear_profile(world.read(), "fakeai:one")
    (step,) = plan.steps

    def slow(state: AuthState) -> AuthState:
        began.set()
        may_end.wait()
        return step.edit(state)

    task = asyncio.create_task(world.operations.execute(replace(plan, steps=(replace(step, edit=slow),))))
    await asyncio.to_thread(began.wait)
    task.cancel()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert "cooldownUntil" not in world.stats()
    assert [event.kind for event in world.journal.tail()] == [EventKind.INTENT, EventKind.OPERATION]
    await world.operations.execute(undo(world.read(), world.journal.tail()))
    assert world.stats() == COOLING


async def test_cancelled_while_waiting_nothing_happens(tmp_path: Path) -> None:
    world = World(tmp_path, table=Table(77))
    plan = clear_profile(world.read(), "fakeai:one")
    path = str(world.directory / "agents/main/agent/auth-profiles.json.lock")
    theirs = publish(path, {"pid": 77, "createdAt": "2026-05-20T12:00:00.000Z"})
    told = asyncio.Event()
    task = asyncio.create_task(world.operations.execute(plan, OperationRequest(on_wait=lambda _: told.set())))
    await told.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert world.stats() == COOLING
    assert theirs is not None
    assert release(theirs)
    assert [event.kind for event in world.journal.tail()] == [EventKind.INTENT]


# --- the gateway -------------------------------------------------------------------------------------------------


def gateway_writes(world: World, change: dict[str, Any]) -> None:
    """The store's file replaced, as a gateway does it."""
    path = (
        world.directory / "agents/main/agent" / ("auth-profiles.json" if world.generation == "A" else "auth-state.json")
    )
    content = json.loads(path.read_text())
    for profile, fields in change.items():
        content["usageStats"].setdefault(profile, {}).update(fields)
    fresh = path.with_suffix(".gw.tmp")
    fresh.write_text(json.dumps(content, indent=2))
    fresh.rename(path)


@pytest.fixture
def on_poll(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What happens while the watch sleeps, one action a sleep."""
    actions: list[Any] = []

    async def sleep(self: SystemClock, seconds: float) -> None:
        if actions:
            actions.pop(0)()
        await asyncio.sleep(0)

    monkeypatch.setattr(SystemClock, "sleep", sleep)
    return actions


async def watched(world: World, *, verify: float = 5.0, all_out: bool = False, **request: Any) -> Any:
    plan = replace(clear_profile(world.read(), "fakeai:one"), all_out=all_out)
    return await world.operations.execute(plan, OperationRequest(verify_s=verify, gateway=LIVE, **request))


async def test_without_a_gateway_nothing_is_waited_for(world: World, on_poll: list[Any]) -> None:
    on_poll.append(pytest.fail)
    plan = clear_profile(world.read(), "fakeai:one")
    receipt = await world.operations.execute(plan, OperationRequest(gateway=Gateway(GatewayState.DEAD)))
    assert receipt.sight is Sight.NO_GATEWAY
    assert len(on_poll) == 1


async def test_a_later_write_that_keeps_the_change_shows_that_it_was_seen(world: World, on_poll: list[Any]) -> None:
    on_poll.append(lambda: gateway_writes(world, {"fakeai:two": {"lastUsed": 4}}))
    receipt = await watched(world)
    assert receipt.sight is Sight.SEEN
    assert receipt.sight_how == "OpenClaw wrote the store after this change and kept it"
    assert receipt.exit_code == 0
    assert world.journal.tail()[-1].kind is EventKind.GATEWAY


async def test_values_that_come_back_are_reverted(both: World, on_poll: list[Any]) -> None:
    on_poll.append(lambda: gateway_writes(both, {"fakeai:one": COOLING}))
    receipt = await watched(both)
    assert receipt.sight is Sight.REVERTED
    assert receipt.exit_code == 4
    assert "again" in receipt.sight_how
    assert both.journal.tail()[-1].kind is EventKind.REVERTED


async def test_newer_values_show_that_the_profile_is_in_use(world: World, on_poll: list[Any]) -> None:
    fields = {"errorCount": 3, "cooldownUntil": 4_100_000_000_000}
    on_poll.append(lambda: gateway_writes(world, {"fakeai:one": fields}))
    receipt = await watched(world)
    assert receipt.sight is Sight.SEEN
    assert "OpenClaw has used it since" in receipt.sight_how


async def test_a_sight_that_comes_late_makes_a_new_receipt_and_is_journaled_once(world: World) -> None:
    operations = world.operations
    plan = clear_profile(world.read(), "fakeai:one")
    receipt = await operations.execute(plan, OperationRequest(verify_s=0, gateway=LIVE))
    assert receipt.sight is Sight.NOT_YET

    def state(started_at: int) -> Snapshot:
        gateway = replace(LIVE, started_at=started_at)
        return replace(world.read(), gateway=gateway, events=tuple(world.journal.tail(50)))

    assert await operations.look_again(state(receipt.at - 1)) == ()
    (late,) = await operations.look_again(state(receipt.at + 1))
    assert (late.id, late.sight) == (receipt.id, Sight.SEEN)
    assert await operations.look_again(state(receipt.at + 1)) == ()
    told = [event for event in world.journal.tail(50) if event.kind is EventKind.GATEWAY]
    assert [event.data["id"] for event in told] == [receipt.id]


async def test_another_clawtop_is_not_taken_for_the_gateway(world: World, on_poll: list[Any]) -> None:
    def other() -> None:
        async def rotate_too() -> None:
            await world.operations.execute(rotate(world.read(), "fakeai"))

        thread = threading.Thread(target=lambda: asyncio.run(rotate_too()))
        thread.start()
        thread.join()

    on_poll.append(other)
    receipt = await watched(world, verify=0.3)
    assert receipt.sight is Sight.NOT_YET


async def test_no_sign_is_not_yet_seen_and_what_loads_it_is_said(both: World) -> None:
    receipt = await watched(both, verify=0)
    assert receipt.sight is Sight.NOT_YET
    assert both.reloads == []
    if both.generation == "A":
        assert "the gateway loads it at its next restart" in receipt.sight_how
        assert receipt.follow_up == ()
    else:
        assert "the gateway loads it when it next writes a mark of its own" in receipt.sight_how
        assert receipt.follow_up == ("openclaw", "secrets", "reload")


async def test_2026_3_publishes_nothing_so_its_writes_prove_nothing(tmp_path: Path, on_poll: list[Any]) -> None:
    world = World(tmp_path, "A")
    on_poll.append(lambda: gateway_writes(world, {"fakeai:two": {"lastUsed": 4}}))
    assert (await watched(world, verify=0.2)).sight is Sight.NOT_YET


async def test_a_reload_is_asked_for_only_when_the_operator_asks(world: World) -> None:
    receipt = await watched(world, reload=True)
    assert receipt.sight is Sight.SEEN
    assert receipt.sight_how == "the gateway was made to load it (secrets.reload)"
    assert world.reloads == [LIVE]


async def test_a_reload_that_is_refused_is_told_and_the_words_to_type_are_offered(world: World) -> None:
    world.refusal = GatewayCallError(Trouble.SCOPE, "the gateway does not grant operator.admin")
    receipt = await watched(world, reload=True, verify=0)
    assert receipt.sight is Sight.NOT_YET
    assert receipt.notes == ("not reloaded: the gateway does not grant operator.admin",)
    assert receipt.follow_up == ("openclaw", "secrets", "reload")


@pytest.mark.parametrize("trouble", [Trouble.MUTE, Trouble.NONSENSE])
async def test_a_reload_without_a_clear_answer_is_not_known_and_never_seen(world: World, trouble: Trouble) -> None:
    world.refusal = GatewayCallError(trouble, "the gateway did not answer secrets.reload in time")
    world.refusal.was_sent = True
    receipt = await watched(world, reload=True, verify=0)
    assert receipt.sight is Sight.NOT_YET
    assert not receipt.reloaded
    assert receipt.notes == (
        "whether the gateway has reloaded its secrets is not known: the gateway did not answer secrets.reload in time",
    )
    assert receipt.follow_up == ("openclaw", "secrets", "reload")


@pytest.mark.parametrize(
    ("out", "live"),
    [
        (False, "at the next turn that is answered, or after a restart"),
        (True, "after a restart: every profile is out"),
    ],
)
async def test_2026_8_does_not_load_cooldowns_by_a_reload(
    world: World, monkeypatch: pytest.MonkeyPatch, out: bool, live: str
) -> None:
    chosen = Chosen(SEMANTICS["8.x"], None)
    monkeypatch.setattr(execute, "semantics_of", lambda *_: chosen)
    receipt = await watched(world, reload=True, verify=0, all_out=out)
    assert receipt.sight is Sight.NOT_YET
    assert f"the gateway loads it {live}" in receipt.sight_how
    assert receipt.notes == ("the gateway has reloaded its secrets",)
    assert receipt.follow_up == ()


async def test_a_change_that_is_lost_at_once_is_told_as_reverted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = World(tmp_path, "A")
    path = world.directory / "agents/main/agent/auth-profiles.json"
    original, flush = path.read_bytes(), atomic.flush_directory

    def flush_and_lose(target: str) -> None:
        flush(target)
        path.write_bytes(original)

    plan = clear_profile(world.read(), "fakeai:one")
    monkeypatch.setattr(atomic, "flush_directory", flush_and_lose)
    receipt = await world.operations.execute(plan, OperationRequest(gateway=LIVE, verify_s=0))
    assert receipt.sight is Sight.REVERTED
    assert receipt.exit_code == 4
    assert "twice" in receipt.sight_how
    assert "lost once" in receipt.notes[0]


# --- unlock ------------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(changes, "SECOND_LOOK_S", 0.0)


def stale_lock(world: World, pid: int = DEAD_PID) -> str:
    path = str(world.directory / "agents/main/sessions/s1.jsonl.lock")
    assert publish(path, {"pid": pid, "createdAt": "2026-05-20T12:00:00.000Z"})
    return path


@pytest.mark.usefixtures("soon")
async def test_a_stale_session_lock_is_removed_with_its_proof(world: World) -> None:
    path = stale_lock(world)
    receipt = await world.operations.execute(unlock(world.read(), "s1"))
    assert not Path(path).exists()
    assert receipt.undo is None
    assert receipt.sight_how == "proof: owner is dead"
    assert world.journal.tail()[-1].data["outcome"] == "done"


async def test_an_owner_that_is_seen_alive_at_the_second_look_keeps_its_lock(world: World) -> None:
    """As when the process table was wrong for a moment: nothing is removed at the first look."""
    looks: list[float] = []

    class Between(SystemClock):
        async def sleep(self, seconds: float) -> None:
            looks.append(seconds)
            world.table = Table(DEAD_PID)

    class Seen:
        def look(self, pid: int) -> ProcessEvidence:
            return world.table.look(pid)

    path = stale_lock(world)
    plan = unlock(world.read(), "s1")

    def machine(layout: Layout, gateway: Gateway) -> Machine:
        return machine_for(layout, gateway, Machine(processes=Seen(), clock=Between()))

    operations = Operations(world.layout, journal=world.journal, machine=machine, caller=world)  # type: ignore[arg-type]
    with pytest.raises(RefusedError, match="was not removed"):
        await operations.execute(plan)
    assert Path(path).exists()
    assert looks == [1.0]


@pytest.mark.usefixtures("soon")
async def test_a_lock_that_changed_since_the_preview_stays(world: World) -> None:
    path = stale_lock(world)
    plan = unlock(world.read(), path)
    Path(path).unlink()
    stale_lock(world, pid=DEAD_PID - 1)
    with pytest.raises(RefusedError, match="no longer the lock in the preview"):
        await world.operations.execute(plan)
    assert Path(path).exists()


@pytest.mark.usefixtures("soon")
async def test_an_owner_that_turns_out_alive_keeps_its_lock(tmp_path: Path) -> None:
    table = Table()
    world = World(tmp_path, table=table)
    path = stale_lock(world)
    plan = unlock(world.read(), path)
    table.alive = (DEAD_PID,)
    with pytest.raises(RefusedError, match=r"not proven \(owner lives\)"):
        await world.operations.execute(plan)
    assert Path(path).exists()


@pytest.mark.usefixtures("soon")
async def test_a_lock_outside_the_agents_directories_is_refused(world: World, tmp_path: Path) -> None:
    path = stale_lock(world)
    plan = unlock(world.read(), path)
    assert plan.lock is not None
    elsewhere = tmp_path / "s1.jsonl.lock"
    elsewhere.write_bytes(Path(path).read_bytes())
    with pytest.raises(RefusedError, match="not a file of a known kind"):
        await world.operations.execute(replace(plan, lock=replace(plan.lock, path=str(elsewhere))))
    assert elsewhere.exists()


async def test_a_lock_that_is_gone_is_told(world: World) -> None:
    path = stale_lock(world)
    plan = unlock(world.read(), path)
    Path(path).unlink()
    with pytest.raises(RefusedError, match="is already gone"):
        await world.operations.execute(plan)


async def test_an_agent_that_is_gone_is_told(world: World) -> None:
    plan: Plan = clear_profile(world.read(), "fakeai:one")
    plan = replace(plan, steps=tuple(replace(step, owner="nobody") for step in plan.steps))
    with pytest.raises(RefusedError, match="no agent nobody any more"):
        await world.operations.execute(plan)


def test_a_caller_without_a_loop_gets_the_same(world: World) -> None:
    receipt = world.operations.execute_now(clear_profile(world.read(), "fakeai:one"))
    assert receipt.to_json()["gateway"]["state"] in {"no gateway", "written"}
    assert json.dumps(receipt.to_json()).isascii()
