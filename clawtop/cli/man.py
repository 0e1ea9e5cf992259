"""`clawtop man`: the manual page, generated from the parser and the table of settings."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.epilog = "clawtop man > ~/.local/share/man/man1/clawtop.1; to read it at once: clawtop man | man -l -"


def run(args: argparse.Namespace) -> int:  # noqa: ARG001 - as every verb
    """Print it as roff."""
    sys.stdout.write(page())
    return 0


def page() -> str:
    """The page in section 1."""
    from clawtop.cli.main import DESCRIPTION, usage_of, whole_parser
    from clawtop.cli.version import commit_date, version_line
    from clawtop.commands import verbs

    parser = whole_parser()
    lines = [f'.TH CLAWTOP 1 "{commit_date()}" "{_roff(version_line())}" "User Commands"']
    lines += [".SH NAME", f"clawtop \\- {_roff(DESCRIPTION)}"]
    lines += [".SH SYNOPSIS", ".B clawtop", "[OPTION ...] [VERB ...]", ".SH DESCRIPTION", _roff(DESCRIPTION)]
    lines += [".SH OPTIONS", *_actions(parser)]
    subparsers = dict(_verbs(parser))
    lines.append(".SH VERBS")
    for item in verbs():
        sub = subparsers[item.verb or ""]
        lines += [f".SS clawtop {_roff(usage_of(item.verb or ''))}", _roff(item.said_of_verb)]
        lines += _actions(sub)
        if sub.epilog:
            lines += [".PP", ".nf", *map(_roff, sub.epilog.splitlines()), ".fi"]
    return "\n".join([*lines, *_settings(), ""])


def _actions(parser: argparse.ArgumentParser) -> Iterator[str]:
    formatter = parser._get_formatter()
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction | argparse._HelpAction) or action.help is argparse.SUPPRESS:
            continue
        told = formatter._format_action_invocation(action)
        yield from (".TP", f".B {_roff(told)}", _roff(formatter._expand_help(action) if action.help else ""))


def _verbs(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.items()


def _settings() -> Iterator[str]:
    from clawtop.core.settings import SETTINGS

    yield from (".SH FILES", ".TP", ".B ~/.config/clawtop/config.toml", "Settings; clawtop config prints them all.")
    yield from (".SH ENVIRONMENT", ".TP", ".B CLAWTOP_CONFIG", "A config file to use instead.")
    for setting in SETTINGS:
        if setting.variable is not None:
            yield from (".TP", f".B {setting.variable}", _roff(f"{setting.path}: {setting.help}"))


def _roff(text: str) -> str:
    """`text` as roff shows it: backslashes, dashes, and no line that begins with a request."""
    shown = " ".join(text.split()) if "\n" in text else text
    shown = shown.replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{shown}" if shown.startswith((".", "'")) else shown
