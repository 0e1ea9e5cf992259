"""Seeded bugs: each is one small change of the package that named tests must catch.

`old` stands exactly once in the whole package, wherever its code has moved to; a change of that line is a reason to
look at its bug again. `caught_by` are test ids, of which one failure is enough.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """A seeded bug. `name` says what the program would do wrong."""

    name: str
    old: str
    new: str
    caught_by: tuple[str, ...]


MUTANTS: tuple[Mutant, ...] = (
    # --- one prompt holder per session -------------------------------------------------------------------------------
    Mutant(
        "a second run gets a prompt that is held",
        "if state.holder is None and state.closing is None and (not ahead or _turn_is_over(state, now)):",
        "if state.closing is None and (not ahead or _turn_is_over(state, now)):",
        ("tests/core/test_admission.py::test_waiters_queue_in_order_and_the_first_is_woken",),
    ),
    Mutant(
        "a session that a drain closed is given to a new run",
        "if state.holder is None and state.closing is None and (not ahead or _turn_is_over(state, now)):",
        "if state.holder is None and (not ahead or _turn_is_over(state, now)):",
        ("tests/core/test_admission.py::test_a_closed_session_grants_nothing_until_it_opens_or_expires",),
    ),
    Mutant(
        "a newcomer overtakes the queue",
        "and (not ahead or _turn_is_over(state, now)):",
        "and (not ahead or now):",
        ("tests/core/test_admission.py::test_a_free_session_belongs_to_its_first_waiter",),
    ),
    Mutant(
        "another drain takes a closed session over",
        "if state.closing is not None and state.closing.drain_id != request.closing.drain_id:",
        "if state.closing is not None and state.closing.drain_id == request.closing.drain_id:",
        ("tests/core/test_admission.py::test_a_second_drain_does_not_replace_the_first_but_a_resumed_one_does",),
    ),
    # --- rotate, then mark; nobody waits for a mark ------------------------------------------------------------------
    Mutant(
        "a run marks before it rotates",
        "return counted, (Rotate(), *marks)",
        "return counted, (*marks, Rotate())",
        ("tests/core/test_failover.py::test_rotation_comes_before_the_mark_on_both_sides",),
    ),
    Mutant(
        "a run waits for its mark",
        "self._resources.mark(self._turn, profile, self._model, None)",
        "self._resources.mark(self._turn, profile, self._model, None); await self._resources.marks.drained()",
        ("tests/engine/test_driver.py::test_a_run_ends_while_its_marks_cannot_land",),
    ),
    Mutant(
        "a mark that is pending does not count",
        "return merge(stats, marks, self._schedule(marks[0].provider)).stats if marks else stats",
        "return stats",
        ("tests/engine/test_marks.py::test_noting_does_not_wait_and_counts_at_once",),
    ),
    Mutant(
        "a mark that can neither land nor be written down is lost in silence",
        "lost = tuple(item.mark for item in left if not self._spooled(item, CLOSE_WAIT_S))",
        "lost = tuple(item.mark for item in left if item.landing and item.mark.success)",
        ("tests/engine/test_marks.py::test_a_mark_that_can_neither_land_nor_be_written_down_is_returned_and_told",),
    ),
    Mutant(
        "a failure is written down only once its store is seen to be busy",
        "if not mark.success and not self._spooled(item, self._note_wait_s):",
        "if not mark.success:",
        ("tests/engine/test_five_threads.py::test_a_failure_is_on_disk_before_the_next_account_is_asked",),
    ),
    # --- coordination is no model failure; a timeout ends the run ----------------------------------------------------
    Mutant(
        "a coordination error walks the chain of models",
        "        FailureKind.USER_ABORT,\n        FailureKind.COORDINATION,\n",
        "        FailureKind.USER_ABORT,\n",
        ("tests/core/test_fallback.py::test_a_coordination_error_on_the_second_candidate_keeps_the_record_as_it_was",),
    ),
    Mutant(
        "a timeout goes on to the next model",
        "if failure.reason is FailureReason.TIMEOUT and state.timeouts is TimeoutPolicy.TERMINAL:",
        "if failure.reason is FailureReason.TIMEOUT and state.timeouts is TimeoutPolicy.FALLBACK:",
        ("tests/core/test_fallback.py::test_a_timeout_ends_the_run_unless_the_operator_chose_otherwise",),
    ),
    Mutant(
        "a run goes round its profiles again and again",
        "place = ids.index(current) + 1 if current is not None and current in ids else 0",
        "place = 0",
        ("tests/core/test_rotation.py::test_a_run_goes_through_the_order_once",),
    ),
    # --- windows -----------------------------------------------------------------------------------------------------
    Mutant(
        "a window lasts a millisecond too long",
        "return until is not None and 0 < until <= schedule.latest_ms and now < until",
        "return until is not None and 0 < until <= schedule.latest_ms and now <= until",
        ("tests/core/test_cooldown.py::test_expiry_takes_ended_windows_only",),
    ),
    Mutant(
        "a profile is usable a millisecond late",
        "if until is None or now >= until or (provider is not None and bypasses_cooldown(provider)):",
        "if until is None or now > until or (provider is not None and bypasses_cooldown(provider)):",
        ("tests/core/test_cooldown.py::test_a_window_ends_at_its_very_millisecond",),
    ),
    # --- locks -------------------------------------------------------------------------------------------------------
    Mutant(
        "a lock of an owner that cannot be seen is stale",
        'return Verdict(VerdictKind.UNKNOWN, (owner.why_unknown or "not-visible", *environment.obstacles))',
        'return Verdict(VerdictKind.STALE, ("dead-pid",))',
        ("tests/core/test_staleness.py::test_our_verdict",),
    ),
    Mutant(
        "a pid is proof on a network mount",
        "    if environment.obstacles:\n        return Verdict(VerdictKind.UNKNOWN, environment.obstacles)\n",
        "",
        ("tests/core/test_staleness.py::test_where_pids_may_be_someone_elses_nothing_is_proven",),
    ),
    Mutant(
        "another lock at that path is removed as the stale one",
        "    if now.identity != seen.identity:\n        return BreakResult(BreakOutcome.CHANGED)\n",
        "",
        ("tests/store/test_openclaw_lock.py::test_a_lock_that_changed_since_it_was_seen_stays",),
    ),
    Mutant(
        "another process's lock, displaced while a stale one was broken, is thrown away",
        "    if moved.identity == seen.identity:\n        atomic.remove(aside)\n",
        "    if moved.identity:\n        atomic.remove(aside)\n",
        (
            "tests/store/test_openclaw_lock.py::test_a_lock_replaced_between_proof_and_rename_is_put_back_with_its_identity",
        ),
    ),
    Mutant(
        "a lock that is not ours any more is released",
        "    if not still_ours(published):\n        return False\n",
        "",
        ("tests/store/test_openclaw_lock.py::test_release_leaves_a_successor_alone",),
    ),
    Mutant(
        "unlock removes a stale lock at the first look",
        "        await self.machine.clock.sleep(SECOND_LOOK_S)\n",
        "",
        ("tests/engine/test_operations.py::test_an_owner_that_is_seen_alive_at_the_second_look_keeps_its_lock",),
    ),
    Mutant(
        "a run removes a stale session lock at the first look",
        "if now - owner.since < SEEN_AGAIN_S or self._judge(seen).kind is not VerdictKind.STALE:",
        "if self._judge(seen).kind is not VerdictKind.STALE:",
        ("tests/engine/test_session_lock.py::test_a_stale_lock_stays_until_it_was_seen_twice",),
    ),
    Mutant(
        "a session lock is taken over before its owner is looked at twice",
        "            owner.lock, owner.since = seen, now\n            return False\n",
        "            owner.lock, owner.since = seen, now - SEEN_AGAIN_S\n",
        ("tests/engine/test_session_lock.py::test_a_stale_lock_stays_until_it_was_seen_twice",),
    ),
    Mutant(
        "a session lock that is held too long is never released",
        "self._watchdog = self._clock.call_later(seconds, self._overheld)",
        "self._watchdog = None",
        ("tests/engine/test_session_lock.py::test_the_watchdog_ends_a_hold_at_its_limit_and_not_before",),
    ),
    Mutant(
        "the fence ignores the ctime",
        "    if before == now:\n        return FileChange.NONE\n",
        "    if (before.exists, before.dev, before.ino, before.size, before.mtime_ns) == (\n"
        "        now.exists, now.dev, now.ino, now.size, now.mtime_ns\n    ):\n        return FileChange.NONE\n",
        ("tests/core/test_fence.py::test_change",),
    ),
    # --- drain -------------------------------------------------------------------------------------------------------
    Mutant(
        "a drain says drained before the transcript was unchanged for long enough",
        "    if scene.now < until:\n",
        "    if scene.now < scene.now:\n",
        ("tests/core/test_drain.py::test_a_quiet_session_is_drained_after_it_was_still",),
    ),
    Mutant(
        "a drain removes a stale lock at the first look",
        "if scene.now - progress.stale_since >= SEEN_AGAIN_MS:",
        "if scene.now - progress.stale_since >= 0:",
        ("tests/core/test_drain.py::test_a_stale_lock_goes_only_after_it_was_seen_twice",),
    ),
    Mutant(
        "a writer does not restart a drain's proof",
        "progress = replace(progress, fingerprint=scene.fingerprint, still_since=scene.now)",
        "progress = replace(progress, fingerprint=scene.fingerprint, still_since=progress.still_since or scene.now)",
        ("tests/core/test_drain.py::test_a_writer_restarts_the_proof",),
    ),
    Mutant(
        "a gateway that said no before a next attempt could have begun ends the doubt about it",
        "if doubt is None or doubt.at is None or at - doubt.at < remote.admission_ms:",
        "if doubt is None or doubt.at is None:",
        (
            "tests/core/test_gateway_witness.py"
            "::test_a_failed_attempt_was_the_last_if_the_gateway_says_no_long_enough_after_it",
        ),
    ),
    Mutant(
        "the run of a command-line backend is over because it holds no lock",
        "ends = [w for w in heard if w.running is False and not (own and w.kind is WitnessKind.LOCK)]",
        "ends = [w for w in heard if w.running is False]",
        ("tests/core/test_backend_runs.py::test_a_run_in_a_process_of_its_own_takes_no_lock",),
    ),
    # --- operations --------------------------------------------------------------------------------------------------
    Mutant(
        "undo by id ignores a state that moved on",
        "    if newer:\n        raise RefusedError(",
        "    if newer and operation_id is None:\n        raise RefusedError(",
        ("tests/core/test_plan.py::test_undo_is_refused_when_the_state_has_moved_on_named_or_not",),
    ),
    Mutant(
        "an operation writes although the state is not what its preview showed",
        "if _by_place(now) != _by_place(step.changes):",
        "if False and _by_place(now) != _by_place(step.changes):",
        ("tests/engine/test_operations.py::test_a_plan_is_pinned_to_what_it_showed",),
    ),
    Mutant(
        "an operation is executed although the journal could not record it",
        """raise OperationFailedError(
                error.title, unchanged="nothing was changed", hint="nothing is done unrecorded"
            ) from error""",
        "return",
        ("tests/engine/test_operations.py::test_what_cannot_be_journaled_is_not_done",),
    ),
    Mutant(
        "an undone operation can be undone again",
        'undone.add(event.data["undoes"])',
        "undone.add(event.text)",
        ("tests/core/test_plan.py::test_what_was_undone_is_not_undone_again_and_undos_do_not_alternate",),
    ),
    Mutant(
        "an armed dashboard never disarms itself",
        "        if over:\n            self._ends = None\n        return over\n",
        "        return over\n",
        ("tests/ui/test_operations.py::test_a_dashboard_that_disarmed_itself_meanwhile_does_nothing",),
    ),
    Mutant(
        "a plan is carried out although it is no longer the one that was shown",
        "if args.plan is not None and args.plan != plan.fingerprint:",
        'if args.plan is not None and args.plan == "":',
        ("tests/cli/test_operations_cli.py::test_a_plan_that_is_no_longer_the_one_shown_is_refused",),
    ),
    # --- secrets and control bytes -----------------------------------------------------------------------------------
    Mutant(
        "a short secret inside a long one uncovers the rest",
        "masked_to = shown_to = max(masked_to, end)",
        "masked_to = shown_to = end",
        ("tests/test_text.py::test_a_short_secret_inside_a_long_one_uncovers_nothing",),
    ),
    Mutant(
        "escape sequences reach the terminal",
        "found = self[point] = _escaped(char) if unicodedata.category(char) in _HIDDEN else char",
        'found = self[point] = _escaped(char) if unicodedata.category(char) in _HIDDEN - {"Cc"} else char',
        ("tests/test_text.py::test_safe_text_has_no_hidden_characters_and_is_one_line",),
    ),
    Mutant(
        "the journal keeps secrets",
        '    told["text"] = masked(event.text)\n',
        "",
        ("tests/store/test_journal.py::test_prose_is_masked_and_undo_is_exact",),
    ),
    Mutant(
        "recordings keep secrets",
        "    if isinstance(value, str):\n        return masked(value)\n    if isinstance(value, dict):\n",
        "    if isinstance(value, str):\n        return value\n    if isinstance(value, dict):\n",
        ("tests/store/test_recording.py::test_no_secret_gets_in_and_odd_strings_survive",),
    ),
    # --- what is shown -----------------------------------------------------------------------------------------------
    Mutant(
        "a filter drops its last hit",
        "    following = (*rows[1:], None)\n",
        "    following = rows[1:]\n",
        ("tests/view/test_columns.py::test_a_filter_keeps_every_hit_the_last_row_too",),
    ),
    Mutant(
        "sessions of two agents with one key become one row",
        'row = TableRow(f"{session.agent}|{session.key}", session, target)',
        "row = TableRow(session.key, session, target)",
        ("tests/view/test_rows.py::test_sessions_of_two_agents_with_one_key_are_two_rows_and_stay_two",),
    ),
    Mutant(
        "a recorder loses events once its tail is full",
        "if before is None or value.events != before.events else []",
        "if before is None or len(value.events) != len(before.events) else []",
        ("tests/store/test_recording.py::test_every_event_is_recorded_while_the_tail_of_events_stays_full",),
    ),
    Mutant(
        "a snapshot that comes while another is prepared is lost",
        "            self._latest = snapshot\n            self._woken.set()\n        else:\n",
        "            self._latest = self._latest or snapshot\n            self._woken.set()\n        else:\n",
        ("tests/ui/test_preparation.py::test_of_those_that_come_meanwhile_the_latest_is_shown",),
    ),
    Mutant(
        "two preparations run at once",
        "if self._in_thread or rows > LARGE:",
        "if rows > LARGE:",
        ("tests/ui/test_preparation.py::test_while_a_large_one_is_prepared_nothing_else_is",),
    ),
    Mutant(
        "the hub reads twenty times a second",
        "                    interval = MIN_INTERVAL\n",
        "                    interval = QUIET_INTERVAL\n",
        ("tests/engine/test_hub.py::test_a_state_that_changes_all_the_time_is_read_four_times_a_second",),
    ),
    Mutant(
        "the hub delivers what did not change",
        "if self._failing or not same_content(self._latest, snapshot):",
        "if self._failing or snapshot is not self._latest:",
        ("tests/engine/test_hub.py::test_the_first_snapshot_comes_at_once_and_equal_ones_are_not_delivered",),
    ),
    Mutant(
        "a jump goes to the session of another agent with the same key",
        "                and target.agent in (None, found.agent)\n",
        "",
        ("tests/ui/test_dashboard.py::test_of_two_agents_with_one_session_key_the_right_one_is_found",),
    ),
    # --- several hosts -----------------------------------------------------------------------------------------------
    Mutant(
        "the lease is not checked behind an append",
        "            if not members or members[0].created != self._created:\n",
        "            if members and members[0].created != self._created:\n",
        ("tests/sim/test_leases.py::test_a_line_written_without_a_lease_is_never_acknowledged",),
    ),
    Mutant(
        "a host that hangs keeps its place among those that are being connected",
        "        timer = self._clock.call_later(TURN_S, give)\n",
        "        timer = self._clock.call_later(GREETING_S, give)\n",
        ("tests/fleet/test_bad_hosts.py::test_two_hundred_hosts_and_a_quarter_of_them_hangs",),
    ),
    Mutant(
        "a remote command whose pipes stay open is waited for",
        "            self._transport.close()  # ssh's shared connection has our pipes too, and may keep them open\n",
        "",
        ("tests/fleet/test_bad_hosts.py::test_a_command_whose_pipes_outlive_it_is_ended_in_time",),
    ),
    Mutant(
        "a message for another host is visible in a command line",
        'first={"message": message})',
        'first={"message": message}, rest=[message])',
        ("tests/fleet/test_steered.py::test_the_message_goes_over_stdin_and_never_onto_a_command_line",),
    ),
    # --- what is told of a gateway, of its turns and of its fleet ----------------------------------------------------
    Mutant(
        "a run that keeps retrying a refusing account is reported too late",
        "if retry.number >= RETRYING_FROM and scene.now - retry.due <= UNANSWERED_MS",
        "if retry.number > RETRYING_FROM and scene.now - retry.due <= UNANSWERED_MS",
        ("tests/core/test_health.py::test_a_run_that_asks_a_refusing_account_again_and_again_is_not_all_well",),
    ),
    Mutant(
        "a run that stopped retrying is still called retrying",
        "if retry.number >= RETRYING_FROM and scene.now - retry.due <= UNANSWERED_MS",
        "if retry.number >= RETRYING_FROM",
        ("tests/core/test_health.py::test_a_run_that_asks_a_refusing_account_again_and_again_is_not_all_well",),
    ),
    Mutant(
        "a busy gateway is called frozen",
        "return gateway.usage.cpu + (gateway.usage.waiting or 0) >= BUSY_SHARE and silent_ms < BUSY_MS",
        "return gateway.usage.cpu >= 1 and silent_ms < BUSY_MS",
        ("tests/core/test_gateway_causes.py::test_silence_is_judged_by_what_the_process_does",),
    ),
    Mutant(
        "a gateway that wants a core and gets none is called frozen",
        "return gateway.usage.cpu + (gateway.usage.waiting or 0) >= BUSY_SHARE",
        "return gateway.usage.cpu >= BUSY_SHARE",
        ("tests/core/test_gateway_causes.py::test_silence_is_judged_by_what_the_process_does",),
    ),
    Mutant(
        "a frozen gateway is called busy forever",
        ">= BUSY_SHARE and silent_ms < BUSY_MS",
        ">= BUSY_SHARE",
        ("tests/core/test_gateway_causes.py::test_silence_is_judged_by_what_the_process_does",),
    ),
    Mutant(
        "a paused gateway is called frozen",
        "if gateway.usage is not None and gateway.usage.condition is ProcessCondition.PAUSED:",
        "if gateway.usage is not None and gateway.usage.condition is ProcessCondition.DISK:",
        ("tests/core/test_gateway_causes.py::test_silence_is_judged_by_what_the_process_does",),
    ),
    Mutant(
        "a gateway that has just started is called frozen",
        "    if young and not gateway.has_answered:\n        return Silence.STARTING\n",
        "",
        ("tests/core/test_gateway_causes.py::test_silence_is_judged_by_what_the_process_does",),
    ),
    Mutant(
        "a turn that was lost with a killed gateway is ignored",
        "    if any(at >= began for at in ends):\n        return None\n    signs",
        "    if ends or not session.witnesses:\n        return None\n    signs",
        ("tests/core/test_lost_turns.py::test_a_turn_that_went_with_its_gateway",),
    ),
    Mutant(
        "a turn that ended before the kill is called lost",
        "    if any(at >= began for at in ends):\n        return None\n    signs",
        "    signs",
        ("tests/core/test_lost_turns.py::test_a_turn_that_went_with_its_gateway",),
    ),
    Mutant(
        "queued inputs count for nothing while the gateway is unknown",
        "queued = len(live) if gateway.state is not GatewayState.UNKNOWN else len(waiting)",
        "queued = len(live)",
        ("tests/core/test_turns.py::test_inputs_that_may_wait_are_counted_where_the_gateway_is_not_known",),
    ),
    Mutant(
        "a session with queued inputs counts as idle while the gateway is unknown",
        "if claim is None and session.status != RUNNING and not waiting:",
        "if claim is None and session.status != RUNNING:",
        ("tests/core/test_turns.py::test_what_claims_and_queued_inputs_tell",),
    ),
    Mutant(
        "a claim of a former gateway counts as a run",
        "holds = claim is not None and alive and (began is None or claim.at >= began)",
        "holds = claim is not None and alive",
        ("tests/core/test_turns.py::test_what_claims_and_queued_inputs_tell",),
    ),
    Mutant(
        "--check reports that all is well whatever was found",
        "return int(health.level) if args.check else 0",
        "return 0",
        ("tests/cli/test_status.py::test_check_says_how_it_stands",),
    ),
    Mutant(
        "--check exits with the least severe level",
        "level=max((cause.level for cause in found), default=Level.WELL),",
        "level=min((cause.level for cause in found), default=Level.WELL),",
        ("tests/core/test_judgement.py::test_the_worst_of_several_causes_decides",),
    ),
    Mutant(
        "a suspension without a lane blocks",
        'return self.state == "suspended" and self.lane_id is not None and not over and not before',
        'return self.state == "suspended" and not over and not before',
        ("tests/core/test_health.py::test_a_suspension_blocks_while_the_gateway_holds_its_lane",),
    ),
    Mutant(
        "a suspension of a former gateway blocks",
        'return self.state == "suspended" and self.lane_id is not None and not over and not before',
        'return self.state == "suspended" and self.lane_id is not None and not over',
        ("tests/core/test_health.py::test_a_suspension_blocks_while_the_gateway_holds_its_lane",),
    ),
    Mutant(
        "a half-written configuration counts as an empty one",
        "    return ConfigRead(path, good.raw, (*problems, *good.problems), stamps)",
        "    return replace(found, stamps=stamps)",
        ("tests/store/test_config.py::test_while_it_is_half_written_the_last_good_one_counts",),
    ),
    Mutant(
        "a rotation moves what the store tries first and not what the gateway does",
        "head = used[0] if used and used[0] in order.ids else order.ids[0]",
        "head = order.ids[0]",
        ("tests/core/test_loading.py::test_a_rotation_moves_what_the_gateway_tries_and_not_what_was_just_cleared",),
    ),
    Mutant(
        "undo takes back an operation that never ended although its change is not there",
        "if newer and past.unfinished:",
        "if False and past.unfinished:",
        ("tests/core/test_plan.py::test_what_was_begun_and_never_ended_is_undone_first_where_it_stands",),
    ),
    Mutant(
        "an unreachable host is sorted before one whose bots are silent",
        "_ORDER = {2: 0, 3: 1, 1: 2, 0: 3}",
        "_ORDER = {3: 0, 2: 1, 1: 2, 0: 3}",
        (
            "tests/fleet/test_hosts.py::test_silent_bots_come_before_hosts_that_are_not_reached",
            "tests/fleet/test_hosts.py::test_the_exit_code_is_the_worst_hosts",
        ),
    ),
    Mutant(
        "hosts jump under the operator's cursor",
        "known = [by_name.pop(name) for name in names if name in by_name]",
        "known = [host for host in worst_first(hosts) if by_name.pop(host.name, None)]",
        ("tests/fleet/test_hosts.py::test_the_longer_wait_comes_first_and_order_can_be_kept",),
    ),
    Mutant(
        "an unreachable host counts as well because of its last report",
        "if self.link is not HostLink.LIVE or self.summary is None:",
        "if self.summary is None:",
        ("tests/fleet/test_hosts.py::test_what_a_host_said_last_does_not_make_it_well",),
    ),
    Mutant(
        "times are told in UTC whatever the operator's zone",
        "return at.astimezone(zone)",
        "return at",
        ("tests/view/test_humanize.py::test_clock_times_follow_the_zone_and_say_another_day",),
    ),
    Mutant(
        "text is cut before it is masked",
        "    return safe(masked(words), limit)",
        "    return masked(safe(words, limit))",
        ("tests/test_text.py::test_no_beginning_of_a_secret_is_shown_where_a_text_is_cut",),
    ),
    Mutant(
        "a link in the place of a file is followed",
        "_ALWAYS = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY",
        "_ALWAYS = os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY",
        ("tests/store/test_door.py::test_nothing_but_a_file_comes_through",),
    ),
    Mutant(
        "another user's file, or what is no file, is opened",
        "        _check(where, facts, owner, only_name=only_name)\n",
        "",
        ("tests/store/test_door.py::test_nothing_but_a_file_comes_through",),
    ),
    Mutant(
        "a hung source is asked again at every read",
        "            self._silent[source] = question\n",
        "",
        ("tests/store/test_timed_reads.py::test_a_source_that_hangs_is_asked_once_and_heard_late",),
    ),
    Mutant(
        "each hung source delays a read by its whole deadline",
        "seconds = NEXT_ANSWER_S if self._silent else self._seconds",
        "seconds = self._seconds",
        ("tests/store/test_timed_reads.py::test_only_the_first_source_that_hangs_takes_its_whole_time",),
    ),
    Mutant(
        "a recovery waits by the wall clock",
        "plan = await self._plan(work, report, first_seen, first_seen + waited_ms)",
        "plan = await self._plan(work, report, first_seen, self._clock.now_ms())",
        ("tests/engine/test_recoverer.py::test_the_wait_for_a_holder_ends_whatever_the_wall_clock_is_set_to",),
    ),
    Mutant(
        "an unused copy of a session is left behind",
        "            atomic.remove(os.fspath(child))  # an unused copy would be in the way of the next one\n",
        "",
        ("tests/engine/test_registry.py::test_a_fresh_session_that_cannot_be_taken_leaves_no_copy",),
    ),
    Mutant(
        "an expired lease is mistaken for another process's step",
        "if begins and (we is None or we.created != self._created):",
        "if begins and we is not None and we.created != self._created:",
        ("tests/sim/test_leases.py::test_who_asks_with_a_lease_that_is_over_is_told_so",),
    ),
    Mutant(
        "a gateway that was stopped for what it started is told to have been killed itself",
        "return found[-1].kill(is_gateway=found[-1].pid == watched[0]) if found else None",
        "return found[-1].kill(is_gateway=True) if found else None",
        ("tests/store/test_memory_kills.py::test_a_gateway_that_is_stopped_for_its_child_was_not_killed_itself",),
    ),
    # --- the shape of screens -----------------------------------------------------------------------------------------
    Mutant(
        "an arrow key scrolls a long table and leaves the cursor behind",
        "class LiveTable(Drawn, ScrollView, can_focus=True, inherit_bindings=False):",
        "class LiveTable(Drawn, ScrollView, can_focus=True):",
        (
            "tests/ui/test_dashboard.py::test_arrows_and_the_like_move_the_cursor_of_a_table_longer_than_the_screen",
            "tests/ui/test_fleet.py::test_every_key_of_movement_moves_the_cursor_of_a_table_longer_than_the_screen",
        ),
    ),
    Mutant(
        "the filter line stays open after Enter",
        '            self.query("FilterLine").remove()\n',
        "",
        ("tests/ui/test_fleet.py::test_a_filter_goes_with_its_line_and_can_be_typed_again_and_cleared",),
    ),
    # --- hosts, receipts and figures ----------------------------------------------------------------------------------
    Mutant(
        "arming one host arms every other",
        "        self.arming = ArmingSwitch(clock, locked=options.read_only)\n",
        '        self.arming = vars(ClawtopApp).get("kept") or ArmingSwitch(clock, locked=options.read_only)\n'
        '        setattr(ClawtopApp, "kept", self.arming)\n',
        ("tests/ui/test_fleet.py::test_arming_one_host_arms_neither_another_nor_the_same_one_later",),
    ),
    Mutant(
        "a host with old data is shown as if the data were current",
        "LINKS[host.link] if host.link is not HostLink.LIVE else STATES[host.level]",
        "LINKS[host.link] if host.link in {HostLink.CONNECTING, HostLink.UNREACHABLE} else STATES[host.level]",
        ("tests/fleet/test_hosts.py::test_a_host_that_is_not_live_is_shown_by_its_link_whatever_it_said_last",),
    ),
    Mutant(
        "a remote clock that was set is still believed as it was first measured",
        "if slower and abs(skew - (self.host.skew or 0)) <= (trip + (self._quickest or 0)) // 2 + ROUNDED_MS:",
        "if slower:",
        (
            "tests/fleet/test_near.py::"
            "test_a_clock_that_is_set_while_it_is_watched_is_measured_anew_at_the_next_heartbeat",
        ),
    ),
    Mutant(
        "a remote clock's offset is added instead of subtracted",
        "return None if at is None else at - (self.skew or 0)",
        "return None if at is None else at + (self.skew or 0)",
        ("tests/fleet/test_hosts.py::test_an_account_on_several_hosts_is_one_with_where_it_cools_by_our_clock",),
    ),
    Mutant(
        "an account that came back on one host goes on cooling there in what the fleet shares",
        "for key in old.keys() | new.keys() if moved or old.get(key) != new.get(key)}",
        "for key in old.keys() ^ new.keys() if moved or old.get(key) != new.get(key)}",
        ("tests/fleet/test_hosts.py::test_what_is_kept_up_to_date_is_what_would_be_made_anew",),
    ),
    Mutant(
        "agents of an unreachable host count as able to answer",
        "    if host.link is HostLink.LIVE and host.summary is not None:\n        for agent",
        "    if host.summary is not None:\n        for agent",
        ("tests/fleet/test_hosts.py::test_those_who_can_answer_now_come_first_and_hosts_not_reached_are_left_out",),
    ),
    Mutant(
        "a sort loses its direction",
        "        if sorting.descending:\n            known.reverse()\n",
        "",
        ("tests/view/test_columns.py::test_sorting_dissolves_groups_and_puts_unknown_values_last",),
    ),
    Mutant(
        "a saved sort forgets its direction",
        'return f"-{self.column}" if self.descending else self.column',
        "return self.column",
        ("tests/view/test_columns.py::test_a_sort_that_is_kept_comes_back_with_its_direction",),
    ),
    Mutant(
        "a countdown is over a second too early",
        "return duration(-(-(until - now) // _SECOND) * _SECOND)",
        "return duration((until - now) // _SECOND * _SECOND)",
        ("tests/view/test_humanize.py::test_countdown_is_over_at_zero_and_not_before",),
    ),
    Mutant(
        "a receipt names its target as the file",
        '            "file": self.file,\n',
        '            "file": self.target,\n',
        ("tests/engine/test_operations.py::test_a_clear_is_done_journaled_and_can_be_undone",),
    ),
    Mutant(
        "the journal's intent names the target as the file",
        '        "file": plan.file,\n        "by": by,\n    }\n    if reason:\n',
        '        "file": plan.target,\n        "by": by,\n    }\n    if reason:\n',
        ("tests/engine/test_operations.py::test_a_clear_is_done_journaled_and_can_be_undone",),
    ),
    Mutant(
        "a reverted operation exits with 0",
        "return REVERTED_EXIT if self.sight is Sight.REVERTED else 0",
        "return REVERTED_EXIT if self.sight is Sight.NOT_YET else 0",
        ("tests/engine/test_operations.py::test_values_that_come_back_are_reverted",),
    ),
    Mutant(
        "undo takes the oldest operation",
        "    return tuple(reversed([past for past in found.values()",
        "    return tuple(([past for past in found.values()",
        ("tests/core/test_plan.py::test_undo_restores_the_values_and_the_absence",),
    ),
    Mutant(
        "a profile's wait is exported in milliseconds",
        "0 if until is None else max(0, until - now) / 1000)",
        "0 if until is None else max(0, until - now))",
        ("tests/export/test_exposition.py::test_a_cooling_profile_is_told_with_its_reason_and_seconds",),
    ),
    Mutant(
        "lane waits are summed in milliseconds",
        "sum(counts), self._wait_sums[lane] / 1000)",
        "sum(counts), self._wait_sums[lane])",
        ("tests/export/test_exposition.py::test_events_count_once_however_often_a_snapshot_shows_them",),
    ),
    Mutant(
        "the age of the newest blocked session is exported as that of the oldest",
        "max(0, now - min(since, default=now)) / 1000)",
        "max(0, now - max(since, default=now)) / 1000)",
        ("tests/export/test_exposition.py::test_the_age_of_what_is_blocked_is_the_oldest_ones_in_seconds",),
    ),
    Mutant(
        "a signal is lost while the loop's wake-up pipe is full",
        "    signal.signal(number, handle)\n",
        "",
        ("tests/test_threads.py::test_a_signal_is_heard_while_the_loops_wake_up_pipe_is_full",),
    ),
    # --- databases ---------------------------------------------------------------------------------------------------
    Mutant(
        "a commit that came while a database was closed is never seen",
        "self._times_opened += 1",
        "self._times_opened += 0",
        ("tests/store/test_bad_databases.py::test_a_commit_between_two_connections_changes_the_version",),
    ),
    Mutant(
        "a linked database's log is looked for beside the link",
        '_stat(f"{self._real}-wal"), _stat(f"{self._real}-shm")',
        '_stat(f"{self._name}-wal"), _stat(f"{self._name}-shm")',
        ("tests/store/test_bad_databases.py::test_a_link_is_followed_to_the_log_beside_the_file",),
    ),
    Mutant(
        "a link that leads elsewhere is not followed",
        "and os.path.realpath(self._name) != self._real",
        'and self._real == ""',
        ("tests/store/test_bad_databases.py::test_a_link_is_followed_to_the_log_beside_the_file",),
    ),
    Mutant(
        "rows that were deleted or archived stay",
        "if _sums(database) == (len(table.nodes), table.total + table.archived):",
        "if _sums(database):",
        ("tests/store/test_bad_databases.py::test_rows_that_come_change_and_go_are_shown_as_who_looks_anew_sees_them",),
    ),
    Mutant(
        "every change of a large table reads all of its rows",
        "(len(table.nodes), table.total + table.archived):",
        "(len(table.nodes), table.total + table.archived + 1):",
        ("tests/store/test_bad_databases.py::test_one_changed_row_of_thousands_is_read_alone",),
    ),
)
