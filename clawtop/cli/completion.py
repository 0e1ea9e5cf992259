"""`clawtop completion`: a script for bash, zsh or fish, made from the one parser.

Words that depend on the state (profile ids, session keys, providers, locks) are asked for with `--list` when Tab is
pressed: a read without the gateway, which writes nothing and fails in silence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot

SHELLS = ("bash", "zsh", "fish")

WORDS: Mapping[str, str] = {
    "profile": "profiles",
    "PROFILE": "profiles",
    "ID": "profiles",
    "PROVIDER": "providers",
    "P": "providers",
    "SESSION": "sessions",
    "KEY|FILE": "sessions",
    "SESSION|PATH": "locks",
    "A": "agents",
}
"""Metavariable of an argument -> the kind of words that complete it."""

_NEEDS_QUOTES = frozenset(" \t'\"\\$`")

KINDS = tuple(dict.fromkeys(WORDS.values()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "bash:  clawtop completion bash > ~/.local/share/bash-completion/completions/clawtop\n"
        "zsh:   clawtop completion zsh > DIR/_clawtop   (DIR in $fpath)\n"
        "fish:  clawtop completion fish > ~/.config/fish/completions/clawtop.fish"
    )
    parser.add_argument("shell", choices=SHELLS, nargs="?", help="for which shell")
    parser.add_argument("--list", choices=KINDS, dest="kind", help="print the words of a kind, a line each")


def run(args: argparse.Namespace) -> int:
    """Print the script, or the words of a kind."""
    from clawtop.errors import UsageError

    if args.kind is not None:
        print("\n".join(_words(args)))
        return 0
    if args.shell is None:
        raise UsageError(f"name a shell: {', '.join(SHELLS)}")
    sys.stdout.write(script(args.shell))
    return 0


def script(shell: str) -> str:
    """The completion script of a shell, from the whole parser."""
    import shtab

    from clawtop.cli.main import whole_parser

    parser = whole_parser()
    for one in _parsers(parser):
        for action in one._actions:
            kind = WORDS.get(action.metavar) if isinstance(action.metavar, str) else None
            if kind is not None and action.choices is None:
                action.complete = shtab.cmd(f"clawtop completion --list {kind} --no-gateway 2>/dev/null")  # type: ignore[attr-defined]
            elif action.metavar in {"FILE", "PATH"}:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar == "D":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    return shtab.complete(parser, shell=shell)


def _parsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    from clawtop.cli.main import verb_parsers

    return (parser, *verb_parsers(parser))


def _words(args: argparse.Namespace) -> list[str]:
    """Words that can be typed as they are: what holds white space or control characters is left out."""
    from clawtop.cli.common import load_snapshot
    from clawtop.errors import ClawtopError

    try:
        found = sorted(set(_of_kind(load_snapshot(args), args.kind)))
    except ClawtopError:
        return []
    return [word for word in found if word.isprintable() and not set(word) & _NEEDS_QUOTES]


def _of_kind(snapshot: Snapshot, kind: str) -> Iterable[str]:
    profiles = [profile for agent in snapshot.agents if agent.store for profile in agent.store.profiles]
    match kind:
        case "profiles":
            return [profile.id for profile in profiles]
        case "providers":
            return [profile.provider for profile in profiles]
        case "sessions":
            return [session.key for session in snapshot.sessions]
        case "agents":
            return [agent.id for agent in snapshot.agents]
        case _:
            return [*(session.key for session in snapshot.sessions), *(lock.file.path for lock in snapshot.locks)]
