"""Types for what differs between OpenClaw versions. `generations` has the rows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from clawtop.core.provider_ids import ProviderNames

MINUTE_MS = 60_000
HOUR_MS = 60 * MINUTE_MS
DAY_MS = 24 * HOUR_MS

LATEST_DATE_MS = 8_640_000_000_000_000
"""The latest time that a JavaScript date can hold: from 2026.6.5 on a later time is not a window."""


TRANSIENT_REASONS = frozenset(
    {"rate_limit", "overloaded", "unknown", "empty_response", "no_error_details", "unclassified", "timeout"}
)


class DoublingWindow(NamedTuple):
    """A window that doubles with each failure: `base_ms`, twice that, and so on up to `max_ms`."""

    base_ms: float
    max_ms: float
    least_base_ms: float = MINUTE_MS
    doublings: int = 10

    def after(self, failures: float) -> int:
        """Length of the window in ms at the `failures`-th failure."""
        base = max(self.least_base_ms, self.base_ms)
        longest = max(base, self.max_ms)
        window = min(longest, base * 2 ** min(max(1, failures) - 1, self.doublings))
        return math.floor(window + 1e-4)  # 0.07 h come out a hair below their last millisecond


class Schedule(NamedTuple):
    """How long a failed profile cools in one range of OpenClaw versions, which profile is next, and which is probed.

    Attributes:
        name: the range's, as in `generations.SEMANTICS`.
        names: how provider names are read.
        reasons: failure reasons it knows, the most specific first; ties go to the earlier.
        billing, auth_permanent: windows of disabled profiles.
        rate_limit: window of a rate limit that doubles; None where it follows `steps_ms` like any other failure.
        steps_ms: cooldown at the first, second, and every later failure in a row.
        failure_window_ms: without a failure for longer than this, counters start over.
        surviving_counts: failure counts that outlive their window; only success or a clear resets them.
        scoped_reasons: reasons that cool only the failing model, when it is known.
        knows_blocks: a subscription's announced block counts (2026.5 and later).
        blocks_yield_to_scope: the window of another model makes a profile eligible although its subscription is
            blocked (2026.5; later generations check the block first).
        blocks_have_scope: a blocked window may concern one model only.
        soonest_joins_model: the windows of the requested model count as one that ends with the last of them (not in
            2026.3).
        reason_from_window: the window's own reason explains why profiles are unavailable, before failure counts.
        provider_blocks_win: a rate limit during a block that the provider announced changes nothing.
        success_is_probe: a success is also noted as the last probe.
        order_by_model: the order depends on the requested model.
        repairs_stored_order: a stored order whose ids are all gone falls back to the store's profiles, sorted afresh.
        expired_logins_last: an OAuth login past its expiry comes after fresh ones.
        replaced_pins: whose pins are replaced if their profile is cooling and another is usable: "user", "auto", both
            or none.
        pins_stay: a person's pin is never replaced, whatever cools; and where all profiles cool, no other pin is set.
        linked_pins_stay: so does a pin of source "user-link" (2026.9).
        compactions_move_pins: an automatic pin moves on after each compaction.
        pins_go_back: such a pin returns to an earlier profile of a stored or configured order that recovered from a
            rate limit.
        user_pins_outlive_order: a person's pin may name a profile outside the order (2026.5 and later).
        suspends: a candidate whose profiles all cool suspends the session's lanes instead of being skipped only.
        suspends_session: it suspends the session itself (2026.8 and later).
        probes_without_fallback: a model without a fallback is probed whenever the throttle is open.
        probes_rate_limits: the same for a rate limit whose end no provider announced.
        transient_reasons: reasons for which a fallback model is tried although its provider is cooling.
        latest_ms: later times are not windows.
        configurable: `auth.cooldowns` of openclaw.json is read.
        permanent_as_billing: what it sets for billing holds for `auth_permanent` as well.
    """

    name: str
    names: ProviderNames
    reasons: tuple[str, ...]
    billing: DoublingWindow
    auth_permanent: DoublingWindow
    rate_limit: DoublingWindow | None = None
    steps_ms: tuple[int, ...] = (30_000, 60_000, 300_000)
    failure_window_ms: float = DAY_MS
    surviving_counts: frozenset[str] = frozenset()
    scoped_reasons: frozenset[str] = frozenset({"rate_limit"})
    knows_blocks: bool = True
    blocks_yield_to_scope: bool = False
    blocks_have_scope: bool = False
    soonest_joins_model: bool = True
    reason_from_window: bool = False
    provider_blocks_win: bool = False
    success_is_probe: bool = False
    order_by_model: bool = False
    repairs_stored_order: bool = False
    expired_logins_last: bool = False
    replaced_pins: frozenset[str] = frozenset({"user", "auto"})
    pins_stay: bool = False
    linked_pins_stay: bool = False
    compactions_move_pins: bool = True
    pins_go_back: bool = False
    user_pins_outlive_order: bool = True
    suspends: bool = True
    suspends_session: bool = False
    probes_without_fallback: bool = False
    probes_rate_limits: bool = False
    transient_reasons: frozenset[str] = TRANSIENT_REASONS
    latest_ms: float = LATEST_DATE_MS
    configurable: bool = True
    permanent_as_billing: bool = False

    def cooldown_ms(self, errors: float) -> int:
        """Length of a cooldown at the `errors`-th error in a row."""
        return self.steps_ms[min(max(math.ceil(errors), 1), len(self.steps_ms)) - 1]

    def window_ms(self, reason: str, errors: float, failures: float) -> int:
        """Length of the window that `reason` opens, in ms.

        Args:
            errors: errors in a row, this one included.
            failures: failures of this reason, this one included.
        """
        backoff = self.disabling(reason) or (self.rate_limit if reason == "rate_limit" else None)
        return self.cooldown_ms(errors) if backoff is None else backoff.after(failures)

    def disabling(self, reason: str) -> DoublingWindow | None:
        """The backoff of a reason that disables a profile instead of cooling it."""
        if reason == "billing":
            return self.billing
        return self.auth_permanent if reason == "auth_permanent" else None

    @property
    def longest_ms(self) -> int:
        """No window of this schedule is longer, except blocks that the provider announced."""
        rate_limit = 0 if self.rate_limit is None else self.rate_limit.max_ms
        return math.ceil(max(*self.steps_ms, self.billing.max_ms, self.auth_permanent.max_ms, rate_limit))


# --- sessions: locks, fences, attention ---------------------------------------------------------------------------


class SessionLockRules(NamedTuple):
    """How a storage generation judges `<session>.jsonl.lock`.

    Attributes:
        orphan_grace_ms: how old a lock without usable content must be before it goes, at most `stale_ms`.
        short_orphan_grace_ms: the same for a waiter whose own timeout is shorter than the grace.
        knows_argv: the lock of a live owner that does not look like OpenClaw is removed.
        argv_after_stale: that reason is added to others, instead of only when there are none.
        orphan_needs_no_ticks: only a lock without start time can be an orphan of the waiter's own process.
        report_only: reasons for which the waiter fails with an error but leaves the file.
        respects_max_hold: whether the owner's own maxHoldMs counts.
    """

    orphan_grace_ms: float
    short_orphan_grace_ms: int | None = None
    knows_argv: bool = True
    argv_after_stale: bool = False
    orphan_needs_no_ticks: bool = False
    report_only: frozenset[str] = frozenset()
    respects_max_hold: bool = False


class Accepts(StrEnum):
    """Which changes other than clawtop's own writes do not count as a takeover.

    NOTHING: 2026.3.28, 2026.5.18. ASSISTANT_APPENDS: 2026.5.20. SAME_BYTES: 2026.6.11, a file whose ctime alone moved.
    """

    NOTHING = "nothing"
    ASSISTANT_APPENDS = "assistant-appends"
    SAME_BYTES = "same-bytes"


class WriteLockSettings(NamedTuple):
    """How the limits of the session write lock are set.

    Attributes:
        acquire_ms: how long a turn waits for the lock unless that is set.
        configurable: the environment and `session.writeLock` are read at all.
        whole_numbers: a variable counts only when it is written in plain digits.
    """

    acquire_ms: int = 60_000
    configurable: bool = True
    whole_numbers: bool = False


class ErrorDialect(StrEnum):
    """How errors are read: the version whose tables and order are followed (`core.failure.dialect`)."""

    V3_28 = "3.28"
    V5_20 = "5.20"
    V6_11 = "6.11"
    V7_1 = "7.1"
    V8_2 = "8.2"
    V9_6 = "9.6"


class AttentionRules(NamedTuple):
    """How a gateway's watchdog judges a session without progress, and what it does about it.

    Attributes:
        configurable: `diagnostics.stuckSession*Ms` are read.
        recovers: it acts; else it only logs (2026.3).
        silence_aborts: a run is aborted once it has shown no sign of life for the abort threshold; else once the
            session has not changed for that long, whatever the run did meanwhile.
        models_may_think: a silent model call counts only as long-running until the abort threshold.
        orphans_are_stuck: work without a run, on an idle session with waiting messages, counts as stuck.
        sees_requests: requests that repeat without progress count, and so does the time that a model call may take.
        sees_tool_ends: so does the deadline of a tool call (2026.8).
        sees_deadlines: so do waits for a provider, and the deadlines of backends (2026.9).
        least_tool_ms: a tool call without a deadline is not aborted before this.
        lone_calls_abort: a model call without a run can be aborted too.
        reclaims_silent: a run that has been silent for the abort threshold while messages wait is aborted although
            the watcher did not ask for that.
        lane_task_ms: a task that nothing else accounts for keeps its lane for at most this long.
        clears_idle: a session that is marked as working, without any work, is set to idle.
    """

    configurable: bool = True
    recovers: bool = True
    silence_aborts: bool = False
    models_may_think: bool = False
    orphans_are_stuck: bool = False
    sees_requests: bool = False
    sees_tool_ends: bool = False
    sees_deadlines: bool = False
    least_tool_ms: float = 0
    lone_calls_abort: bool = False
    reclaims_silent: bool = False
    lane_task_ms: float = math.inf
    clears_idle: bool = False


# --- how a version handles a failure ------------------------------------------------------------------------------


class Marking(NamedTuple):
    """Which failures count against the profile that met them.

    Attributes:
        never: reasons that leave no mark.
        timeouts_once_started: a timeout marks too, provided that the provider had begun to answer.
        spared_locally, spared_if_passing: what leaves no mark in a run whose passing failures do not count (policy
            `local_transient`): always, or only if the failure is known to pass.
    """

    never: frozenset[str]
    timeouts_once_started: bool = False
    spared_locally: frozenset[str] = frozenset()
    spared_if_passing: frozenset[str] = frozenset()


class RunPolicy(NamedTuple):
    """How a run continues after an attempt, where that differs from 2026.5.

    Attributes:
        leaves_timeouts_to_harness: timeouts of a harness that owns its transport rotate nothing (2026.6.11); and a
            failure that is known outranks a timeout as the reason for the next model.
        budget_ends: a run past its own time limit, or ended by a signal, neither rotates nor falls back (2026.7).
        certificates_skip_accounts: a bad certificate goes to the next model at once.
        escalates_lost_models: a missing model counts at the end of the retries, too.
        keeps_first_reason: a retry remembers the failure before a mere timeout.
        marks_first: it marks the account before it rotates, and waits for the mark (2026.3).
        capped: a run rotates only so many times before it tries the next model (`steps.OPENCLAW_CAPS`; not in 2026.3).
        pauses: it pauses before a retry or the next model where that is configured (up to 2026.7).
        logs_continuing: it also logs that a run continues as if nothing had failed.
        needs_replay: an attempt that had effects is not repeated with any account or model.
        refreshes_logins: after a credential failure the login is refreshed first.
        empty_retries: how often an empty answer is retried (from 2026.6 on before anything else is done about it).
        empty_is_unknown: one without a class goes to the next model once the retries are spent (2026.8).
        empty_server_errors: so is one whose text is an error of the server (2026.8).
        own_status: a failure carries the status that the provider gave; else the one that stands for its reason.
        final_codes: codes with which a harness ends a run for good.
    """

    leaves_timeouts_to_harness: bool = False
    budget_ends: bool = False
    certificates_skip_accounts: bool = False
    escalates_lost_models: bool = False
    keeps_first_reason: bool = False
    marks_first: bool = False
    capped: bool = True
    pauses: bool = True
    logs_continuing: bool = False
    needs_replay: bool = False
    refreshes_logins: bool = False
    empty_retries: int = 0
    empty_is_unknown: bool = False
    empty_server_errors: bool = False
    own_status: bool = True
    final_codes: frozenset[str] = frozenset()


class SameAccountRetries(NamedTuple):
    """How often the same account is retried before a run rotates; by default never.

    Attributes:
        reasons: failures that are retried.
        most, most_rate_limited: retries in one run; in runs that hit a rate limit.
        first_ms, longest_ms: the first wait, and the longest.
        doubling: each wait is twice the previous one; else it grows by the first wait each time.
        caps_waits: a longer wait that the provider asks for is cut to the longest.
        within_ms: no retry later than this after the first failure, rate limits apart.
        reads_words: an error's text is searched for evidence that the same request may succeed.
    """

    reasons: frozenset[str] = frozenset()
    most: int = 0
    most_rate_limited: int = 0
    first_ms: float = 1_000
    longest_ms: float = 30_000
    doubling: bool = True
    caps_waits: bool = False
    within_ms: float = 90_000
    reads_words: bool = False


class ConfigKeys(NamedTuple):
    """Which settings about profiles, cooldowns and locks a version knows.

    Attributes:
        known: section -> its keys; sections that are not listed are not checked.
        retired: settings that it does not have, or no longer has.
        refuses_unknown: on a reload, a gateway rejects the whole file because of an unknown key.
    """

    known: Mapping[str, frozenset[str]]
    retired: frozenset[str] = frozenset()
    refuses_unknown: bool = False


class Remote(NamedTuple):
    """What a gateway reports and does over its WebSocket for a local client that was never paired.

    Attributes:
        grants: it grants such a client the requested rights (2026.3 grants none).
        sees_all: `hasActiveRun` counts every run; else only those that were asked for over its own API, not those of
            cron, heartbeat and channels.
        aborts_all: `sessions.abort` reaches every run that it sees; else only those asked for over its API.
        cancels_cron: `tasks.cancel` ends the run of a cron job.
        drops_queue: an abort also drops what waits behind the run.
        stores_queue: everything that waits is in its databases; else messages from chats and channels wait in its
            memory, and only command-line turns leave a record.
        aborts_stuck: it aborts a run itself if that makes no progress for `Attention.abort_ms`.
        reload_takes_marks: `secrets.reload` makes it load cooldowns and orders from the store.
        keeps_start: it keeps the orders and marks it loaded at its start until it is restarted.
        rereads_on_write: it re-reads the store whenever it writes a mark of its own.
        silent_when_out: while every profile is unusable it tries none, and so writes no mark.
        model_clears_pin: any choice of a model with `/model` removes an auth profile's pin from the session.
        admission_ms: how long an admitted run may leave no trace on the disk.
        attempts_ms: how long after a failed attempt the next one of the same turn may leave its first trace. When every
            model has failed, 2026.3 to 2026.8 start over once, 2.5 s later, if the error is one of HTTP that may pass
            (`TRANSIENT_HTTP_RETRY_DELAY_MS`: agent-runner of 3.28 and 8.2, agent-runner-execution of 5.20,
            reply-usage-state of 6.11); a run that starts has taken up to 12 s on a busy machine.
        resumes_ms: for how long after its start it may resume runs that a crash interrupted; 0: it does not.
    """

    grants: bool = True
    sees_all: bool = False
    aborts_all: bool = False
    cancels_cron: bool = False
    drops_queue: bool = False
    stores_queue: bool = False
    aborts_stuck: bool = True
    reload_takes_marks: bool = True
    keeps_start: bool = False
    rereads_on_write: bool = True
    silent_when_out: bool = False
    model_clears_pin: bool = False
    admission_ms: int = 5_000
    attempts_ms: int = 15_000
    resumes_ms: int = MINUTE_MS
