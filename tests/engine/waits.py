"""Every wait that a turn can come to, with what bounds it, and the test that fails without that bound.

A wait is an `await`, `async with` or `async for` of something that is not the engine's own coroutine (what those
wait for is found in them), and a call that blocks a thread.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import clawtop

ENGINE = Path(clawtop.__file__).parent / "engine"
OF_A_TURN = ("drive/", "prompt/", "providers/", "etcd/", "operations/locked")
"""What a turn runs through. Screens, drains and operations wait for news, and as long as their caller says."""
BLOCKING = {"join", "wait", "acquire", "get", "acquired", "pause"}
"""Methods that wait; those of the same name that take something by its key have arguments."""
PRIMITIVE = {"sleep", "acquire", "settled_within"}
"""Names that are also the engine's or the clock's own, and wait."""


@dataclass(frozen=True, slots=True)
class Bound:
    """What ends a wait, and the test that names it: a file below `tests/` and a function."""

    what: str
    file: str
    test: str


def _stall(what: str, test: str) -> Bound:
    return Bound(what, "engine/test_stalls.py", test)


TURN = _stall("the turn's limit, from outside", "test_a_disk_that_does_not_answer_ends_at_the_turns_limit")
CALL = _stall("the call's limits: first byte, idle, total", "test_a_provider_that_pings_for_ever_ends_at_its_limit")
CONNECT = _stall("the connection's limit", "test_a_name_that_is_not_resolved_ends_at_the_connections_limit")
CLOSING = _stall(
    "`CLOSING_SECONDS`, `DRAIN_SECONDS`", "test_a_reply_that_has_its_end_is_complete_though_the_connection_stays"
)
SWALLOWED = _stall("`SWALLOWED_S`", "test_cancelled_work_that_a_disk_has_swallowed_is_left_to_itself")
LOOKS = _stall("`CLOSE_S`", "test_closing_waits_a_moment_for_a_look_that_a_disk_has_swallowed")
WATCHED = _stall("the run that is watched, which always has a limit", "test_a_turn_always_has_a_limit")
LOCK = _stall("its limit", "test_a_session_lock_of_a_living_program_is_waited_for_no_longer_than_the_limit")
JOURNAL = _stall("the time that `close` is given", "test_a_journal_that_a_disk_has_swallowed_is_left_at_the_end")
PROBE = _stall("`WHOLE_S`", "test_a_probe_whose_credential_does_not_answer_is_unknown")
MARKS = _stall(
    "`drain_s`; the rest is spooled", "test_a_store_that_stays_locked_holds_no_turn_up_and_the_mark_is_written_down"
)
CANCELLED = Bound(
    "the end of a task that was cancelled, whose own waits end then",
    "engine/test_driver.py",
    "test_cancelling_at_any_step_of_the_loop_leaves_nothing_and_says_what_is_stored",
)
PAUSE = Bound(
    "the turn's limit, which cuts a pause short",
    "engine/test_driver.py",
    "test_the_whole_turn_has_a_limit_waiting_included",
)
ACCOUNT = Bound(
    "the time that the caller gives",
    "engine/test_fair_rotation.py",
    "test_an_account_that_is_back_too_late_is_not_waited_for",
)
COMPACTION = Bound(
    "whoever asks for it, with a TimeoutError",
    "engine/test_driver.py",
    "test_an_abort_in_the_compaction_wait_is_the_prompts_timeout",
)
HOLDER = Bound(
    "the run's deadline, else `max_wait_s`",
    "engine/test_registry.py",
    "test_a_wait_ends_at_its_deadline_with_the_holders_name",
)
LEAVING = Bound(
    "`LEAVE_S`; the record is left in the background, which `CLOSE_S` ends",
    "engine/test_drainer.py",
    "test_a_process_that_is_stopped_while_it_changes_the_record_is_waited_for_no_longer_than_the_limit",
)
LANE = Bound(
    "the turn's deadline", "engine/test_lane_scheduler.py", "test_a_deadline_ends_the_wait_and_frees_the_queue"
)
STORE = Bound("`wait`", "engine/test_locked.py", "test_the_time_being_up_is_an_error_that_names_the_holder")
RECOVERY = Bound(
    "the recoverer's own wait",
    "engine/test_recoverer.py",
    "test_the_wait_for_a_holder_ends_whatever_the_wall_clock_is_set_to",
)
WATCH = Bound(
    "nothing: it watches until it is cancelled",
    "engine/test_recoverer.py",
    "test_the_watcher_restarts_stuck_work_under_its_holder",
)
ETCD = Bound(
    "`CALL_S`",
    "etcd/test_registry_across_hosts.py",
    "test_an_answer_that_comes_byte_by_byte_ends_at_its_deadline",
)
LEASE = Bound(
    "nothing: it is renewed until the lease is given back or lost",
    "etcd/test_registry_across_hosts.py",
    "test_a_write_by_a_holder_that_lost_its_lease_is_never_acknowledged",
)


def waits() -> Iterator[str]:
    """Each wait as "module function: what is waited for"."""
    own = {
        node.name
        for path in (*ENGINE.rglob("*.py"), ENGINE.parent / "clock.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.AsyncFunctionDef)
    } - PRIMITIVE
    for path in sorted(ENGINE.rglob("*.py")):
        place = path.relative_to(ENGINE).with_suffix("").as_posix()
        if place.startswith(OF_A_TURN):
            finder = _Finder(own)
            finder.visit(ast.parse(path.read_text()))
            yield from (f"{place} {wait}" for wait in finder.found)


class _Finder(ast.NodeVisitor):
    def __init__(self, own: set[str]) -> None:
        self._own = own
        self._inside: list[str] = []
        self.found: dict[str, None] = {}

    def _named(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> None:
        self._inside.append(node.name)
        self.generic_visit(node)
        self._inside.pop()

    visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = _named  # noqa: N815 - ast's names

    def visit_Await(self, node: ast.Await) -> None:
        self._waited(node.value)
        self.generic_visit(node)

    def visit_AsyncWith(self, node: ast.AsyncWith) -> None:
        for item in node.items:
            if not isinstance(item.context_expr, ast.Await):
                self._waited(item.context_expr)
        self.generic_visit(node)

    def visit_AsyncFor(self, node: ast.AsyncFor) -> None:
        self._waited(node.iter)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        function = node.func
        if isinstance(function, ast.Attribute) and function.attr in BLOCKING:
            takes = function.attr == "get" and bool(node.args)
            text = function.attr == "join" and (
                isinstance(function.value, ast.Constant) or "path" in ast.unparse(function)
            )
            context = function.attr == "get" and ast.unparse(function).startswith("_windows")
            if not takes and not text and not context:
                self._waited(node)
        self.generic_visit(node)

    def _waited(self, what: ast.expr) -> None:
        called = what.func if isinstance(what, ast.Call) else what
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if isinstance(what, ast.Call) and name in self._own:
            return
        words = ast.unparse(called)
        if words == "asyncio.to_thread" and isinstance(what, ast.Call):
            words = f"to_thread({ast.unparse(what.args[0])})"
        self.found[f"{'.'.join(self._inside)}: {words}"] = None


WAITS: dict[str, Bound] = {
    "drive/attempt Attempt._acquired: self.resources.registry.acquire": HOLDER,
    "drive/attempt Attempt._ask: aclosing": CALL,
    "drive/attempt Attempt._ask: parts": CALL,
    "drive/attempt Attempt._conversation: to_thread(kept.read)": TURN,
    "drive/driver Driver.aclose: to_thread(self._writer.close)": JOURNAL,
    "drive/driver Driver._turn: self._clock.timeout_at": TURN,
    "drive/handle RunItems.__aiter__: self._items.get": WATCHED,
    "drive/handle Drive.result: asyncio.shield": WATCHED,
    "drive/handle Drive.ended: asyncio.wait": WATCHED,
    "drive/journal_writer JournalWriter.close: self._thread.join": JOURNAL,
    "drive/journal_writer JournalWriter._batch: self._events.get": JOURNAL,
    "drive/journal_writer JournalWriter._batch: self._closing.wait": JOURNAL,
    "drive/leftovers land_leftovers_of: Driver": MARKS,
    "drive/marks Marks.drained: asyncio.wait": MARKS,
    "drive/marks Marks.aclose: settled_within": MARKS,
    "drive/marks Marks.aclose: asyncio.gather": SWALLOWED,
    "drive/marks Marks._land_store: self._land": STORE,
    "drive/marks Marks._land_store: self._clock.sleep": MARKS,
    "drive/marks Marks._gathered: self._clock.timeout": MARKS,
    "drive/marks Marks._gathered: self._hurry.wait": MARKS,
    "drive/probe probe.one: slots": PROBE,
    "drive/probe probe.one: resources.clock.timeout": PROBE,
    "drive/probe probe: asyncio.gather": PROBE,
    "drive/resolving Resolver.resolve: to_thread(unknown_session)": TURN,
    "drive/resolving Resolver._found: to_thread(choose_session)": TURN,
    "drive/resolving Resolver._found: to_thread(self._contexts.of)": TURN,
    "drive/resources DriverResources.client: self._making": PROBE,
    "drive/resources DriverResources.client: to_thread(_new_client)": PROBE,
    "drive/resources DriverResources.ready: get": CALL,
    "drive/resources DriverResources.ready: to_thread(SigV4)": PROBE,
    "drive/runner ModelRun._round: self._running": TURN,
    "drive/runner ModelRun._attempt: wait": COMPACTION,
    "drive/runner ModelRun._pause: self._resources.clock.sleep": PAUSE,
    "drive/turn_run TurnRun._guarded: self._guard": TURN,
    "drive/turn_run TurnRun._until_account: self._clock.sleep": ACCOUNT,
    "drive/turn_run TurnRun._between_rounds: self._clock.sleep": PAUSE,
    "etcd/client Etcd._call: self._clock.timeout": ETCD,
    "etcd/client _bounded: answer.aiter_bytes": ETCD,
    "etcd/client _lines: answer.aiter_bytes": LEASE,
    "etcd/records EtcdRecords.enter: self._entering": ETCD,
    "etcd/records EtcdRecords._renew: self._clock.sleep": LEASE,
    "etcd/records EtcdRecords._end_with_the_lease: self._clock.sleep": LEASE,
    "etcd/records EtcdRecords._watch: self._clock.sleep": LEASE,
    "etcd/records EtcdRecords._stop: asyncio.gather": LEASE,
    "etcd/shown SharedHolders._read: self._clock.timeout": ETCD,
    "operations/locked update_store: to_thread(place.change)": SWALLOWED,
    "operations/locked _driven: machine.clock.sleep": STORE,
    "operations/locked settled: asyncio.shield": SWALLOWED,
    "operations/locked settled: asyncio.wait": SWALLOWED,
    "prompt/foreign ForeignRuns.look: self._reading": TURN,
    "prompt/foreign ForeignRuns.look: to_thread(self._judged)": TURN,
    "prompt/foreign ForeignRuns.aclose: settled_within": LOOKS,
    "prompt/foreign ForeignRuns.gateway: self._reading": TURN,
    "prompt/foreign ForeignRuns.gateway: to_thread(self._reader.read)": TURN,
    "prompt/lane_scheduler LaneScheduler.slot: contextlib.AsyncExitStack": LANE,
    "prompt/lane_scheduler LaneScheduler.slot: places.enter_async_context": LANE,
    "prompt/lane_scheduler LaneScheduler._granted: self._clock.timeout": LANE,
    "prompt/lane_scheduler LaneScheduler._granted: asyncio.shield": LANE,
    "prompt/records busy_pause: clock.sleep": LEAVING,
    "prompt/recoverer Recoverer.watch: restart": WATCH,
    "prompt/recoverer Recoverer.watch: self._clock.sleep": WATCH,
    "prompt/recoverer Recoverer._take: self._registry.acquire": RECOVERY,
    "prompt/registry PromptRegistry.aclose: settled_within": LEAVING,
    "prompt/registry PromptRegistry._grant: self._clock.timeout": HOLDER,
    "prompt/registry PromptRegistry._grant: woken.wait": HOLDER,
    "prompt/registry PromptRegistry._until_alone: self._clock.sleep": HOLDER,
    "prompt/registry PromptRegistry.leave: settled_within": LEAVING,
    "prompt/session_lock SessionLockController.write: self._turn": TURN,
    "prompt/session_lock SessionLockController._acquire: self._clock.sleep": LOCK,
    "providers/connections LoopBackend.connect_tcp: loop.create_connection": CONNECT,
    "providers/connections LoopStream.read: self._reader": CALL,
    "providers/connections LoopStream.aclose: asyncio.sleep": CANCELLED,
    "providers/encoding unpacked: chunks": CALL,
    "providers/http ProviderClient._parts: aclosing": CALL,
    "providers/http ProviderClient._parts: events": CALL,
    "providers/http ProviderClient._drain: self._clock.timeout": CLOSING,
    "providers/http ProviderClient._drain: events": CLOSING,
    "providers/http _closed: asyncio.shield": CANCELLED,
    "providers/http _closed: asyncio.wait": CANCELLED,
    "providers/http _events: limits.until_bytes": CALL,
    "providers/http _events: anext": CALL,
    "providers/http _events: asyncio.sleep": CALL,
    "providers/http _excerpt: limits.until_bytes": CLOSING,
    "providers/http _excerpt: anext": CLOSING,
    "providers/limits CallLimits.until_answer: self._until": CONNECT,
    "providers/limits CallLimits.until_answer: turn.acquire": CALL,
}
