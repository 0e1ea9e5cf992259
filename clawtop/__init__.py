"""clawtop: a live dashboard and failover engine for OpenClaw gateways.

The map. Data flows one way: disk -> store -> hub -> Snapshot -> view -> ui. Keys and verbs flow back: command -> plan
-> confirmation -> operation -> receipt; the screen shows the next snapshot and never what it hopes for.

    errors.py    what an operator may read when something fails, with its exit code
    text.py      the one door from foreign bytes to a screen: safe, masked, elided
    clock.py     the one door through which time enters
    commands.py  THE table of commands: keys, footer, palette, help, verbs and the README's list come from it

core/  decides: pure functions over frozen values; standard library only, no clock, no I/O
    model             the nouns: Profile, UsageStats, Lock, Session, PromptHolder, Event, Snapshot ...
    what failed       failure (the answer), error_record, error_signal, failure_signal, failure_rules, failure_phrases,
                      billing_phrases, phrases, error_text, retry_after
    how long it cools cooldown, cooldown_schedules (numbers per generation), cooldown_windows, profile_state, marking
    who is next       rotation, eligibility, provider_ids, session_override, explanation
    when it is back   forecast, cooldown_decision
    what then         failover, failover_steps (effects, in order), fallback (the chain of models), candidate_failure,
                      consequences, compaction
    who may prompt    admission (the registry), fence, recovery, attention, drain, lanes, lane_queue
    locks             staleness (both verdicts), session_lock_rules, lock_limits, activity (is a run going on)
    operations        plan, plan_target, auth_edit
    the incident      blocking, blocking_links, blocking_node, lane_stats, metrics, timeline, happenings, notices,
                      openclaw_runs
    the rest          config_checks, diff, javascript (values as OpenClaw's own language reads them)

store/  the disk: one module per format, nothing else knows it
    where it is       layout, copies, generation, mounts, environment
    reading           config, config_part, wire, json_text, auth_json, auth_reader, auth_sqlite, sessions, session_rows,
                      transcript, conversation, lockfile, locks, processes, life, gateway, gateway_token, gateway_log,
                      log_lines, log_words, fingerprint
    writing           openclaw_lock (OpenClaw's protocol), auth_lock, auth_target, auth_update, auth_state, json_edit,
                      atomic, transcript_write, session_entry
    clawtop's own     holders, holder_record, journal, mark_spool, recording, bundle
    for a call        credentials, secrets, model_config
    all of it, once   snapshot, incident; kept: equal parts stay the same; watch says when to read again

engine/  asyncio: owns every task, and is the only writer of OpenClaw's store; no terminal library
    hub, feed         dirty sources -> snapshots; what stands beside the hub: gateway, gateway_watch, tape
    player            a recording in the hub's place
    operations        plans -> receipts: locked, receipts, verification, leftovers
    driver            drive a session: opening, desk, session_choice, turn, drive (the handle), events, journal_writer
    runner, chain     one model, then the next: attempt, candidates, marks
    providers/        base, http, errors, anthropic, openai
    registry          one prompt holder per session: holder, fork, foreign, session_lock, process_title
    lane_scheduler    session lane, then global lane
    recoverer         stuck sessions; drainer, drain_scene: freeing one, stage by stage

view/  pure: a Snapshot and a time become rows and lines; no terminal library
    line, columns     what everything is made of; humanize, words, ordering
    facts             what rows have in common: provider_facts
    rows              the overview's tables: profile_columns, session_columns, lock_columns, warning_columns
    headline, footer  first line, headline, footer, help; keymap (README's list), replay_words
    detail            of a row: fact_lines, incident_detail
    incident          tree_rows, lane_rows, timeline_rows, forecast_rows, incident_text
    operating         plan_lines, drain_lines, run_lines, run_log
    plain, report     the state as text and as JSON

ui/    Textual and what it draws with: app, run, ports, terminal, terminal_output, screens/, widgets/, theme
cli/   a module per verb, imported when it is asked for; main parses, common opens the state
demo/  a small world on loopback: provider, world, scenarios, story, stage, puppet, puppets; threads replays the five
       incidents that clawtop was built from
"""

__version__ = "0.1.0"
