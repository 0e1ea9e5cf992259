"""clawtop: a live dashboard and failover engine for OpenClaw gateways.

A map of the code. Data flows one way: disk -> store -> hub -> Snapshot -> view -> ui. Commands flow back: a key or a
verb becomes a plan, the operator confirms it, an operation executes it and returns a receipt. The screen never shows
an expected result; it waits for the next snapshot.

tests/test_architecture.py enforces who may import whom. Inside commands, core, store and engine, a package imports
only packages that are listed above it.

    values.py    immutable values: dataclasses that cost little to define
    patterns.py  regular expressions that are compiled when they are first used
    errors.py    errors that an operator reads: what happened, what was not changed, what to do; with exit codes
    cells.py     how wide a text is on a terminal, and texts cut to a width
    redaction.py secrets are taken out of texts: remember_secrets, masked; secret_shapes.py: what looks like one
    text.py      foreign bytes become text that is safe to show: safe, shown
    nested.py    foreign JSON becomes values of bounded depth
    clock.py     the only module that reads the time
    threads.py   threads that never keep the process alive
    stopping.py  a stop (Ctrl-Z) waits until no lock is held
    crash.py     unexpected errors: one line for the operator, a masked report for the issue tracker

commands/  The table of commands. Keys, footer, palette, help, verbs and README's lists are generated from it.
    keys            how keys are written for people
    model           what a command is
    checks          the reasons why a command cannot run now
    table           the commands; lookup finds one by id, verb or key
    refusal         whether a command can run now, and why not

core/  Decisions: pure functions over immutable values. Standard library only; no I/O and no clock.
    nearest         the known name that a mistyped one probably stands for
    settings        what an operator can configure in clawtop
    provider_ids    the many spellings of a provider's name
    carried         what follows from a long list of rows, from list to list by the rows that changed
    generations     how OpenClaw's storage generations and versions differ, as tables; rules has the tables' types
    model/          the nouns: auth (profiles, usage), config, locks, sessions, prompts (holders, waiters, lanes),
                    gateway, witness (evidence that a run is active), events, problem, snapshot; sentence: text in which
                    times and names are still values
    conversation    a conversation as it is sent to a model
    source          the port through which snapshots arrive
    diff            whether two snapshots differ
    javascript      numbers and dates as OpenClaw's own language reads them
    failure/        What kind of failure an error is. record and signal: the error as a value; phrases, phrase_tables,
                    billing_tables, status, rules: how OpenClaw classifies it; as_3_28, as_6_11, as_8_2, as_9_6 (with
                    tables_9_6, local_9_6, provider_plugins): what differs by version, chosen by dialect. engine_reason,
                    engine_tables, local_trouble, differences: where clawtop's engine deviates on purpose. classify
                    decides; failover_error, marked, explanation: what follows from it. provider_json, provider_time,
                    retry_evidence: what an error says in its JSON, about when an account is usable again, about
                    retries; pasted: an error as an operator pastes it
    cooldown/       How long a profile must not be used: stats (what failures and successes change), schedules, windows,
                    marking (merging what runs learned), provider_times (what processes report to each other),
                    profile_state (one word for it), fixes (failures that only the operator can end)
    locks/          staleness (what OpenClaw will do with a lock, and what clawtop may do), session_rules and limits (by
                    version and configuration), leaks (locks that a restarted gateway forgot), clocks (is the gateway's
                    wrong?), removal (why a lock stays), sharing (when an auth store's lock is left to OpenClaw)
    session/        key: the one parser of session keys. Who may prompt a session: admission (the registry of prompt
                    holders as a state machine), fence (did anybody else write?), lanes, lane_queue; turn_request: what
                    is asked of an engine. Whether OpenClaw runs in it: activity weighs the witnesses disk_witness,
                    log_runs, gateway_witness, backend_runs and turns; openclaw_runs are the runs it finds. How it is
                    freed: attention (is it stuck?), drain, proof (is it free?), remedies (what can end its run),
                    recovery, unpinning. exchanges: what followed each message; listed: which of all sessions a question
                    is about
    failover/       What follows a failed attempt: decision, its steps as effects, compaction; candidate and fallback
                    (the chain of models), probing (a provider whose profiles all cool), same_account (retries before a
                    rotation). openclaw_decision, openclaw_steps: the same as OpenClaw does it; consequences and
                    explained compare both for one error
    rotation/       Which profile is next: eligibility, order, written (stored orders that no longer fit), pins;
                    explanation (why a profile is or is not next), forecast (when anything is usable again)
    operations/     What an operation would change: target, edit, plan; clear, order, unlock, undo make plans; verb is
                    the command line for one. What became of it: receipt, past and outcome (from the journal), loading
                    and loaded (what the gateway has read of it), late (what a later state shows)
    health/         Whether turns succeed: judgement, from causes in the gateway, the accounts and the turns
                    (gateway_causes, account_causes, turn_causes; cause, advice, wording), silence (why a live gateway
                    does not answer), in_force (does it work with this configuration?), turns, waiting (unanswered
                    messages, hung runs), blocked
    incident/       Who waits for whom: blocking, from links (with lock_link, profile_links) and node. What happened:
                    timeline, happenings, notices. Lanes: lane_stats, lane_sources, metrics (the gateway's)
    fleet/          Several hosts: summary (one host in short), hosts (all of them), clock_settings (how a host's clock
                    was set), notices, shared (accounts that several use), merged (who can answer, one timeline),
                    diagnosis (why one is not reached)
    config_checks   settings of OpenClaw that cause incidents

store/  The disk: one module for each format. Nothing else knows paths or formats.
    timed_reads     a deadline for each read that may hang
    disk            the system calls that change a disk; door: the only module that opens files; ways: whose links may
                    lead root where
    json_text       JSON, read as OpenClaw's parser reads it
    owners          who owns a file, and who may write it
    sqlite/         OpenClaw's databases: pool (each opened once), database (reading), writing, schema, cells
    wire            the parts of OpenClaw's files that clawtop uses
    atomic          replacing a file in one step
    runtimes        which of its runtimes start processes of their own
    config          openclaw.json, with its includes
    interning       equal values stay the same object
    place/          Where a state directory is and what it is: layout, locating, generation, databases, copies,
                    mounts, room, environment; temporary: OpenClaw's places outside it
    config_part     warnings about the configuration, as a part of snapshots
    locks/          lockfile, openclaw (its protocol), line (of clawtop's own writers), reader, owners; processes,
                    procfs, command_line, life and standpoint: who lives, as seen from this process; descendants and
                    stack: what is below a process
    provider/       What a call to a provider needs: credentials, secrets, model_config, builtin (known addresses),
                    network_config; keys: which need no auth profile, and key_watch: those that a gateway has
    gateway/        reader (the gateway and every lock, in each read), from liveness, kernel_lock, usage (memory, CPU),
                    memory_kills (by the kernel), heap_deaths (its own limit), rivals (a second gateway) and trust;
                    backends (processes that work on runs), token; log, log_place, log_lines, log_words: its log
    auth/           The auth store behind one port; backends chooses json_backend (generations A, B: json_files, lock,
                    target, update, json_edit) or sqlite_backend (C, D: sqlite_rows, sqlite_update, migration). reader,
                    entries, state, accounts and machine serve both
    sessions/       The sessions behind one port; backends chooses rows (session files: index, lists, list_schema,
                    piecemeal, unlisted, trajectory), tables (databases, 2026.8 on: agent_table, records) or
                    rows_and_tasks (between the two); listed: what they share. Transcripts: conversation, tail,
                    transcript_end, transcript_write, fingerprint; entry, settings
    own/            clawtop's own files: holders (who has a session) with holder_record and step_lock, presence (which
                    processes live), wake (what they tell each other) and admissions (reading them all); journal,
                    mark_spool, spool_writer, accounts, recording, deltas, bundle, settings
    incident        what led up to a state; snapshot: everything, read once; watch: when to read again

engine/  Owns every task, on asyncio, and is the only writer of OpenClaw's store. No terminal library.
    providers/      A call to a provider. base (what a call is made of), http (one request), limits (of its time) with
                    lateness (of the event loop), pools of connections, network (TLS), encoding and framing (bytes to
                    events), json_repair, reply_api (in which API it answered), reading and reply (decoding), errors.
                    APIs: anthropic, openai (with openai_hosts), responses, google, ollama, bedrock, plain (completions
                    without choices); copilot has its own token
    gateway/        What a live gateway reports. door (who may get its token), client with wire, answers and errors (its
                    WebSocket), http; words, caller, turn (asked at once); rounds, line and watch (asked regularly)
    live/           hub: changes on disk become snapshots; feed, tape (recording), player (replaying), hook (the
                    operator's command for notices)
    operations/     execute: plans become receipts; changes (of stores, of locks), locked, verification
    prompt/         One prompt holder per session: registry, records, choice, holder, foreign (OpenClaw's runs);
                    session_lock, process_title, fork, lane_scheduler, recoverer, prompt_events
    etcd/           The same registry for several hosts: choice, client, records, names; shown (in snapshots)
    drive/          Driving a session. driver is the interface, opening makes it, resources are what its runs share;
                    resolving: what a request asks for, with session_choice; handle and turn: one run; turn_run: its
                    course, chain: its models, runner: one model, attempt: one request, with candidates, prompting
                    (what is sent) and system_prompt, auth_view, in_flight, events, journal_writer; marks and leftovers
                    write cooldowns in the background; probe asks an account whether it is usable
    drain/          Freeing a session: drainer, scene (what it observes), processes, recovery
    library         what `from clawtop.engine import ...` offers other programs

export/  Metrics for Prometheus: metrics is the table; families, gauges, counts, exposition; dashboard, rules.yml.

fleet/  Several hosts over ssh. far streams a host's state, near follows it, fleet has all hosts; protocol,
    lines, transport.
    places             how many hosts are greeted at the same time
    remote, executor   operations on a host, bound to their plan id
    steering           verbs that run long there: driving, draining

view/  What is shown, as lines: pure functions of a snapshot and the time. No terminal library.
    line, fitting      toned text, and how it is cut, padded and wrapped; columns and long_rows (each made when it is
                       looked at): tables; steady (columns do not move); ordering, humanize (numbers and times),
                       words (states)
    facts              what the rows of a snapshot share; provider_facts
    rows               the overview: profile_columns, session_columns, lock_columns, warning_columns; detail, fact_lines
    headline, footer   the lines around every screen; tabs, replay_words, tour
    incident           tree_rows, lane_rows, timeline_rows, forecast_rows, incident_detail, incident_text
    fleet_rows         the fleet
    row_plans          what a command on a row does; row_sessions; plan_lines, drain_lines, recovery_lines, run_lines,
                       run_log, error_lines
    explain            explain_error_lines, explain_profile_lines, provider_times, aligned
    overview           where the overview's parts stand, and its first frame
    plain, report      the state as text and as JSON; masking of what is printed as JSON; check: why --check exits as it
                       does

ui/  The Textual app, as thin as possible.
    shell, ports       what screens may ask of the app; what the app is connected to
    app, run           the app; its start. preparation (snapshots to facts), notifier (first view, notices), arming,
                       flash, messages
    jobs, driven       the drain and the runs of this dashboard; executing (its operations under way)
    fleet, fleet_run   the fleet's screen
    terminal           signals; terminal_output and painting write only what changed, terminal_input waits for keys;
                       theme, pasting, typed_ahead (one key at a time), surviving (errors in a handler)
    early              the first frame, drawn before Textual is imported; with it, free of Textual: palettes, colours,
                       pen (cells as bytes), terminal_file (a terminal that may stop reading)
    commands/          dispatch: one handler for each command, in looking, operating, driving, incident; palette
    screens/           base, tables, table_control; views: overview, incident, warnings; pane: reading, run; dialog:
                       confirm, bulk, drain, recover, drive, label, leave
    widgets/           live_table, line_bar, line_scroll, filter_line, choice_line, message_editor; drawn, strips

cli/   One module per verb, imported when the verb is used. main parses, common opens the state directory, first_frame
       draws before the dashboard is imported; alarm runs on_notice where there is none; process, input, output,
       output_file and ending handle signals, limits, standard streams and files. Completion, man page and README come
       from the one parser; options are those of several verbs.
docs/  Documents that comments cite: invariants, formats, decisions, hardening; library (for other programs), changelog.
demo/  A simulated world on loopback: provider (with scripted faults), world (its state directory), scenarios, story
       (plays one), stage (shows it), lock_process and keep_lock (another process with a lock), child (how the demo's
       processes are started). threads replays the five incidents that clawtop was built for.
"""

__version__ = "0.1.0"
