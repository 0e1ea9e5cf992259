"""The command line: one verb of the commands table, with the options that every verb shares.

`clawtop` alone is the dashboard. Global options stand before or after the verb. A verb is a module of this package
with `add_arguments(parser)` and `run(args) -> int`; only the module of the verb that was asked for is imported.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import sys
from collections.abc import Sequence
from types import ModuleType
from typing import NoReturn

from clawtop.cli.moment import moment
from clawtop.commands import verbs
from clawtop.errors import ClawtopError, UsageError

USAGE_EXIT = UsageError.exit_code
INTERRUPTED_EXIT = 130

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
    """Parse and run. Returns the exit code; prints errors to stderr, and as JSON where JSON was asked for."""
    try:
        args = _parse(argv)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else USAGE_EXIT
    try:
        code: int = args.run(args)
        sys.stdout.flush()
    except ClawtopError as error:
        _report(error, as_json=getattr(args, "json", False))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED_EXIT
    except BrokenPipeError:
        # The reader of our output left; leave quietly, and keep the interpreter from flushing into the closed pipe.
        with contextlib.suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return code


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
