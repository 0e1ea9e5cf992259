"""The command line: one verb from the commands table, with the options that all verbs share.

`clawtop` alone is the dashboard. Global options go before or after the verb. A verb is a module of this package
with `add_arguments(parser)` and `run(args) -> int`; only the module of the verb that was asked for is imported.
"""

from __future__ import annotations

import argparse
import errno
import gc
import importlib
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, NoReturn

from clawtop.cli.moment import parse_moment
from clawtop.cli.output import lasting, left_by_its_reader, silence
from clawtop.cli.process import interruption, said_goodbye, unwind_on_signals
from clawtop.commands import verbs
from clawtop.errors import ClawtopError, OperationFailedError, UsageError
from clawtop.text import safe

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

USAGE_EXIT = UsageError.exit_code
UNWRITTEN_EXIT = 74  # sysexits EX_IOERR
CHANGING = frozenset(item.verb for item in verbs() if item.dangerous or item.lasting)
"""Verbs whose work counts even if their output cannot be written."""
ANSWERING = frozenset({"doctor", "receipt", "selftest"})
"""Verbs whose exit code is an answer, and stays one if the reader of the details has gone."""

DESCRIPTION = "A live dashboard and failover engine for OpenClaw gateways. Without a verb: the dashboard."


_ANY_WIDTH = argparse.HelpFormatter(prog="", width=80)


class Parser(argparse.ArgumentParser):
    """argparse with the exit code of sysexits for a wrong command line, and options anywhere among the arguments."""

    _mixes = False
    _adds = False

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """Add it. argparse asks a formatter whether the help can show it, and to make one takes as long as all else."""
        self._adds = True
        try:
            return super().add_argument(*names, **options)
        finally:
            self._adds = False

    def _get_formatter(self) -> argparse.HelpFormatter:
        return _ANY_WIDTH if self._adds else super()._get_formatter()

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """Parse options anywhere: argparse itself treats an optional argument after an option as absent."""
        if self._mixes or not any(action.nargs in {"*", "?"} for action in self._get_positional_actions()):
            return super().parse_known_args(args, namespace)
        self._mixes = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._mixes = False

    def _check_value(self, action: argparse.Action, value: object) -> None:
        """Suggest the nearest choice when the value is none of them."""
        if action.choices is not None and value not in action.choices:
            from clawtop.core.nearest import did_you_mean

            near = did_you_mean(str(value), map(str, action.choices))
            if near:
                what = "command" if action.dest == "what" else action.dest.replace("_", " ")
                raise argparse.ArgumentError(None, f"there is no {what} {safe(value, 80)}{near}")
        super()._check_value(action, value)

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        """Print, and raise write errors, which argparse itself ignores."""
        if message:
            (file or sys.stderr).write(message)

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE_EXIT, f"{self.prog}: {message}\n")


def run(argv: Sequence[str]) -> int:
    """Parse and run. Returns the exit code; prints errors to stderr, and as JSON where JSON was asked for.

    An unexpected error gives one line and a report (`clawtop.crash`), exit 70.
    """
    try:
        args = _parse(argv)
    except (SystemExit, OSError) as error:
        stop = error
        return _plain(argparse.Namespace(run=lambda _args: _ended(stop)))
    if args.version:
        args.run, args.verb = _print_version, None
    if not gc.isenabled():
        gc.freeze()  # else the first collection looks at all that was loaded to start
        gc.enable()
    if args.verb is not None:
        unwind_on_signals()  # the dashboard holds nothing before it handles signals itself
    try:
        if _only_tells(args):
            return _answer(args) if _is_asked(args) else _plain(args)
        return _lasting(args)
    except ClawtopError as error:
        return _failed(error, args)
    except KeyboardInterrupt as error:
        return said_goodbye(error)
    except Exception as error:  # noqa: BLE001 - the end of the line
        if (interrupt := interruption(error)) is not None:
            return said_goodbye(interrupt)
        if isinstance(error, FileNotFoundError) and not _is_somewhere():
            gone = OperationFailedError("the current directory is gone", hint="change to one that is there")
            return _failed(gone, args)
        from clawtop.crash import unexpected

        return _failed(unexpected(error, f"running {args.verb or 'the dashboard'}"), args)


def _is_somewhere() -> bool:
    """Whether relative paths lead anywhere."""
    try:
        os.getcwd()  # noqa: PTH109 - only whether there is one
    except FileNotFoundError:
        return False
    return True


def _ended(stop: SystemExit | OSError) -> int:
    """The exit code of a parser that has shown its help, refused the command line, or could not write."""
    if isinstance(stop, OSError):
        raise stop
    return stop.code if isinstance(stop.code, int) else USAGE_EXIT


def _print_version(_args: argparse.Namespace) -> int:
    from clawtop.cli.version import version_line

    print(version_line())
    return 0


def _plain(args: argparse.Namespace) -> int:
    """Run a verb that only prints: it ends when its output cannot be written."""
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in {errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EFBIG}:
            raise
        silence(sys.stdout)
        if left_by_its_reader(error):
            return 0
        return _unwritten(error.strerror)
    return code


def _only_tells(args: argparse.Namespace) -> bool:
    """Whether nothing is changed: by the verb, or with options that only preview or list."""
    return args.verb not in CHANGING or getattr(args, "dry_run", False) or getattr(args, "list", False)


def _is_asked(args: argparse.Namespace) -> bool:
    """Whether the exit code is an answer; a verb that keeps watching ends with its reader."""
    if getattr(args, "watch", False):
        return False
    return args.verb in ANSWERING or getattr(args, "check", False)


def _answer(args: argparse.Namespace) -> int:
    """Run a verb whose exit code is an answer: `--check | head -1` fails as `--check` alone does."""
    with lasting() as output:
        code: int = args.run(args)
    return code if output.problem is None or output.left else _unwritten(output.problem)


def _unwritten(problem: str | None) -> int:
    sys.stderr.write(f"clawtop: the output could not be written: {problem}\n")
    return UNWRITTEN_EXIT


def _lasting(args: argparse.Namespace) -> int:
    """Run a verb that changes something: it continues even if its output cannot be written."""
    with lasting() as output:
        code: int = args.run(args)
    if output.problem is not None:
        what = {0: "done, but the report of it"}.get(code, "the report")
        sys.stderr.write(f"clawtop: {what} could not be written: {output.problem}\n")
    return code


def _failed(error: ClawtopError, args: argparse.Namespace) -> int:
    with lasting():
        _report(error, as_json=getattr(args, "json", False))
    return error.exit_code


def whole_parser() -> Parser:
    """The parser with every verb's options: what the man page, completions and README's table are made from."""
    return make_parser({item.verb for item in verbs() if item.verb})


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    argv = list(argv)
    if argv[:1] == ["help"]:
        argv = [*argv[1:], "--help"]
    parser = make_parser(set(argv))
    _apply_settings(parser)
    args: argparse.Namespace
    args, unknown = parser.parse_known_args(argv)
    if unknown:
        _refuse(parser, args.verb, unknown)
    _refuse_other_hosts(parser, args)
    _refuse_options_of_the_dashboard(parser, args)
    return args


def _refuse_other_hosts(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """A verb works on this machine, and must not seem to work on the hosts named before it."""
    from clawtop.cli.fleet import named_before

    if args.verb not in {None, "fleet"} and (option := named_before(args).option):
        parser.error(
            f"{option} is for the dashboard and for clawtop fleet; clawtop {args.verb} acts on the local machine only"
        )


OPEN_A_DASHBOARD = frozenset({"demo", "fleet", "replay"})
"""Verbs that take the dashboard's options before them."""


def _refuse_options_of_the_dashboard(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """A verb without a dashboard would ignore them: `clawtop --read-only clear` must not clear."""
    if args.verb is None or args.verb in OPEN_A_DASHBOARD:
        return
    group = next(one for one in parser._action_groups if one.title == "dashboard")
    for action in group._group_actions:
        if getattr(args, action.dest) != parser.get_default(action.dest):
            parser.error(f"{action.option_strings[0]} is for the dashboard; clawtop {args.verb} has no such option")


def _refuse(parser: argparse.ArgumentParser, verb: str | None, unknown: Sequence[str]) -> NoReturn:
    """Unknown options: reported with the usage of their verb and a suggestion."""
    from clawtop.core.nearest import did_you_mean

    asked = next((each for each in verb_parsers(parser) if verb and each.prog.endswith(f" {verb}")), parser)
    options = [name for action in asked._actions for name in action.option_strings]
    near = did_you_mean(unknown[0].partition("=")[0], options) if unknown[0].startswith("-") else ""
    asked.error(f"{'no such option' if near else 'unknown'}: {' '.join(safe(word, 80) for word in unknown)}{near}")


HOW = "how"
"""The group of options that every verb which changes something has (`operation_output.add_operation_arguments`)."""


def usage_of(verb: str) -> str:
    """The verb with its arguments, as its usage line says it: `[HOW]` stands for the options of that group, and those
    that every verb has are left out. `usage_of(HOW)` are the options of the group.
    """
    shown = "clear" if verb == HOW else verb
    parser = next(sub for sub in verb_parsers(make_parser({shown})) if sub.prog.rpartition(" ")[2] == shown)
    how = [action for group in parser._action_groups if group.title == HOW for action in group._group_actions]
    if verb == HOW:
        return _usage(how, ())
    everywhere = {action.dest for action in _shared()._actions} | {"help"}
    own = [action for action in parser._actions if action.dest not in everywhere and action not in how]
    return " ".join(
        part for part in (verb, _usage(own, parser._mutually_exclusive_groups), "[HOW]" if how else "") if part
    )


def _usage(actions: Sequence[argparse.Action], groups: Collection[Any]) -> str:
    formatter = argparse.HelpFormatter(prog="", width=100_000)
    formatter.add_usage(None, actions, groups, prefix="")
    return formatter.format_help().strip()


def make_parser(wanted: Collection[str]) -> Parser:
    """The parser; the options of verbs that are not `wanted` are left out, since each costs an import."""
    parser = Parser(prog="clawtop", description=DESCRIPTION, parents=[_shared()], allow_abbrev=False)
    parser.add_argument(
        "--version", action="store_true", help="show the version, with the commit of the build, and exit"
    )
    dashboard = importlib.import_module("clawtop.cli.dashboard")
    dashboard.add_arguments(parser)
    parser.set_defaults(run=dashboard.run, verb=None, state_dir=None, agent=None, at=None, no_gateway=False)
    subparsers = parser.add_subparsers(metavar="VERB", dest="verb", parser_class=Parser, prog=parser.prog)
    empty = Parser(add_help=False)
    for item in verbs():
        assert item.verb is not None  # noqa: S101 - what verbs() promises
        if item.verb not in wanted:
            subparsers.choices[item.verb] = empty  # for the list in the help, and the nearest verb to a mistyped one
            subparsers._choices_actions.append(subparsers._ChoicesPseudoAction(item.verb, [], item.said_of_verb))
            continue
        sub = subparsers.add_parser(
            item.verb,
            help=item.said_of_verb,
            description=item.said_of_verb,
            parents=[_shared()],
            allow_abbrev=False,
        )
        module = verb_module(item.verb)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser


_OPTION_OF_SETTING = {
    "state_dir": "state_dir",
    "agent": "agent",
    "theme": "theme",
    "view": "view",
    "read_only": "read_only",
    "bell": "bell",
    "notify": "notify",
    "limits.blocked_minutes": "blocked_minutes",
    "limits.lock_wait_seconds": "wait",
    "limits.verify_seconds": "verify",
}
"""Setting -> the option whose default it is, in every parser that has that option."""


def _apply_settings(parser: argparse.ArgumentParser) -> None:
    """Make the operator's settings the defaults. Unusable ones are reported on stderr and ignored."""
    from clawtop.store.own.settings import load_settings

    reading = load_settings(os.environ, Path.home())
    for problem in reading.problems:
        print(f"clawtop: {problem}", file=sys.stderr)
    changed = {name: reading.values[path] for path, name in _OPTION_OF_SETTING.items()}
    changed["no_mouse"] = not reading.values["mouse"]
    chosen = {name: value for name, value in changed.items() if value is not None}
    parser.set_defaults(settings=reading.values)
    for one in (parser, *verb_parsers(parser)):
        known = {action.dest for action in one._actions if action.default is not argparse.SUPPRESS}
        shared = {"state_dir", "agent"} if one is parser else set()
        one.set_defaults(**{name: value for name, value in chosen.items() if name in known | shared})


def verb_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def _shared() -> Parser:
    shared = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = shared.add_argument_group("state")
    group.add_argument("--state-dir", metavar="D", help="OpenClaw's state directory (default: as OpenClaw finds it)")
    group.add_argument("--agent", metavar="A", help="only this agent (default: all)")
    group.add_argument(
        "--at",
        metavar="TIME",
        type=parse_moment,
        help="judge the state as of TIME (epoch ms or ISO 8601); the process table is not consulted",
    )
    group.add_argument(
        "--no-gateway", action="store_true", help="do not query the gateway or use its token; use only what is on disk"
    )
    return shared


def verb_module(verb: str) -> ModuleType:
    """The module that implements a verb of the commands table."""
    return importlib.import_module(f"clawtop.cli.{verb}")


def _report(error: ClawtopError, *, as_json: bool) -> None:
    from clawtop.redaction import masked

    if as_json:
        import json

        facts = {"title": error.title, "unchanged": error.unchanged, "hint": error.hint}
        if holder := getattr(error, "holder", ""):
            facts["holder"] = holder
        told = {name: masked(text) for name, text in facts.items()}
        print(json.dumps({"schema": 1, "error": told, "exit_code": error.exit_code}))
    print(f"clawtop: {masked(str(error))}", file=sys.stderr)
