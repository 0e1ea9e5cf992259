"""Handling unexpected errors: one line for the operator, a masked report for the issue tracker.

No local variable, no environment and no argument of the command line is in it; what exceptions say passes `masked`.
"""

from __future__ import annotations

import errno
import os
import platform
import sys
import threading
import traceback
from contextlib import suppress
from pathlib import Path

from clawtop import __version__
from clawtop.errors import ClawtopError
from clawtop.redaction import masked
from clawtop.text import safe

CRASH_EXIT = 70  # sysexits EX_SOFTWARE
MOST_REPORTS = 10
_MOST_FRAMES = 60
_LONGEST_LINE = 400
_LONGEST_MESSAGE = 2_000
_PACKAGE = Path(__file__).resolve().parent

_written: dict[str, str | None] = {}  # place -> report; the same crash again is not written again; under _guard
_guard = threading.Lock()


class UnexpectedError(ClawtopError):
    """A fault of clawtop's own, or of the machine under it; what it was doing was not done (exit 70).

    Attributes:
        report: the report's path; None if none could be written.
    """

    exit_code = CRASH_EXIT

    def __init__(self, title: str, *, report: str | None = None, unchanged: str = "", hint: str = "") -> None:
        super().__init__(title, unchanged=unchanged, hint=hint)
        self.report = report


def unexpected(error: BaseException, doing: str) -> UnexpectedError:
    """`error` as something an operator may read, its report written. `doing` completes "clawtop failed while ..."."""
    lack = shortage(error)
    if lack is not None:
        return UnexpectedError(f"{lack} while {doing}", hint="raise the limit, or stop something else")
    where = place(error)
    path = _report(error, where, doing)
    words = f"unexpected error while {doing}: {where}"
    hint = f"a report for the issue tracker is in {safe(path)}" if path else "no report could be written"
    return UnexpectedError(words, report=path, hint=hint)


def shortage(error: BaseException) -> str | None:
    """The resource that the machine ran out of, if that is the error: it needs no report."""
    seen: set[int] = set()
    cause: BaseException | None = error
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        if isinstance(cause, OSError) and cause.errno in {errno.EMFILE, errno.ENFILE}:
            return "no file descriptor was left (ulimit -n)"
        if isinstance(cause, RuntimeError) and "can't start new thread" in str(cause):
            return "no thread could be started (ulimit -u)"
        if isinstance(cause, OSError) and cause.errno == errno.EAGAIN and "fork" in str(cause):
            return "no process could be started (ulimit -u)"
        if isinstance(cause, MemoryError):
            return "no memory was left"
        cause = cause.__cause__ or cause.__context__
    return None


def place(error: BaseException) -> str:
    """The kind of error and the innermost line of clawtop's own code in its traceback."""
    own = [frame for frame in traceback.extract_tb(error.__traceback__) if _PACKAGE in Path(frame.filename).parents]
    if not own:
        return type(error).__name__
    return f"{type(error).__name__} in {_short(own[-1].filename)}:{own[-1].lineno}"


def report_text(error: BaseException, doing: str) -> str:
    """The report: version, system, traceback."""
    told = traceback.TracebackException(type(error), error, error.__traceback__, limit=-_MOST_FRAMES, compact=True)
    _clean(told)
    lines = [
        f"clawtop {__version__}, Python {platform.python_version()}, {platform.system()} {platform.machine()}",
        f"while {doing}",
        "",
    ]
    for part in told.format():
        lines += part[:_LONGEST_MESSAGE].splitlines()
    whole = masked("\n".join(lines))  # a line break may divide a secret
    return "".join(safe(line, _LONGEST_LINE) + "\n" for line in whole.split("\n"))


def _clean(told: traceback.TracebackException) -> None:
    """Traceback lines without directories, which name people and machines. Messages are masked here, before a group
    of exceptions is indented by bars and a long message is cut: both may divide a secret.
    """
    rest: list[traceback.TracebackException | None] = [told]
    while rest:
        one = rest.pop()
        if one is None:
            continue
        for frame in one.stack:
            frame.filename = _short(frame.filename)
        said = getattr(one, "_str", None)
        if isinstance(said, str):
            one._str = masked(said)  # type: ignore[attr-defined]
        notes = one.__notes__
        if isinstance(notes, list):
            one.__notes__ = [masked(str(note)) for note in notes]
        rest += [one.__cause__, one.__context__, *(one.exceptions or ())]


def _short(filename: str) -> str:
    path = Path(filename)
    for root in (_PACKAGE.parent, *(Path(entry) for entry in sys.path if entry)):
        if root in path.parents:
            return str(path.relative_to(root))
    return path.name


def _report(error: BaseException, where: str, doing: str) -> str | None:
    with _guard:
        if where not in _written and len(_written) < MOST_REPORTS:
            _written[where] = None
            with suppress(Exception):
                _written[where] = _save(report_text(error, doing))
        return _written.get(where)


def _save(text: str) -> str:
    import tempfile

    descriptor, path = tempfile.mkstemp(prefix="clawtop-crash-", suffix=".txt")
    with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)
    return path
