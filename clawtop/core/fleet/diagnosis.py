"""Why a host cannot be reached, in an operator's words, with the one command that helps."""

from __future__ import annotations

from typing import NamedTuple

from clawtop.text import shown

INSTALL = "pipx install clawtop-tui"
UPGRADE = "pipx upgrade clawtop-tui"
WIDTH = 200


class Diagnosis(NamedTuple):
    """What is wrong, as one safe line, and what to do about it."""

    why: str
    hint: str = ""


_SSH = (
    ("could not resolve hostname", "the name does not resolve", ""),
    ("name or service not known", "the name does not resolve", ""),
    ("remote host identification has changed", "its host key has changed", "ssh-keygen -R {host}, once you know why"),
    ("host key verification failed", "its host key is not known here", "ssh {host}, once, to accept it"),
    ("connection refused", "the connection is refused", ""),
    ("no route to host", "there is no route to it", ""),
    ("connection timed out", "it does not answer", ""),
    ("operation timed out", "it does not answer", ""),
    ("connection closed by", "it closed the connection", ""),
    ("permission denied", "it rejected the key and would ask for a password", "ssh-copy-id {host}"),
    ("too many authentication failures", "it refuses: too many keys were tried", "name the right key in ~/.ssh/config"),
)
"""What ssh prints, in lower case, what it means, and what to do."""

_MISSING = ("command not found", "not found", "no such file or directory", "executable file not found")


def why_ended(host: str, code: int | None, said: str, *, greeted: bool, printed: str = "") -> Diagnosis:
    """Why a stream ended.

    Args:
        code: exit code of the command; None if clawtop killed it.
        said: the last lines of its stderr, as they came.
        greeted: the far clawtop had answered before.
        printed: the first line of its stdout in place of a greeting, as it came.
    """
    lower, last = said.lower(), shown(said.strip().rpartition("\n")[2], WIDTH)
    if not greeted:
        if code == 127 or (code in (1, 126) and any(word in lower for word in _MISSING)):
            return Diagnosis("clawtop is not installed there", f"on {shown(host, 60)}: {INSTALL}")
        if code == 64 or "invalid choice: 'stream'" in lower:
            return Diagnosis("its clawtop is too old for a fleet", f"on {shown(host, 60)}: {UPGRADE}")
        for words, why, hint in _SSH:
            if words in lower:
                return Diagnosis(why, hint.replace("{host}", shown(host, 60)))
        if code == 3:
            return Diagnosis(last.removeprefix("clawtop: ") or "its state directory cannot be read")
        if code is not None and "usage" in f"{lower}\n{printed.lower()}":
            return _another_program(host)
        last = last or shown(printed, WIDTH)
    what = "the connection was lost" if greeted else "no clawtop answered"
    return Diagnosis(f"{what}: {last}" if last else f"{what} (exit {code})" if code is not None else what)


def wrong_version(host: str, theirs: int, ours: int, version: str) -> Diagnosis:
    """The far clawtop uses a different stream version."""
    if theirs < ours:
        return Diagnosis(f"its clawtop {shown(version, 30)} is too old", f"on {shown(host, 60)}: {UPGRADE}")
    return Diagnosis(f"its clawtop {shown(version, 30)} is newer than this one", f"here: {UPGRADE}")


def not_a_stream(host: str, said: str) -> Diagnosis:
    """Something other than a clawtop stream arrived: an endless banner, another program of that name."""
    lower = said.lower()
    if "usage" in lower or "clawtop" in lower:
        return _another_program(host)
    return Diagnosis(f"it sends something other than a clawtop stream: {shown(said, 80)}")


def _another_program(host: str) -> Diagnosis:
    return Diagnosis("the clawtop there is a different program", f"on {shown(host, 60)}: which -a clawtop")
