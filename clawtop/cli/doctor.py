"""`clawtop doctor`: problems in the configuration and on this machine, and jammed stores."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from clawtop.cli import options
from clawtop.cli.operation_output import print_json, print_lines
from clawtop.errors import StateUnreadableError
from clawtop.text import safe

if TYPE_CHECKING:
    from clawtop.core.health.judgement import Health
    from clawtop.core.model import Problem, Snapshot
    from clawtop.store.snapshot import SnapshotReader

SCHEMA = 1
WARNINGS = 1
EXIT_CODES = f"""\
exit codes:
  0  nothing found
  {WARNINGS}  there are warnings
  {StateUnreadableError.exit_code}  the state cannot be read"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    options.json(parser)


def run(args: argparse.Namespace) -> int:
    """Check and report; changes nothing. Exit codes as in the help. Raises StateUnreadableError."""
    from clawtop.cli.common import open_reader
    from clawtop.core.health.judgement import judge
    from clawtop.core.model import counted
    from clawtop.store.auth.migration import leftovers
    from clawtop.store.config_part import config_part
    from clawtop.store.gateway.log_place import log_place
    from clawtop.view.check import check_line
    from clawtop.view.report import problem_report
    from clawtop.view.words import log_words

    reader = open_reader(args, extra_parts=(config_part,))
    snapshot = reader.read()
    health = judge(snapshot, snapshot.taken_at)
    problems = (*snapshot.warnings, *_environment(reader, snapshot), *_jammed(health), *_hook(args))
    notes = leftovers(reader.layout) if reader.layout.storage.auth_in_database else ()
    owner = reader.layout.state_dir.stat().st_uid
    log = log_place(reader.layout, snapshot.config.log_file, snapshot.gateway, owner)
    paths = [str(path) for path in log.paths]
    code = WARNINGS if problems else 0
    if args.json:
        found, noted = ([problem_report(item) for item in items] for items in (problems, notes))
        facts = {
            "state_dir": snapshot.state_dir,
            "generation": snapshot.generation,
            "version_note": snapshot.semantics_note,
        }
        followed = {"paths": paths, "how": log.how}
        print_json({"schema": SCHEMA, **facts, "log": followed, "warnings": found, "notes": noted, "exit_code": code})
        return code
    about = f"{safe(snapshot.state_dir)}: generation {snapshot.generation or 'unknown'}"
    if snapshot.semantics_note:
        about = f"{about}; {safe(snapshot.semantics_note)}"
    print_lines([about, log_words(paths, log.how), *(_line(each, snapshot.taken_at) for each in problems)])
    total = (
        counted(len(problems), "warning") if problems else "no problems found in the configuration or on this machine"
    )
    known = ["notes:", *(_line(each, snapshot.taken_at) for each in notes)] if notes else []
    print_lines([total, *known, f"health now: {check_line(health)}"])
    return code


def _environment(reader: SnapshotReader, snapshot: Snapshot) -> tuple[Problem, ...]:
    from clawtop.core.model import Problem
    from clawtop.engine.prompt import process_title
    from clawtop.store.place.environment import environment_problems, foreign_commands

    problems = (
        *environment_problems(reader.layout, snapshot, len(reader.watch_directories())),
        *foreign_commands(os.environ.get("PATH", "")),
    )
    if process_title.can_look_like_openclaw():
        return problems
    where = "process title"
    text = "cannot be changed here: OpenClaw 2026.5.18 and later removes the session locks of this process"
    return (*problems, Problem("no-process-title", where, text))


def _jammed(health: Health) -> tuple[Problem, ...]:
    """Auth stores whose lock needs the operator: where it is, and what to do."""
    from clawtop.core.model import Problem

    jammed = (cause for cause in health.causes if cause.code == "store-jammed")
    return tuple(Problem(each.code, each.evidence[0], f"{each.text}; {each.remedy}") for each in jammed)


def _hook(args: argparse.Namespace) -> tuple[Problem, ...]:
    """Problems of the operator's `on_notice` command: a notice that it cannot send is lost."""
    from clawtop.core.model import Problem
    from clawtop.engine.live.hook import NoticeHook
    from clawtop.errors import UsageError

    command = args.settings["on_notice"]
    if command is None:
        return ()
    try:
        missing = NoticeHook(command).missing()
    except UsageError as error:
        return (Problem("on-notice-unusable", "on_notice", error.title),)
    return (Problem("on-notice-unusable", "on_notice", f"{missing} is not on PATH"),) if missing else ()


def _line(problem: Problem, now: int) -> str:
    from clawtop.view.humanize import problem_text

    return f"  {problem.code:<28} {safe(problem.where)}: {problem_text(problem, now, None)}"
