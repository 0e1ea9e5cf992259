"""`clawtop drive`: send one message to a session and stream the reply."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import signal
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from clawtop import threads
from clawtop.cli import drive_gateway
from clawtop.errors import ClawtopError, UsageError
from clawtop.text import masked, safe, whole_words

if TYPE_CHECKING:
    from clawtop.core.model import Event, ModelRef
    from clawtop.engine.drive.driver import Driver
    from clawtop.engine.drive.events import RunItem
    from clawtop.engine.drive.turn import Answer

SCHEMA = 1
EXIT_CODES = """\
exit codes:
  0  the reply was written to the session
  1  refused, or the session is contended (--on-contention raise, or the wait was over)
  2  local coordination: the session's lock stayed taken, or somebody else took the session over
  3  the state cannot be read, or the reply could not be written
  5  no model answered
  6  timeout: of a provider call, or of the whole turn
  64 wrong command line
  130 cancelled (128+n after signal n)

The message and the reply are written together, after the reply: a turn that fails leaves the session as it was."""

TOLD = frozenset({"rotate", "fallback", "wait", "contended", "takeover", "notice", "failure", "mark-lost"})
"""Events that a person at a shell sees on stderr while the reply streams."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EXIT_CODES
    parser.add_argument("--session", required=True, metavar="KEY|FILE", help="a session key, or a transcript's file")
    parser.add_argument("--message", default="-", metavar="TEXT", help="what to say; - (the default) reads stdin")
    parser.add_argument("--lane", metavar="L", help="whose turn it is: main, heartbeat, channel, cron, ...")
    parser.add_argument("--model", metavar="P/M", help="the model to ask first (default: the agent's)")
    parser.add_argument(
        "--on-contention",
        choices=("wait", "raise", "fork"),
        default="wait",
        help="when the session has a holder: wait in order (default), give up, or go on in a fresh copy",
    )
    parser.add_argument(
        "--on-timeout",
        choices=("terminal", "fallback", "rotate"),
        default="terminal",
        help="what a provider's timeout does: end the run (default), ask the next model, or the next profile",
    )
    parser.add_argument("--timeout", type=_seconds, metavar="S", help="seconds for the whole turn, waiting included")
    parser.add_argument("--json", action="store_true", help="typed events, one JSON object a line")
    drive_gateway.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Drive one turn."""
    from clawtop.core.failover.decision import TimeoutPolicy
    from clawtop.engine.drive.driver import Driver, EngineSettings

    if args.at is not None:
        raise UsageError("a session cannot be driven in the past", hint="leave --at away")
    model = _model(args.model)
    message = sys.stdin.read() if args.message == "-" else args.message
    through_gateway = drive_gateway.run_if_wanted(args, message)
    if through_gateway is not None:
        return through_gateway
    output: _Output = _JsonOutput() if args.json else _TextOutput()
    signalled: list[int] = []
    try:
        settings = EngineSettings(timeouts=TimeoutPolicy(args.on_timeout))
        driver = Driver(args.state_dir, settings=settings, listen=output.event)
        threads.run(_drive(driver, args, model, message, output, signalled.append))
    except ClawtopError as error:
        code = exit_code(error)
        output.failed(error, code)
        return code
    except asyncio.CancelledError:
        return 128 + signalled[0] if signalled else 130
    return 0


async def _drive(  # noqa: PLR0917 - one call, from run
    driver: Driver,
    args: argparse.Namespace,
    model: ModelRef | None,
    message: str,
    output: _Output,
    signalled: Callable[[int], None],
) -> None:
    from clawtop.core.model import Event, EventKind
    from clawtop.core.session.admission import OnContention

    _cancel_on_signals(signalled)
    async with driver:
        run = driver.drive(
            args.session,
            message,
            agent=args.agent,
            lane=args.lane,
            model=model,
            on_contention=OnContention(args.on_contention),
            timeout=args.timeout,
        )
        asked = False
        async for item in run:
            output.item(item)
            if not asked and isinstance(item, Event) and item.kind in {EventKind.WAIT, EventKind.CONTENDED}:
                asked = True
                stuck = await asyncio.to_thread(_stuck, args)
                if stuck is not None:
                    output.stuck(stuck, args.session)
        output.answer(await run.result())
    if driver.journal_problem is not None:
        output.problem(driver.journal_problem)


def _stuck(args: argparse.Namespace) -> str | None:
    """Why the session that is waited for counts as stuck; None where it does not, or cannot be judged."""
    from clawtop.cli.common import open_incident_reader
    from clawtop.cli.drain import target_of
    from clawtop.engine.drain.recovery import assess
    from clawtop.view.recovery_lines import is_stuck, reason_words

    with contextlib.suppress(ClawtopError):
        reader = open_incident_reader(argparse.Namespace(**{**vars(args), "agent": None}))
        report = assess(reader.read(), target_of(reader, args.session, args.agent))
        if report is not None and is_stuck(report):
            return reason_words(report)
    return None


def exit_code(error: ClawtopError) -> int:
    """The exit code for what ended a turn; the table in the help."""
    from clawtop.engine.providers.errors import ProviderError
    from clawtop.errors import CoordinationError, SessionContendedError

    if isinstance(error, ProviderError):
        return 6 if error.timed_out else 5
    if isinstance(error, SessionContendedError):
        return 1
    return 2 if isinstance(error, CoordinationError) else error.exit_code


def failure_facts(error: ClawtopError) -> dict[str, Any]:
    """What a failed turn says beyond its title: each model's failure, and when something is usable again."""
    from clawtop.engine.drive.chain import AllModelsFailedError
    from clawtop.engine.providers.errors import ProviderError

    if isinstance(error, ProviderError):
        return {"provider": error.provider, **error.facts()}
    if not isinstance(error, AllModelsFailedError):
        return {}
    attempts = [
        {
            "model": str(one.model),
            "reason": one.reason,
            "status": one.status,
            "code": one.code,
            "error": masked(one.error),
        }
        for one in error.summary.attempts
    ]
    return {"attempts": attempts, "soonest_recovery": error.summary.soonest_recovery}


def _cancel_on_signals(signalled: Callable[[int], None]) -> None:
    """SIGTERM and SIGHUP end the turn as Ctrl-C does: everything is given back, marks land or are spooled."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def cancel(number: int) -> None:
        signalled(number)
        if task is not None:
            task.cancel()

    for number in (signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, cancel, number)


def _model(text: str | None) -> ModelRef | None:
    from clawtop.core.model import ModelRef

    if text is None:
        return None
    provider, slash, model = text.partition("/")
    if not (provider and slash and model):
        raise UsageError(f"--model {safe(text, 80)} is not PROVIDER/MODEL")
    return ModelRef(provider, model)


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError("seconds must be more than 0")
    return seconds


class Words:
    """Cuts a stream between words, so that a secret split over two pieces is still recognised and masked."""

    def __init__(self) -> None:
        self._held = ""

    def add(self, text: str) -> str:
        """What can be shown now: everything but the last run of characters that secrets are made of."""
        self._held += text
        cut = whole_words(self._held)
        ready, self._held = self._held[:cut], self._held[cut:]
        return masked(ready)

    def rest(self) -> str:
        ready, self._held = self._held, ""
        return masked(ready)


class _Output:
    """Where a turn is shown. `event` gets every event of the engine, `item` what the run itself tells."""

    def __init__(self) -> None:
        self._words = Words()

    def event(self, event: Event) -> None:
        raise NotImplementedError

    def item(self, item: RunItem) -> None:
        raise NotImplementedError

    def answer(self, answer: Answer) -> None:
        raise NotImplementedError

    def failed(self, error: ClawtopError, code: int) -> None:
        raise NotImplementedError

    def problem(self, error: ClawtopError) -> None:
        print(f"clawtop: {error}", file=sys.stderr)

    def stuck(self, why: str, session: str) -> None:
        """The session that is waited for is stuck."""
        print(f"clawtop: the session is stuck: {why}; clawtop recover {safe(session)}", file=sys.stderr)


class _TextOutput(_Output):
    """The reply on stdout, what happens on the way on stderr."""

    def event(self, event: Event) -> None:
        if event.kind.value in TOLD:
            print(f"clawtop: {event.kind.value}: {event.text}", file=sys.stderr)

    def item(self, item: RunItem) -> None:
        from clawtop.engine.drive.events import ReplyDiscarded, ReplyText

        if isinstance(item, ReplyText):
            self._show(self._words.add(item.text))
        elif isinstance(item, ReplyDiscarded):
            self._show(self._words.rest())
            print("\nclawtop: what was shown so far is void; the next attempt begins anew", file=sys.stderr)

    def answer(self, answer: Answer) -> None:
        self._show(self._words.rest() + "\n")
        if answer.forked_from is not None:
            print(f"clawtop: the session was busy; this turn is in {safe(answer.session_file)}", file=sys.stderr)

    def failed(self, error: ClawtopError, code: int) -> None:  # noqa: ARG002 - the shell shows the code
        from clawtop.clock import SystemClock

        self._show(self._words.rest())
        print(f"clawtop: {error}", file=sys.stderr)
        soonest = failure_facts(error).get("soonest_recovery")
        if soonest is not None:
            left = max(0, soonest - SystemClock().now_ms()) / 1000
            print(f"clawtop: the first profile is usable again in {left:.0f} s", file=sys.stderr)

    @staticmethod
    def _show(text: str) -> None:
        print("\n".join(safe(line.replace("\t", "    ")) for line in text.split("\n")), end="", flush=True)


class _JsonOutput(_Output):
    """One JSON object a line: ASCII-escaped, ids exact, prose redacted."""

    def event(self, event: Event) -> None:
        from dataclasses import asdict

        facts = {name: value for name, value in asdict(event).items() if value is not None and value != {}}
        self._line("event", facts | {"kind": event.kind.value})

    def item(self, item: RunItem) -> None:
        from clawtop.engine.drive.events import Phase, ReplyDiscarded, ReplyText

        match item:
            case ReplyText(text):
                self._text(self._words.add(text))
            case ReplyDiscarded(chars):
                self._words.rest()
                self._line("discarded", {"chars": chars})
            case Phase(name, at):
                self._line("phase", {"phase": name, "at": at})

    def answer(self, answer: Answer) -> None:
        self._text(self._words.rest())
        facts = {
            "text": masked(answer.text),
            "model": str(answer.model),
            "profile": answer.profile,
            "session_file": str(answer.session_file),
            "session_id": answer.session_id,
            "forked_from": None if answer.forked_from is None else str(answer.forked_from),
            "stop_reason": answer.stop_reason,
            "requests": answer.attempts,
            "duration_ms": answer.duration_ms,
            "tokens": {"input": answer.usage.input, "output": answer.usage.output, "total": answer.usage.total},
        }
        self._line("answer", facts)

    def stuck(self, why: str, session: str) -> None:
        self._line("stuck", {"why": why, "session": session})

    def failed(self, error: ClawtopError, code: int) -> None:
        facts = {"error": type(error).__name__, "title": error.title, "hint": error.hint, "unchanged": error.unchanged}
        self._line("error", facts | failure_facts(error) | {"exit_code": code})

    def _text(self, text: str) -> None:
        if text:
            self._line("text", {"text": text})

    @staticmethod
    def _line(kind: str, facts: Mapping[str, Any]) -> None:
        print(json.dumps({"schema": SCHEMA, "type": kind, **facts}), flush=True)
