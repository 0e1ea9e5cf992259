"""The command line: one verb of the commands table, with the options that every verb shares.

`clawtop` alone is the dashboard. Global options stand before or after the verb. A verb is a module of this package
with `add_arguments(parser)` and `run(args) -> int`; only the module of the verb that was asked for is imported.
"""

from __future__ import annotations

import argparse
import errno
import importlib
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from clawtop.cli.moment import moment
from clawtop.cli.output import lasting, left_by_its_reader, silence
from clawtop.cli.process import said_goodbye
from clawtop.commands import verbs
from clawtop.errors import ClawtopError, UsageError

USAGE_EXIT = UsageError.exit_code
UNWRITTEN_EXIT = 74  # sysexits EX_IOERR
CHANGING = frozenset({"clear", "rotate", "unlock", "drain", "undo", "drive"})
"""Verbs whose work counts, whether or not anybody takes the words about it."""

DESCRIPTION = "A live dashboard and failover engine for OpenClaw gateways. Without a verb: the dashboard."


class Parser(argparse.ArgumentParser):
    """argparse with the exit code of sysexits for a wrong command line."""

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        self.exit(USAGE_EXIT, f"{self.prog}: {message}\n")


class _Version(argparse.Action):
    """Worked out when it is asked for: a checkout has to ask git."""

    def __init__(self, option_strings: Sequence[str], dest: str, help: str | None = None) -> None:  # noqa: A002, ARG002
        super().__init__(option_strings, dest=argparse.SUPPRESS, default=argparse.SUPPRESS, nargs=0, help=help)

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from clawtop.cli.version import version_line

        print(version_line())
        parser.exit()


def run(argv: Sequence[str]) -> int:
    """Parse and run. Returns the exit code; prints errors to stderr, and as JSON where JSON was asked for.

    What nobody expected is one line and a report (`clawtop.crash`), exit 70.
    """
    try:
        args = _parse(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE_EXIT
    try:
        return _lasting(args) if args.verb in CHANGING else _plain(args)
    except ClawtopError as error:
        return _failed(error, args)
    except KeyboardInterrupt as error:
        return said_goodbye(error)
    except Exception as error:  # noqa: BLE001 - the end of the line
        from clawtop.crash import unexpected

        return _failed(unexpected(error, f"running {args.verb or 'the dashboard'}"), args)


def _plain(args: argparse.Namespace) -> int:
    """A verb that only tells: when nobody takes what it says, it ends."""
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except OSError as error:
        if error.filename is not None or error.errno not in {errno.EPIPE, errno.ENOSPC, errno.EIO, errno.EFBIG}:
            raise
        silence(sys.stdout)
        if left_by_its_reader(error):
            return 0
        sys.stderr.write(f"clawtop: the output could not be written: {error.strerror}\n")
        return UNWRITTEN_EXIT
    return code


def _lasting(args: argparse.Namespace) -> int:
    """A verb that changes something: it goes on to its end, and its exit code says how that was."""
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


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = Parser(prog="clawtop", description=DESCRIPTION, parents=[_shared()], allow_abbrev=False)
    parser.add_argument("--version", action=_Version, help="show the version, with the commit of the build, and exit")
    dashboard = importlib.import_module("clawtop.cli.dashboard")
    dashboard.add_arguments(parser)
    parser.set_defaults(run=dashboard.run, verb=None, state_dir=None, agent=None, at=None, no_gateway=False)
    subparsers = parser.add_subparsers(metavar="VERB", dest="verb", parser_class=Parser)
    wanted = set(argv)
    for item in verbs():
        assert item.verb is not None  # noqa: S101 - what verbs() promises
        if item.verb not in wanted:
            subparsers.add_parser(item.verb, help=item.help, add_help=False)  # for the list in the help
            continue
        sub = subparsers.add_parser(
            item.verb, help=item.help, description=item.help, parents=[_shared()], allow_abbrev=False
        )
        module = verb_module(item.verb)
        module.add_arguments(sub)
        sub.set_defaults(run=module.run)
    return parser.parse_args(argv)


def _shared() -> Parser:
    shared = Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = shared.add_argument_group("state")
    group.add_argument("--state-dir", metavar="D", help="OpenClaw's state directory (default: as OpenClaw finds it)")
    group.add_argument("--agent", metavar="A", help="only this agent (default: all)")
    group.add_argument(
        "--at",
        metavar="TIME",
        type=moment,
        help="judge the state as of TIME (epoch ms or ISO); the process table is then not consulted",
    )
    group.add_argument(
        "--no-gateway", action="store_true", help="ask the gateway nothing and never use its token; judge by the disk"
    )
    return shared


def verb_module(verb: str) -> ModuleType:
    """The module that implements a verb of the commands table."""
    return importlib.import_module(f"clawtop.cli.{verb}")


def _report(error: ClawtopError, *, as_json: bool) -> None:
    if as_json:
        import json

        facts = {"title": error.title, "unchanged": error.unchanged, "hint": error.hint}
        if holder := getattr(error, "holder", ""):
            facts["holder"] = holder
        print(json.dumps({"schema": 1, "error": facts, "exit_code": error.exit_code}))
    print(f"clawtop: {error}", file=sys.stderr)
