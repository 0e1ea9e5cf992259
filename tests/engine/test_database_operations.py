"""Clear, rotate, reset and undo where auth stores are rows (2026.6.11 to 2026.9.6): one cell changes, nothing else."""

from __future__ import annotations

import json
import sqlite3
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from clawtop.clock import SystemClock
from clawtop.core.generations import Generation
from clawtop.core.model import SHARED, AuthConfig, Event, Gateway, GatewayState, Snapshot, UsageStats
from clawtop.core.operations.clear import clear_profile, clear_provider
from clawtop.core.operations.order import reset_order, rotate
from clawtop.core.operations.plan import Plan
from clawtop.core.operations.receipt import Receipt, Sight
from clawtop.core.operations.undo import undo
from clawtop.core.rotation.eligibility import order_query
from clawtop.core.rotation.order import resolve_order
from clawtop.engine.operations.execute import OperationRequest, Operations
from clawtop.errors import LockNotObtainedError, OperationFailedError, RefusedError
from clawtop.store.auth import sqlite_update
from clawtop.store.auth.backends import auth_backend
from clawtop.store.auth.machine import Machine
from clawtop.store.auth.port import AuthPlace
from clawtop.store.own.journal import Journal
from clawtop.store.sqlite import writing
from clawtop.store.sqlite.pool import Databases
from clawtop.store.sqlite.schema import DatabaseRole
from tests.support.auth_changes import profile_change
from tests.support.clocks import ManualClock
from tests.support.databases import (
    NO_CREDENTIALS,
    OWN_STATE,
    OWN_STORE,
    SHARED_STATE,
    agent_database,
    other,
    others,
    run,
    state_database,
    store,
    stored,
    text_of,
)
from tests.support.samples import Sample, unpacked
from tests.support.store_update import update

pytestmark = pytest.mark.anyio

LIMITED = [
    ("2026.6.11", "all-limited", "fakeai:two"),
    ("2026.7.1-2", "billing", "fakeai:one"),
    ("2026.8.2", "multi-agent", "fakeai:two"),
    ("2026.9.6", "rate-limited", "fakeai:one"),
]
WINDOWS = {"cooldownUntil", "disabledUntil", "cooldownReason", "disabledReason", "failureCounts", "cooldownModel"}
DEAD = Gateway(GatewayState.DEAD)


class World:
    """A sample that is operated on, with its clock at capture."""

    def __init__(self, sample: Sample) -> None:
        self.sample = sample
        self.clock = ManualClock(sample.captured_at)
        self.reader = sample.reader(clock=self.clock)
        self.journal = Journal(sample.state_dir)

    @property
    def shared(self) -> bool:
        return self.sample.generation is Generation.D

    @property
    def database(self) -> Path:
        """Where the inherited state stands."""
        return state_database(self.sample.state_dir) if self.shared else agent_database(self.sample.state_dir)

    @property
    def cell(self) -> tuple[str, str, str, str, str]:
        return SHARED_STATE if self.shared else OWN_STATE

    def read(self) -> Snapshot:
        return replace(self.reader.read(), gateway=DEAD)

    def state(self) -> dict[str, Any]:
        found = stored(self.database, self.cell)
        assert found is not None
        return found

    async def execute(self, plan: Plan) -> Receipt:
        operations = Operations(
            lambda: self.reader.layout,
            journal=self.journal,
            machine=lambda _layout, _gateway: Machine(clock=self.clock),
        )
        return await operations.execute(plan, OperationRequest(gateway=DEAD))

    def events(self) -> tuple[Event, ...]:
        return tuple(self.journal.tail())

    def place(self, owner: str) -> AuthPlace:
        found = auth_backend(self.reader.layout, Databases(SystemClock())).place(owner)
        assert found is not None
        return found


@pytest.fixture(params=LIMITED, ids=lambda row: "-".join(row[:2]))
def limited(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[World, str]:
    version, scenario, profile = request.param
    return World(unpacked(version, scenario, tmp_path)), profile


@pytest.fixture
def newest(tmp_path: Path) -> World:
    return World(unpacked("2026.9.6", "rate-limited", tmp_path))


async def test_a_clear_changes_one_cell_and_undo_puts_it_back(limited: tuple[World, str]) -> None:
    world, profile = limited
    value = {**world.state(), "keptByNobody": {"deep": [1.50, "\u2028", None]}}
    value["usageStats"][profile]["futureField"] = 12345678901234567890
    text = '{"version":1,"big":1e400,' + _dumped(value)[1:]
    store(world.database, world.cell, text, world.sample.captured_at)
    before, rest, inode = _text(world), others(world.database, world.cell), world.database.stat().st_ino

    plan = clear_profile(world.read(), profile, agent="main")
    receipt = await world.execute(plan)
    after = world.state()["usageStats"][profile]
    assert not WINDOWS & after.keys()
    assert after["errorCount"] == 0
    assert after["futureField"] == 12345678901234567890
    assert '"big":1e400' in _text(world)
    assert world.state()["keptByNobody"] == {"deep": [1.5, "\u2028", None]}
    assert others(world.database, world.cell) == rest
    assert world.database.stat().st_ino == inode
    assert (receipt.sight, receipt.file, receipt.lock_how) == (
        Sight.NO_GATEWAY,
        str(world.database),
        "one transaction",
    )
    seen = next(
        p for a in world.read().agents if a.id == "main" and a.store for p in a.store.profiles if p.id == profile
    )
    assert seen.stats.cooldown_until is None
    assert seen.stats.disabled_until is None

    await world.execute(undo(world.read(), world.events()))
    assert _sorted(_text(world)) == _sorted(before)
    with pytest.raises(RefusedError, match="nothing to undo"):
        undo(world.read(), world.events())


def _dumped(value: Any) -> str:
    return json.dumps({key: item for key, item in value.items() if key != "version"}, separators=(",", ":"))


def _text(world: World) -> str:
    return str(text_of(world.database, world.cell))


def _sorted(text: str) -> Any:
    return json.loads(text, parse_float=str, parse_int=str)


async def test_a_provider_is_cleared_in_one_transaction(tmp_path: Path) -> None:
    world = World(unpacked("2026.8.2", "multi-agent", tmp_path))
    plan = clear_provider(world.read(), "fakeai", agent="lab")
    assert [step.owner for step in plan.steps] == [SHARED]
    await world.execute(plan)
    assert all(not WINDOWS & entry.keys() for entry in world.state()["usageStats"].values())


async def test_an_own_entry_hides_the_shared_one_so_both_are_cleared(newest: World) -> None:
    """An agent's own entry of an inherited profile wins as a whole: clearing the shared one alone would do nothing."""
    own = agent_database(newest.sample.state_dir)
    blocked = {"errorCount": 3, "disabledUntil": newest.sample.captured_at + 9_000_000, "disabledReason": "billing"}
    store(own, OWN_STORE, NO_CREDENTIALS, newest.sample.captured_at)
    store(own, OWN_STATE, {"version": 1, "usageStats": {"fakeai:one": blocked}}, newest.sample.captured_at)
    plan = clear_profile(newest.read(), "fakeai:one")
    assert [(step.owner, step.file) for step in plan.steps] == [("main", str(own)), (SHARED, str(newest.database))]
    receipt = await newest.execute(plan)
    assert stored(own, OWN_STATE) == {"version": 1, "usageStats": {"fakeai:one": {"errorCount": 0}}}
    assert not WINDOWS & newest.state()["usageStats"]["fakeai:one"].keys()
    assert {change.before for change in receipt.changes if change.field == "disabledReason"} == {"billing"}
    await newest.execute(undo(newest.read(), newest.events()))
    assert stored(own, OWN_STATE) == {"version": 1, "usageStats": {"fakeai:one": blocked}}
    assert WINDOWS & newest.state()["usageStats"]["fakeai:one"].keys()


async def test_a_half_that_fails_says_which_and_the_other_half_can_be_undone(newest: World) -> None:
    own = agent_database(newest.sample.state_dir)
    blocked = {"errorCount": 3, "disabledUntil": newest.sample.captured_at + 9_000_000, "disabledReason": "billing"}
    store(own, OWN_STORE, NO_CREDENTIALS, newest.sample.captured_at)
    store(own, OWN_STATE, {"version": 1, "usageStats": {"fakeai:one": blocked}}, newest.sample.captured_at)
    plan = clear_profile(newest.read(), "fakeai:one")
    state = newest.state()
    state["usageStats"]["fakeai:one"]["errorCount"] = 7
    store(newest.database, SHARED_STATE, state, newest.sample.captured_at)
    receipt = await newest.execute(plan)
    assert [step.owner for step in receipt.steps] == ["main"]
    assert "changed since the preview" in receipt.notes[-1]
    await newest.execute(undo(newest.read(), newest.events()))
    assert stored(own, OWN_STATE) == {"version": 1, "usageStats": {"fakeai:one": blocked}}
    assert newest.state() == state


@pytest.mark.parametrize("version", ["2026.8.2", "2026.9.6"])
async def test_an_order_is_kept_with_the_agent(version: str, tmp_path: Path) -> None:
    """As `models auth order set` does; the shared row holds none."""
    scenario = {"2026.8.2": "healthy", "2026.9.6": "running"}[version]
    world = World(unpacked(version, scenario, tmp_path))
    with pytest.raises(RefusedError, match="each agent has its own order") as caught:
        rotate(world.read(), "fakeai")
    assert "--agent" in (caught.value.hint or "")
    plan = rotate(world.read(), "fakeai", agent="main")
    own = agent_database(world.sample.state_dir)
    assert [(step.owner, step.file) for step in plan.steps] == [("main", str(own))]
    rest = others(world.database, SHARED_STATE)
    await world.execute(plan)
    assert stored(own, OWN_STATE) == {
        "version": 1,
        "order": {"fakeai": ["fakeai:two", "fakeai:three", "fakeai:one"]},
    }
    assert stored(own, OWN_STORE) == NO_CREDENTIALS, "OpenClaw reads an agent's order only beside a credentials row"
    assert others(world.database, SHARED_STATE) == rest
    seen = next(agent.store for agent in world.read().agents if agent.id == "main")
    assert seen is not None
    assert seen.order == {"fakeai": ("fakeai:two", "fakeai:three", "fakeai:one")}
    await world.execute(reset_order(world.read(), "fakeai", agent="main"))
    assert stored(own, OWN_STATE) is None, "an empty row goes, as OpenClaw lets it go"


async def test_c_keeps_orders_where_its_profiles_are(tmp_path: Path) -> None:
    world = World(unpacked("2026.6.11", "healthy", tmp_path))
    await world.execute(rotate(world.read(), "fakeai"))
    assert world.state()["order"] == {"fakeai": ["fakeai:two", "fakeai:three", "fakeai:one"]}
    assert world.state()["lastGood"] == {"fakeai": "fakeai:one"}


async def test_a_state_that_openclaw_does_not_read_counts_for_nothing(newest: World) -> None:
    """Without a credentials row of its own, an agent's own state row is not looked at (2026.8.2, 2026.9.6)."""
    own = agent_database(newest.sample.state_dir)
    blocked = {"errorCount": 3, "disabledUntil": newest.sample.captured_at + 9_000_000, "disabledReason": "billing"}
    store(own, OWN_STATE, {"version": 1, "usageStats": {"fakeai:two": blocked}}, newest.sample.captured_at)
    snapshot = newest.read()
    assert "unread-state" in {problem.code for problem in snapshot.warnings}
    seen = next(agent.store for agent in snapshot.agents if agent.id == "main")
    assert seen is not None
    assert next(profile for profile in seen.profiles if profile.id == "fakeai:two").stats.disabled_until is None
    assert clear_profile(snapshot, "fakeai:two").is_empty or [
        step.owner for step in clear_profile(snapshot, "fakeai:two").steps
    ] == [SHARED]


async def test_a_key_of_the_configuration_is_shown_and_cleared_like_a_profile_and_is_in_no_order(newest: World) -> None:
    state = newest.state()
    name = "inline-api-key:fakeai"
    state["usageStats"][name] = {
        "errorCount": 1,
        "disabledUntil": newest.sample.captured_at + 600_000,
        "disabledReason": "billing",
        "failureCounts": {"billing": 1},
    }
    store(newest.database, SHARED_STATE, state, newest.sample.captured_at)
    snapshot = newest.read()
    seen = next(agent.store for agent in snapshot.agents if agent.id == "main")
    assert seen is not None
    row = next(profile for profile in seen.profiles if profile.id == name)
    assert (row.provider, row.owner_agent, row.stats.disabled_reason) == ("fakeai", SHARED, "billing")
    order = resolve_order(
        order_query("fakeai", seen.profiles, {}, AuthConfig(), snapshot.taken_at, snapshot.semantics.cooling)
    )
    assert name not in order.ids
    await newest.execute(clear_profile(snapshot, name))
    assert newest.state()["usageStats"][name] == {"errorCount": 0}


# --- refused ------------------------------------------------------------------------------------------------------


async def refused(world: World, plan: Plan, why: str, kind: type[Exception] = RefusedError) -> None:
    before = _text(world)
    with pytest.raises(kind, match=why):
        await world.execute(plan)
    assert _text(world) == before


@pytest.mark.parametrize("version", [19, 17, 999])
async def test_an_unknown_schema_is_read_and_never_written(newest: World, version: int) -> None:
    run(newest.database, f"PRAGMA user_version={version}")
    snapshot = newest.read()
    assert len(snapshot.agents[0].store.profiles) == 4 if snapshot.agents[0].store else False
    assert "schema-not-known" in {problem.code for problem in snapshot.warnings}
    with pytest.raises(RefusedError, match="schema version"):
        clear_profile(snapshot, "fakeai:one")


async def test_a_schema_that_changes_after_the_preview_is_refused(newest: World) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    run(newest.database, "PRAGMA user_version=31")
    await refused(newest, plan, "newer than 18")


async def test_another_users_database_is_refused(newest: World) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    place = newest.place(SHARED)
    with pytest.raises(RefusedError, match="belongs to"):
        place.check_writable(Machine(euid=lambda: 54321))
    assert plan.steps


async def test_a_link_out_of_the_directory_is_refused(newest: World, tmp_path: Path) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    elsewhere = tmp_path / "elsewhere"
    newest.database.parent.rename(elsewhere)
    newest.database.parent.mkdir()
    for path in elsewhere.iterdir():
        newest.database.with_name(path.name).symlink_to(path)
    with pytest.raises(RefusedError, match="is a link out of the state directory"):
        await newest.execute(plan)


async def test_a_database_that_is_gone_is_not_created(newest: World) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    for path in newest.database.parent.glob("openclaw.sqlite*"):
        path.unlink()
    with pytest.raises(RefusedError, match="does not exist"):
        await newest.execute(plan)
    assert not newest.database.exists()


async def test_a_database_that_is_replaced_in_the_last_moment_is_left_alone(
    newest: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    seen = iter([(1, 1), (1, 2)])
    monkeypatch.setattr(writing, "_identity", lambda _path: next(seen))
    await refused(newest, plan, "has just been replaced", OperationFailedError)


async def test_a_writer_that_stays_is_waited_for_two_seconds(newest: World) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    with other(newest.database) as process:
        process.run("BEGIN IMMEDIATE")

        class Impatient(ManualClock):
            """Half a second passes with each pause."""

            async def sleep(self, seconds: float) -> None:
                self._move(max(seconds, 0.5))

        clock = Impatient(newest.sample.captured_at)
        operations = Operations(
            lambda: newest.reader.layout,
            journal=newest.journal,
            machine=lambda _layout, _gateway: Machine(clock=clock),
        )
        with pytest.raises(LockNotObtainedError, match="another writer"):
            await operations.execute(plan, OperationRequest(gateway=DEAD, wait_s=15.0))
        assert 2.0 <= clock.monotonic() - 1_000.0 < 3.0
    assert WINDOWS & newest.state()["usageStats"]["fakeai:one"].keys()


async def test_what_moved_on_since_the_preview_is_not_written(newest: World) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    state = newest.state()
    state["usageStats"]["fakeai:one"]["errorCount"] = 5
    store(newest.database, SHARED_STATE, state, newest.sample.captured_at)
    await refused(newest, plan, "changed since the preview: usageStats.fakeai:one.errorCount is now 5")


@pytest.mark.parametrize("text", ["", "nonsense", "[]", '{"usageStats":[]}', '{"a":1,"a":2}'])
async def test_a_document_that_is_not_what_it_should_be_is_not_rewritten(newest: World, text: str) -> None:
    plan = clear_profile(newest.read(), "fakeai:one")
    store(newest.database, SHARED_STATE, text, newest.sample.captured_at)
    await refused(newest, plan, "authProfiles.state|is not an object|changed")


# --- many at once -------------------------------------------------------------------------------------------------


def test_writers_lose_nothing_to_one_another(newest: World) -> None:
    def counted(stats: UsageStats) -> UsageStats:
        return replace(stats, error_count=(stats.error_count or 0) + 1)

    def count() -> None:
        place = newest.place(SHARED)
        for _ in range(20):
            update(place, profile_change("fakeai:two", counted), Machine(), wait=60)

    start = newest.state()["usageStats"]["fakeai:two"].get("errorCount", 0)
    threads = [threading.Thread(target=count) for _ in range(3)]
    for thread in threads:
        thread.start()
    used = '$.usageStats."fakeai:three".lastUsed'
    with other(newest.database) as process:
        for number in range(20):
            process.run(
                "UPDATE config_machine_state SET value_json=json_set(value_json,?,?) WHERE state_key=?",
                (used, number, "authProfiles.state"),
            )
    for thread in threads:
        thread.join()
    stats = newest.state()["usageStats"]
    assert stats["fakeai:two"]["errorCount"] == start + 60
    assert stats["fakeai:three"]["lastUsed"] == 19


def test_a_failed_write_leaves_no_transaction_open(newest: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(sqlite_update, "_store", fail)
    with pytest.raises(OperationFailedError, match="disk I/O error"):
        update(
            newest.place(SHARED),
            profile_change("fakeai:one", lambda _: UsageStats(error_count=9)),
            Machine(),
            wait=1,
        )
    with other(newest.database) as process:
        process.run("BEGIN IMMEDIATE")
        process.run("ROLLBACK")


# --- how long nobody else can write ---------------------------------------------------------------------------------


def reset(_: UsageStats) -> UsageStats:
    return UsageStats(error_count=9)


def slowed(monkeypatch: pytest.MonkeyPatch, clock: ManualClock, times: int) -> list[float]:
    """The next `times` writes take a tenth of a second each; when each began."""
    begun: list[float] = []
    store_row = sqlite_update._store

    def slow(*given: Any) -> None:
        begun.append(clock.monotonic())
        store_row(*given)
        if len(begun) <= times:
            clock.pause(0.1)

    monkeypatch.setattr(sqlite_update, "_store", slow)
    return begun


def test_a_write_that_is_not_ready_in_time_is_taken_back_and_tried_again(
    newest: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = slowed(monkeypatch, newest.clock, 2)
    found = update(newest.place(SHARED), profile_change("fakeai:one", reset), Machine(clock=newest.clock), wait=1)
    assert len(begun) == 3
    assert found.held_s == 0
    assert found.waited_s >= 0.2
    assert newest.state()["usageStats"]["fakeai:one"]["errorCount"] == 9


def test_a_disk_that_is_always_too_slow_is_given_up_and_nothing_is_changed(
    newest: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _text(newest)
    begun = slowed(monkeypatch, newest.clock, 1_000)
    with pytest.raises(OperationFailedError, match=r"not ready within 50 ms, .* rolled back each time") as caught:
        update(newest.place(SHARED), profile_change("fakeai:one", reset), Machine(clock=newest.clock), wait=15)
    assert caught.value.unchanged == "nothing was written"
    assert 1.8 <= begun[-1] - begun[0] < 2.5, "two seconds are what it waits for at most"
    assert _text(newest) == before
    with other(newest.database) as process:
        process.run("BEGIN IMMEDIATE")
        process.run("ROLLBACK")


def test_a_statement_that_does_not_end_is_interrupted(newest: World) -> None:
    class Ticking(ManualClock):
        """A millisecond passes with each look."""

        def monotonic(self) -> float:
            self._move(0.001)
            return super().monotonic()

    database = Databases(newest.clock).of(newest.database, DatabaseRole.GLOBAL)
    with (
        pytest.raises(writing.SlowError),
        writing.transaction(database, Ticking()) as inside,
    ):
        inside.connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n) SELECT count(*) FROM n"
        ).fetchall()


def test_a_commit_that_was_slow_is_told_with_what_it_took(newest: World, monkeypatch: pytest.MonkeyPatch) -> None:
    execute = writing._execute

    def slow(connection: sqlite3.Connection, statement: str, path: str) -> None:
        execute(connection, statement, path)
        if statement == "COMMIT":
            newest.clock.pause(0.2)

    monkeypatch.setattr(writing, "_execute", slow)
    found = update(newest.place(SHARED), profile_change("fakeai:one", reset), Machine(clock=newest.clock), wait=1)
    assert found.held_s == pytest.approx(0.2)
    assert "its commit was slow" in found.lock_how
    assert newest.state()["usageStats"]["fakeai:one"]["errorCount"] == 9
