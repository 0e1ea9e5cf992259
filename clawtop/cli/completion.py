"""`clawtop completion`: a completion script for bash, zsh or fish, generated from the parser.

Words that depend on the state (profile ids, session keys, providers, locks) are asked for with `--list` when Tab is
pressed: a read without the gateway, which writes nothing and fails in silence.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot

SHELLS = ("bash", "zsh", "fish")

WORDS: Mapping[str, str] = {
    "profile": "profiles",
    "PROFILE": "profiles",
    "ID": "profiles",
    "TEXT|-|ID": "profiles",
    "PROVIDER": "providers",
    "P": "providers",
    "SESSION": "sessions",
    "KEY|FILE": "sessions",
    "SESSION|PATH": "locks",
    "A": "agents",
}
"""Metavariable of an argument -> the kind of words that complete it."""

_NEEDS_QUOTES = frozenset(" \t'\"\\$`;&|<>()*?[]{}!#~^")
"""Characters that a shell would interpret: ids are untrusted, and Enter follows Tab."""

_BASH_END = """\
# the words of a kind, of the state directory that the line names
_clawtop_list() {
  local -a given
  local i value quotes=$'["\\'\\\\\\\\]'
  given=()
  for (( i = 1; i < COMP_CWORD; i++ )); do
    if [[ ${COMP_WORDS[i]} == --state-dir ]]; then
      value=${COMP_WORDS[i+1]}
      if [[ $value == = ]]; then value=${COMP_WORDS[i+2]}; fi
    elif [[ ${COMP_WORDS[i]} == --state-dir=* ]]; then
      value=${COMP_WORDS[i]#*=}
    else
      continue
    fi
    value=${value/#\\~/$HOME}
    given=(--state-dir "${value//$quotes/}")
  done
  clawtop completion --list "$1" --no-gateway "${given[@]}" 2>/dev/null
}

# bash takes words apart at colons, and puts what is found in the place of the last part alone.
_clawtop() {
  local rest=$COMP_LINE word before current= cut
  local -a words
  local i at=0
  words=()
  for (( i = 0; i < ${#COMP_WORDS[@]}; i++ )); do
    word=${COMP_WORDS[i]}
    before=${rest%%"$word"*}
    if [[ -n $word ]]; then rest=${rest#*"$word"}; else before=' '; fi
    if [[ $i -gt 0 && -z $before && ( $word == :* || $current == *: ) ]]; then
      current+=$word
      words[${#words[@]}-1]=$current
    else
      current=$word
      words+=("$current")
    fi
    if [[ $i -eq $COMP_CWORD ]]; then at=$(( ${#words[@]} - 1 )); fi
  done
  local -a COMP_WORDS
  COMP_WORDS=("${words[@]}")
  local COMP_CWORD=$at
  _shtab_clawtop "$@"
  current=${words[at]}
  cut=${current%"${current##*:}"}
  if [[ $COMP_WORDBREAKS == *:* ]]; then COMPREPLY=("${COMPREPLY[@]#"$cut"}"); fi
}

complete -o bashdefault -F _clawtop clawtop
"""

_ZSH_END = """\
if [[ $funcstack[1] == _clawtop ]]; then
  _shtab_clawtop "$@"
else
  (( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }
  compdef _shtab_clawtop clawtop
fi
"""

_ENDS: Mapping[str, tuple[str, str]] = {
    "bash": ("complete -o bashdefault -F _shtab_clawtop clawtop", _BASH_END),
    "zsh": ("if [[ $zsh_eval_context[-1] == eval ]]; then", _ZSH_END),
}
"""Where the end of shtab's script begins, and its replacement. Its own for zsh mistakes a sourced file for one
in $fpath and completes at once."""

_ZSH_WORDS = """\
_clawtop_words() {
  local -a found given line
  local at
  line=("${(z)LBUFFER}")
  for at in {1..$#line}; do
    case $line[at] in
      --state-dir) given=(--state-dir "${(Q)line[at+1]/#\\~/$HOME}") ;;
      --state-dir=*) given=(--state-dir "${(Q)${line[at]#*=}/#\\~/$HOME}") ;;
    esac
  done
  found=("${(@f)$(clawtop completion --list ${@[-1]} --no-gateway $given 2>/dev/null)}")
  compadd "${@[1,-2]}" -a found
}
"""

_FISH_END = """
# the words of a kind, of the state directory that the line names
function _clawtop_list
  set -l given
  set -l previous
  for word in (commandline -opc)
    if test "$previous" = --state-dir
      set given --state-dir (string replace -r '^~' $HOME -- $word)
    else if string match -q -- '--state-dir=*' $word
      set given --state-dir (string replace -r '^~' $HOME -- (string replace -- '--state-dir=' '' $word))
    end
    set previous $word
  end
  clawtop completion --list $argv[1] --no-gateway $given 2>/dev/null
end
"""

KINDS = tuple(dict.fromkeys(WORDS.values()))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "bash:  clawtop completion bash > ~/.local/share/bash-completion/completions/clawtop\n"
        "zsh:   clawtop completion zsh > DIR/_clawtop   (DIR in $fpath)\n"
        "fish:  clawtop completion fish > ~/.config/fish/completions/clawtop.fish\n"
        "or, for one shell: source <(clawtop completion bash), the same for zsh; clawtop completion fish | source"
    )
    parser.add_argument("shell", choices=SHELLS, nargs="?", help="the shell")
    parser.add_argument("--list", choices=KINDS, dest="kind", help="print the words of a kind, one per line")


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
                action.complete = _words_when_asked(kind)  # type: ignore[attr-defined]
            elif action.metavar in {"FILE", "PATH"}:
                action.complete = shtab.FILE  # type: ignore[attr-defined]
            elif action.metavar == "D":
                action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
    text = shtab.complete(parser, shell=shell)
    if shell == "fish":
        return text.rstrip("\n") + "\n" + _FISH_END
    return _with_end(text, *_ENDS[shell]) if shell in _ENDS else text


def _with_end(text: str, mark: str, end: str) -> str:
    """The script with another end from `mark` on."""
    begin, found, _ = text.rpartition(mark)
    assert found  # noqa: S101 - a test runs it
    return begin + end


def _words_when_asked(kind: str) -> Any:
    """shtab's completion by the words of a command; its own for zsh would run each such command when it is loaded."""
    import shtab

    by_command: Any = shtab.cmd(f"_clawtop_list {kind}")
    preambles = {**by_command["preamble"], "zsh": _ZSH_WORDS}
    return {**by_command, "zsh": f"_clawtop_words {kind}", "preamble": preambles}


def _parsers(parser: argparse.ArgumentParser) -> Iterable[argparse.ArgumentParser]:
    from clawtop.cli.main import verb_parsers

    return (parser, *verb_parsers(parser))


def _words(args: argparse.Namespace) -> list[str]:
    from clawtop.cli.common import load_snapshot
    from clawtop.errors import ClawtopError

    try:
        return words_of(load_snapshot(args), args.kind)
    except ClawtopError:
        return []


def words_of(snapshot: Snapshot, kind: str) -> list[str]:
    """Words that can be typed as they are: none with white space, control characters or what a shell reads."""
    found = sorted(set(_of_kind(snapshot, kind)))
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
            from clawtop.core.operations.target import names_of

            keys = {session.key for session in snapshot.sessions}
            names = ((lock.file.path, names_of(snapshot, lock)) for lock in snapshot.locks)
            return [name for path, each in names for name in each if name == path or name in keys]
