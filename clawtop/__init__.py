"""clawtop: a live dashboard and failover engine for OpenClaw gateways.

The map. Data flows one way: disk -> store -> hub -> Snapshot -> view -> ui. Keys and verbs flow back: command -> plan
-> confirmation -> operation -> receipt; the screen shows the next snapshot and never what it hopes for.

    errors.py    what an operator may read when something fails, with its exit code
    text.py      the one door from foreign bytes to a screen: safe, masked, elided
    clock.py     the one door through which time enters
    crash.py     what is left when something unexpected happens: one line, a masked report
    threads.py   threads that never keep the process
    nested.py    the one door from foreign JSON to values: bounded in depth

commands/  the table of commands: keys, footer, palette, help, verbs and the README's list come from it. model, keys (as
          people write them), table, lookup; refusal, with its checks: why one cannot run now

core/  decides: pure functions over frozen values; standard library only, no clock, no I/O. Packages import upwards only
    model/            the nouns: auth (Profile, UsageStats), config, locks, sessions, witness (who reported a run),
                      prompts (holders, waiters, lanes), gateway, events, problem, snapshot; sentence: words with times
                      and names as values
    generations       what differs between OpenClaw's generations and versions: rows, in the shapes of `rules`
    javascript        values as OpenClaw's own language reads them; provider_ids, diff, config_checks
    source            where snapshots come from, as a port
    settings          what an operator may set once; nearest: the name that a mistyped one was meant to be
    conversation      messages, pictures, tool calls; paired and trimmed for a model
    failure/          what failed: classify (the answer), dialect (whose: as_3_28, as_6_11, as_9_6, else status),
                      record, signal, status, rules, phrase_tables, billing_tables, tables_9_6, provider_json,
                      provider_plugins, local_9_6, phrases, pasted (an error as text), retry_after, provider_time,
                      retry_evidence; engine_reason: the engine's own class, reach and mark (engine_tables,
                      local_trouble); differences: where it reads otherwise than OpenClaw, on purpose
    cooldown/         how long it cools: stats, schedules (as configured), windows, profile_state, marking, noted;
                      mending: failures that need the operator
    rotation/         who is next: order, eligibility, pins, explanation, written (orders that do not fit); when it is
                      back: forecast
    failover/         what then: decision, steps (effects, in order), fallback (the chain of models), probing,
                      candidate, consequences, compaction; same_account: OpenClaw's retries before it rotates;
                      openclaw_decision: what it decides, openclaw_steps: what it does then, by version; explained: one
                      error, twice
    session/          who may prompt: admission (the registry), fence, recovery, attention, lanes, lane_queue, activity
                      (is a run going on), turns (claims, tasks and queued inputs), openclaw_runs, gateway_witness (what
                      the gateway's words are worth), log_runs (as the log tells them), exchanges (what followed a
                      message); drain, its proof (who has to say no) and remedies (what ends a run); unpinning
    locks/            staleness (both verdicts), session_rules, limits, removal (why none), leaks (of a living
                      owner's former life)
    operations/       plan: what one would change; clear, order, unlock, undo make them, of a target by an edit; verb,
                      receipt, past (as the journal tells it), outcome (what became of one), loading (what makes a
                      gateway load it), loaded (the state as the gateway knows it, and what it has not), late (sights)
    fleet/            summary (a host in short), hosts (order, shared accounts, timeline), diagnosis (why not reached)
    health/           do turns succeed, judged once: judgement, cause, causes (the table) with gateway_causes,
                      account_causes, turn_causes and their wording; silence (of a gateway that lives), turns, waiting
                      (messages without an answer, hung runs), blocked
    incident/         blocking, links, node, lane_stats, lane_sources, metrics, timeline, happenings, notices

store/  the disk: one module per format, nothing else knows it
    place/            where it is: layout, copies, generation, databases, mounts, environment
    auth/             port: what a storage offers; backends chooses it; reader keeps what was read; json_backend (A, B):
                      json_files, writing: lock, target, update, state, json_edit; sqlite_backend (C, D):
                      sqlite_rows, sqlite_update, migration; accounts, entries, machine
    sessions/         port: what a storage offers; backends chooses it; rows (files): index (sessions.json),
                      list_schema, piecemeal, unlisted, trajectory; tables (2026.8 on), records (claims, tasks,
                      audit), rows_and_tasks (between the two); entry, tail, transcript_end, transcript_write,
                      conversation, fingerprint; settings: what a prompt needs of a session; lists: of the engine,
                      taken apart once
    sqlite/           pool: each database once; database: read without a trace; schema: known versions; cells; writing;
                      owners
    locks/            lockfile, owners, reader, openclaw (OpenClaw's protocol), processes, procfs, standpoint (from
                      where they are seen), command_line (who works beside the gateway), life
    gateway/          liveness, usage (of its process), kernel_lock (2026.8 on), trust, token, log, log_place,
                      log_lines, log_words
    own/              clawtop's own: accounts (what processes tell each other), holders, holder_record, journal,
                      mark_spool, spool_writer, recording, deltas, settings, bundle
    provider/         for a call: credentials, secrets, model_config, builtin (addresses), network_config (TLS, proxy)
    for all           disk: the calls that change one; door: the only one who opens a file; patience: reads that may
                      hang; config, config_part, wire, json_text, atomic
    all of it, once   snapshot, incident; kept: equal parts stay the same; watch says when to read again

engine/  asyncio: owns every task, and is the only writer of OpenClaw's store; no terminal library
    gateway/          what a live gateway says: door (where its token may go), client (a question over its WebSocket;
                      wire, answers, errors), http (its health), words (who works where), caller (asked at once), turn
                      (one that it runs), rounds (what is asked next), watch (beside the hub)
    live/             hub: dirty sources -> snapshots; feed, tape; player: a recording in the hub's place; hook: the
                      operator's command at a notice
    operations/       execute: plans -> receipts; locked, verification
    drive/            driver: drive a session; opening, desk, session_choice, turn, handle, events, journal_writer;
                      runner, chain: one model, then the next; attempt, prompting (what is sent), candidates, auth_view,
                      in_flight, marks, leftovers, probe (of accounts)
    providers/        base, http, framing (bytes -> events), reading and reply (leniently), network (TLS), errors,
                      lateness (of the event loop); anthropic, openai, responses (OpenAI, Azure, Codex), google, ollama,
                      bedrock; copilot: its token
    prompt/           registry: one prompt holder per session, kept in records (choice); holder, fork, foreign,
                      session_lock, process_title; lane_scheduler: session lane, then global lane; recoverer: stuck
                      sessions
    etcd/             the same registry for several hosts: choice, client, records, names; shown: in snapshots
    drain/            drainer, scene, processes: freeing one, stage by stage; recovery: of a stuck one, sends nothing
    library           for other programs: what `from clawtop.engine import ...` gives

fleet/  several hosts: protocol (the stream), far (sends it), near (one host, supervised), fleet (all), transport;
        remote, executor: operations on a host, pinned and found again; steering: verbs that last, as driving and
        draining need them

export/  metrics for Prometheus: metrics (THE table), families, gauges, counts, exposition, dashboard; rules.yml

view/  pure: a Snapshot and a time become rows and lines; no terminal library
    line, columns     what everything is made of; humanize, words, ordering
    facts             what rows have in common: provider_facts
    rows              the overview's tables: profile_columns, session_columns, lock_columns, warning_columns
    headline, footer  first line, headline, footer, help; tabs (names of screens), replay_words;
                      tour: the demo's questions, a key each
    detail            of a row: fact_lines, incident_detail
    incident          tree_rows, lane_rows, timeline_rows, forecast_rows, incident_text
    fleet             fleet_rows
    operating         row_plans, row_sessions: what a row's command acts on; plan_lines, drain_lines,
                      recovery_lines, error_lines, run_lines, run_log
    explain           explain_error_lines, explain_profile_lines; provider_times; named: facts under one another
    plain, report     the state as text and as JSON

ui/    Textual and what it draws with
    ports, shell      what it is plugged into; what screens, widgets and commands may ask of the app
    app, run          the app: state, screens, clock; its start. preparation: snapshots -> facts; vigil: notices
    arming, flash, messages, theme, terminal, terminal_output, painting (only what changed); pasting: as text;
                      typed_ahead: one key at a time; surviving: what breaks ends nothing else
    fleet, fleet_run  several hosts, and the dashboard of one in their place
    work, driven      the runs and the drain of this dashboard
    commands/         dispatch: one handler for each command; looking, operating, driving, incident; palette
    screens/          base, tables: what views share (table_control: with the fleet's); views opens them: overview,
                      incident, warnings. Over them, each a pane: reading, run; dialog: confirm, bulk, drain, recover,
                      drive, label, leave
    widgets/          live_table, line_bar, line_scroll, filter_line, choice_line, message_editor; drawn, strips
cli/   a module per verb, imported when it is asked for; main parses, common opens the state; version names the commit;
       completion, man and README come from the one parser; config shows and saves settings; process, output, ending:
       signals, limits, standard streams
docs/  pages that comments cite: invariants, formats, decisions; hardening; library: the engine in other programs;
       changelog
demo/  a small world on loopback: provider (with scripted faults), world (its state directory), scenarios, which story
       plays and stage shows; lock_process starts keep_lock, which holds a lock; threads replays the five incidents that
       clawtop was built from
"""

__version__ = "0.1.0"
