"""What differs between OpenClaw's generations and versions, as data: the only module that distinguishes them.

Two tables. `STORAGE`: how each storage generation, A to D, keeps its files. `SEMANTICS`: what each range of versions
does with failures, profiles and lanes; it differs within a generation. All other modules look up a row.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import NamedTuple

from clawtop.core.provider_ids import NAMES_2026_3, NAMES_2026_5, NAMES_2026_6, NAMES_2026_9
from clawtop.core.rules import (
    DAY_MS,
    HOUR_MS,
    LATEST_DATE_MS,
    MINUTE_MS,
    TRANSIENT_REASONS,
    Accepts,
    AttentionRules,
    ConfigKeys,
    DoublingWindow,
    ErrorDialect,
    Marking,
    Remote,
    RunPolicy,
    SameAccountRetries,
    Schedule,
    SessionLockRules,
    WriteLockSettings,
)
from clawtop.patterns import regex

# --- storage: a row for each generation ---------------------------------------------------------------------------


class Generation(StrEnum):
    """OpenClaw's storage generations.

    A: 2026.3.28, one JSON auth file. B: 2026.5.18 to 2026.6.1, auth-profiles.json and auth-state.json.
    C: 2026.6.5 to 2026.7.1, SQLite per agent. D: 2026.8.2 on, SQLite shared by the state directory.
    """

    A = "A"
    B = "B"
    C = "C"
    D = "D"


class AuthFormat(StrEnum):
    """Where auth profiles and their statistics are stored."""

    ONE_FILE = "auth-profiles.json"
    """Credentials and state in one file."""
    TWO_FILES = "auth-profiles.json and auth-state.json"
    AGENT_DATABASE = "the agent's database"
    STATE_DATABASE = "the state directory's database"


class Storage(NamedTuple):
    """How one generation keeps its files.

    Attributes:
        generation: None: not known. Its files are then read as B's, and nothing is written.
        seen: first and last verified version; None: none.
        auth: where auth profiles are stored.
        auth_writable: clawtop can change them.
        written_in_place: the auth file is truncated and filled again, so a reader may see it half-written.
        auth_lock_by_age: an old lock of the auth store is taken even from a live owner.
        session_files: sessions are `sessions.json` and transcripts; else rows of a database.
        drivable: clawtop's engine runs turns in them.
        locked_throughout: a turn keeps the session's lock during the model call, too.
        prompt_unlocked: a turn releases it for the model call.
        session_locks: how a session lock is judged; for versions without them, as by the last version that had them.
        write_lock: how the limits of that lock are set.
        lock_newline: a lock's content ends in a newline.
        lock_names_hold: a session lock names how long its owner means to hold it.
        stale_lock_effect: what a turn does on meeting a stale lock of a live run; None: there are none.
        fence: which foreign changes to a released session are not a takeover; None: there is no file to fence.
    """

    generation: Generation | None
    seen: tuple[tuple[int, int, int], tuple[int, int, int]] | None
    auth: AuthFormat
    session_locks: SessionLockRules
    write_lock: WriteLockSettings
    auth_writable: bool = False
    written_in_place: bool = False
    auth_lock_by_age: bool = False
    session_files: bool = True
    drivable: bool = False
    locked_throughout: bool = False
    prompt_unlocked: bool = False
    lock_newline: bool = True
    lock_names_hold: bool = False
    stale_lock_effect: str | None = None
    fence: Accepts | None = None

    @property
    def auth_in_database(self) -> bool:
        return self.auth in {AuthFormat.AGENT_DATABASE, AuthFormat.STATE_DATABASE}

    @property
    def has_state_file(self) -> bool:
        """Statistics and orders are in auth-state.json, separate from the credentials."""
        return self.auth is AuthFormat.TWO_FILES


_REMOVES_LIVING = "a waiting turn removes the lock of a living run"

_A = Storage(
    Generation.A,
    seen=((0, 0, 0), (2026, 3, 28)),
    auth=AuthFormat.ONE_FILE,
    auth_writable=True,
    written_in_place=True,
    auth_lock_by_age=True,
    drivable=True,
    locked_throughout=True,
    session_locks=SessionLockRules(math.inf, knows_argv=False, orphan_needs_no_ticks=True),
    write_lock=WriteLockSettings(acquire_ms=10_000, configurable=False),
    lock_newline=False,
    stale_lock_effect=_REMOVES_LIVING,
    fence=Accepts.NOTHING,
)
_B = Storage(
    Generation.B,
    seen=((2026, 5, 18), (2026, 6, 1)),
    auth=AuthFormat.TWO_FILES,
    auth_writable=True,
    drivable=True,
    prompt_unlocked=True,
    session_locks=SessionLockRules(5_000),
    write_lock=WriteLockSettings(),
    stale_lock_effect=_REMOVES_LIVING,
    fence=Accepts.ASSISTANT_APPENDS,
)
_C = Storage(
    Generation.C,
    seen=((2026, 6, 5), (2026, 7, 1)),
    auth=AuthFormat.AGENT_DATABASE,
    auth_writable=True,
    drivable=True,
    locked_throughout=True,
    session_locks=SessionLockRules(
        30_000,
        short_orphan_grace_ms=5_000,
        argv_after_stale=True,
        report_only=frozenset({"too-old", "hold-exceeded"}),
        respects_max_hold=True,
    ),
    write_lock=WriteLockSettings(whole_numbers=True),
    lock_names_hold=True,
    stale_lock_effect="a waiting turn fails with a stale lock, although the run lives",
    fence=Accepts.SAME_BYTES,
)
_D = Storage(
    Generation.D,
    seen=((2026, 8, 2), (9999, 0, 0)),
    auth=AuthFormat.STATE_DATABASE,
    auth_writable=True,
    session_files=False,
    session_locks=_C.session_locks,
    write_lock=_C.write_lock,
)
_NOT_KNOWN = _B._replace(generation=None, seen=None, auth_writable=False, drivable=False, prompt_unlocked=False)

STORAGE: Mapping[Generation, Storage] = MappingProxyType(
    {Generation.A: _A, Generation.B: _B, Generation.C: _C, Generation.D: _D}
)


def storage_of(generation: Generation | None) -> Storage:
    """The row of a storage generation; for an unknown one, a row that is read like B and never written."""
    return _NOT_KNOWN if generation is None else STORAGE[generation]


def generation_of(version: str | None) -> Generation | None:
    """The generation of a version such as `2026.5.20` or `2026.6.11-beta.1`; None if the version does not determine
    it: between two verified ranges, the files decide.
    """
    number = _numbers(version)
    if number is None:
        return None
    rows = ((generation, row.seen) for generation, row in STORAGE.items() if row.seen is not None)
    return next((generation for generation, (first, last) in rows if first <= number <= last), None)


def newest_version(*versions: str | None) -> str | None:
    """The latest of several versions; anything that is not a version counts only if there is no version."""
    known = [version for version in versions if version is not None]
    return max(known, key=lambda version: _numbers(version) or (0, 0, 0), default=None)


# --- semantics: a row for each range of versions --------------------------------------------------------------------

_REASONS_3_28 = (
    "auth_permanent",
    "auth",
    "billing",
    "format",
    "model_not_found",
    "overloaded",
    "timeout",
    "rate_limit",
    "unknown",
)
_REASONS_5 = (*_REASONS_3_28[:-1], "empty_response", "no_error_details", "unclassified", "unknown")
_REASONS_9 = (*_REASONS_5[:2], "session_expired", *_REASONS_5[2:])

# The documentation of 2026.6.11 and before gives other steps (1 min, 5 min, 25 min, 1 h) than the program runs.
_COOLING_3_28 = Schedule(
    name="3.28",
    names=NAMES_2026_3,
    reasons=_REASONS_3_28,
    billing=DoublingWindow(5 * HOUR_MS, DAY_MS),
    auth_permanent=DoublingWindow(5 * HOUR_MS, DAY_MS),
    permanent_as_billing=True,
    knows_blocks=False,
    blocks_yield_to_scope=True,
    soonest_joins_model=False,
    replaced_pins=frozenset(),
    user_pins_outlive_order=False,
    suspends=False,
    transient_reasons=frozenset({"rate_limit", "overloaded", "unknown"}),
    latest_ms=math.inf,
)
_COOLING_5 = _COOLING_3_28._replace(
    name="5.x",
    names=NAMES_2026_5,
    reasons=_REASONS_5,
    auth_permanent=DoublingWindow(10 * MINUTE_MS, HOUR_MS),
    permanent_as_billing=False,
    knows_blocks=True,
    soonest_joins_model=True,
    replaced_pins=frozenset({"user", "auto"}),
    user_pins_outlive_order=True,
    suspends=True,
    transient_reasons=TRANSIENT_REASONS,
)
_COOLING_6 = _COOLING_5._replace(
    name="6.11",
    names=NAMES_2026_6,
    scoped_reasons=frozenset({"rate_limit", "timeout"}),
    blocks_yield_to_scope=False,
    repairs_stored_order=True,
    probes_without_fallback=True,
    probes_rate_limits=True,
    latest_ms=LATEST_DATE_MS,
)
_COOLING_8 = _COOLING_6._replace(
    name="8.x",
    names=NAMES_2026_9,
    reasons=_REASONS_9,
    configurable=False,
    scoped_reasons=frozenset({"rate_limit", "timeout", "model_not_found"}),
    blocks_have_scope=True,
    reason_from_window=True,
    order_by_model=True,
    expired_logins_last=True,
    replaced_pins=frozenset({"auto"}),
    pins_stay=True,
    suspends_session=True,
)
_COOLING_9 = _COOLING_8._replace(
    name="9.x",
    billing=DoublingWindow(10 * MINUTE_MS, DAY_MS, least_base_ms=1),
    auth_permanent=DoublingWindow(10 * MINUTE_MS, HOUR_MS, least_base_ms=1),
    rate_limit=DoublingWindow(30_000, DAY_MS, least_base_ms=1, doublings=12),
    surviving_counts=frozenset({"rate_limit"}),
    provider_blocks_win=True,
    success_is_probe=True,
    linked_pins_stay=True,
    compactions_move_pins=False,
    pins_go_back=True,
)

_MARKED_5 = Marking(never=frozenset({"timeout", "server_error", "empty_response", "format"}))
_MARKED_6 = _MARKED_5._replace(
    timeouts_once_started=True,
    spared_locally=frozenset({"overloaded"}),
    spared_if_passing=frozenset({"rate_limit"}),
)
_MARKED_7 = _MARKED_6._replace(never=_MARKED_6.never | {"context_overflow"})
_MARKED_8 = _MARKED_7._replace(never=_MARKED_7.never | {"overloaded", "tls_certificate"})

_AUTH_KEYS = frozenset({"profiles", "order", "cooldowns"})
_WRITE_LOCK_KEYS = frozenset({"acquireTimeoutMs", "staleMs", "maxHoldMs"})
_COOLDOWN_KEYS = frozenset(
    {"billingBackoffHours", "billingBackoffHoursByProvider", "billingMaxHours", "failureWindowHours"}
)
_KEYS_3_28 = ConfigKeys(
    known=MappingProxyType({"auth": _AUTH_KEYS, "auth.cooldowns": _COOLDOWN_KEYS}),
    retired=frozenset({"session.writeLock", "diagnostics.stuckSessionAbortMs"}),
)
_KEYS_5 = ConfigKeys(
    known=MappingProxyType(
        {
            "auth": _AUTH_KEYS,
            "auth.cooldowns": _COOLDOWN_KEYS
            | {
                "authPermanentBackoffMinutes",
                "authPermanentMaxMinutes",
                "overloadedProfileRotations",
                "overloadedBackoffMs",
                "rateLimitedProfileRotations",
            },
            "session.writeLock": _WRITE_LOCK_KEYS,
        }
    )
)
_KEYS_8 = ConfigKeys(
    known=MappingProxyType({"auth": _AUTH_KEYS - {"cooldowns"}}),
    retired=frozenset({"session.writeLock", "diagnostics.stuckSessionWarnMs", "diagnostics.stuckSessionAbortMs"}),
    refuses_unknown=True,
)

_ATTENTION_6 = AttentionRules(silence_aborts=True, models_may_think=True, orphans_are_stuck=True, reclaims_silent=True)
_ATTENTION_7 = _ATTENTION_6._replace(lane_task_ms=5 * MINUTE_MS, lone_calls_abort=True)
_ATTENTION_8 = _ATTENTION_7._replace(
    configurable=False,
    sees_requests=True,
    sees_tool_ends=True,
    least_tool_ms=15 * MINUTE_MS,
    clears_idle=True,
)

_REMOTE_8 = Remote(
    sees_all=True,
    aborts_all=True,
    cancels_cron=True,
    drops_queue=True,
    reload_takes_marks=False,
    admission_ms=15_000,
)


class Semantics(NamedTuple):
    """What one range of OpenClaw versions does.

    Attributes:
        name: the range, such as "5.x".
        first, last: the first and last verified version.
        cooling: how long failed profiles cool, and which one is next.
        reading: how errors are read.
        marking: which failures are marked.
        attention: how its watcher judges sessions that do not move, and what it does about them.
        policy: how a run continues after an attempt.
        retries: how often a failing account is asked again before the run rotates.
        lane_limits: turns at a time per global lane, unless configured.
        config_keys: which settings it knows.
        remote: what its gateway reports and does for a local client.
        copilot_exchanges: GitHub Copilot is asked with a short-lived token that the GitHub token is exchanged for; else
            with the GitHub token itself, at the host that GitHub names for its user.
    """

    name: str
    first: tuple[int, int, int]
    last: tuple[int, int, int]
    cooling: Schedule
    reading: ErrorDialect
    marking: Marking
    lane_limits: Mapping[str, int]
    config_keys: ConfigKeys
    remote: Remote
    attention: AttentionRules
    policy: RunPolicy = RunPolicy()
    retries: SameAccountRetries = SameAccountRetries()
    copilot_exchanges: bool = True


def _lanes(**limits: int) -> Mapping[str, int]:
    return MappingProxyType({name.replace("_", "-"): limit for name, limit in limits.items()})


_3_28 = Semantics(
    "3.28",
    first=(2026, 3, 28),
    last=(2026, 3, 28),
    cooling=_COOLING_3_28,
    reading=ErrorDialect.V3_28,
    marking=Marking(never=frozenset({"timeout"})),
    lane_limits=_lanes(main=4, subagent=8, cron=1),
    config_keys=_KEYS_3_28,
    policy=RunPolicy(marks_first=True, capped=False),
    attention=AttentionRules(recovers=False),
    remote=Remote(grants=False, aborts_stuck=False, keeps_start=True, rereads_on_write=False, resumes_ms=0),
)
_5_X = Semantics(
    "5.x",
    first=(2026, 5, 18),
    last=(2026, 6, 1),
    cooling=_COOLING_5,
    reading=ErrorDialect.V5_20,
    marking=_MARKED_5,
    lane_limits=_lanes(main=4, subagent=8, cron=1, cron_nested=1),
    config_keys=_KEYS_5,
    attention=AttentionRules(),
    remote=Remote(silent_when_out=True, model_clears_pin=True),
)
_6_11 = _5_X._replace(
    name="6.11",
    first=(2026, 6, 5),
    last=(2026, 6, 11),
    cooling=_COOLING_6,
    reading=ErrorDialect.V6_11,
    marking=_MARKED_6,
    lane_limits=_lanes(main=4, subagent=8, cron=8, cron_nested=8),
    attention=_ATTENTION_6,
    remote=Remote(cancels_cron=True, model_clears_pin=True),
    policy=RunPolicy(leaves_timeouts_to_harness=True, empty_retries=3),
)
_7_1 = _6_11._replace(
    name="7.1",
    first=(2026, 7, 1),
    last=(2026, 7, 1),
    cooling=_COOLING_6._replace(name="7.1"),
    reading=ErrorDialect.V7_1,
    marking=_MARKED_7,
    attention=_ATTENTION_7,
    policy=_6_11.policy._replace(budget_ends=True, escalates_lost_models=True),
)
_8_X = _7_1._replace(
    name="8.x",
    first=(2026, 8, 2),
    last=(2026, 8, 2),
    cooling=_COOLING_8,
    reading=ErrorDialect.V8_2,
    marking=_MARKED_8,
    lane_limits=_lanes(main=4, subagent=8, cron=8, cron_nested=8, nested=1),
    config_keys=_KEYS_8,
    attention=_ATTENTION_8,
    retries=SameAccountRetries(
        frozenset({"rate_limit"}),
        most_rate_limited=3,
        first_ms=10_000,
        longest_ms=60_000,
        doubling=False,
        caps_waits=True,
    ),
    remote=_REMOTE_8,
    policy=_7_1.policy._replace(
        certificates_skip_accounts=True,
        keeps_first_reason=True,
        needs_replay=True,
        refreshes_logins=True,
        empty_is_unknown=True,
        empty_server_errors=True,
        own_status=False,
        final_codes=frozenset({"cli_max_turns"}),
    ),
    copilot_exchanges=False,
)
_9_X = _8_X._replace(
    name="9.x",
    first=(2026, 9, 6),
    last=(2026, 9, 6),
    cooling=_COOLING_9,
    reading=ErrorDialect.V9_6,
    attention=_ATTENTION_8._replace(sees_deadlines=True),
    remote=_REMOTE_8._replace(reload_takes_marks=True, stores_queue=True),
    retries=SameAccountRetries(
        frozenset({"rate_limit", "overloaded", "server_error", "timeout"}),
        most=8,
        most_rate_limited=9,
        reads_words=True,
    ),
    policy=RunPolicy(
        leaves_timeouts_to_harness=True,
        budget_ends=True,
        certificates_skip_accounts=True,
        escalates_lost_models=True,
        keeps_first_reason=True,
        pauses=False,
        logs_continuing=True,
        needs_replay=True,
        refreshes_logins=True,
        empty_retries=3,
        empty_is_unknown=True,
        final_codes=frozenset({"cli_max_turns", "cli_turn_stopped"}),
    ),
)

SEMANTICS: Mapping[str, Semantics] = MappingProxyType({row.name: row for row in (_3_28, _5_X, _6_11, _7_1, _8_X, _9_X)})
"""Oldest first."""

_STANDS_FOR: Mapping[Generation | None, Semantics] = MappingProxyType(
    {None: _5_X, Generation.A: _3_28, Generation.B: _5_X, Generation.C: _6_11, Generation.D: _9_X}
)
"""The row for a directory of unknown version, by its files."""


class Chosen(NamedTuple):
    """A row of `SEMANTICS`, with a note about it: None if the version was verified."""

    row: Semantics
    note: str | None


@lru_cache(maxsize=64)
def semantics_of(version: str | None, generation: Generation | None) -> Chosen:
    """What an OpenClaw does, by its version; where that is not known, by its storage generation.

    An unverified version takes the nearest earlier row (the oldest row if there is none) and says so.
    """
    number = _numbers(version)
    if number is None:
        row = _STANDS_FOR[generation]
        what = "nor which generation this is" if generation is None else f"but its files are of generation {generation}"
        return Chosen(row, f"the version of OpenClaw is not known, {what}: treated as {row.name}")
    earlier = [row for row in SEMANTICS.values() if row.first <= number]
    row = earlier[-1] if earlier else next(iter(SEMANTICS.values()))
    if row.first <= number <= row.last:
        return Chosen(row, None)
    near = "{}.{}.{}".format(*(row.last if earlier else row.first))
    name = "{}.{}.{}".format(*number)
    return Chosen(row, f"OpenClaw {name} is not verified; treated as {near}")


def known_versions() -> tuple[str, ...]:
    """The newest verified version of each row, oldest first."""
    return tuple("{}.{}.{}".format(*row.last) for row in SEMANTICS.values())


def is_version(version: str | None) -> bool:
    """Whether the text names a release, such as `2026.9.6` or `2026.7.1-2`."""
    return _numbers(version) is not None


def why_too_new(version: str | None) -> str:
    """Why a version's storage is not known; empty up to the last verified version, and if there is no version."""
    number, last = _numbers(version), tuple(SEMANTICS.values())[-1].last
    if number is None or number <= last:
        return ""
    return "OpenClaw {}.{}.{} is newer than {}.{}.{}, the newest that is known".format(*number, *last)


_VERSION = regex(r"v?(\d{4})\.(\d{1,2})\.(\d{1,3})")


def _numbers(version: str | None) -> tuple[int, int, int] | None:
    match = _VERSION.match((version or "").strip())
    return None if match is None else (int(match[1]), int(match[2]), int(match[3]))
