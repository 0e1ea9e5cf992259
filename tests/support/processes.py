"""Process tables with contents set by tests."""

from __future__ import annotations

from collections.abc import Mapping

from clawtop.core.model import ProcessEvidence


class FixedProcesses:
    """Answers from a mapping; every other pid is dead. `asked` lists the look-ups in order."""

    def __init__(self, known: Mapping[int, ProcessEvidence] | None = None) -> None:
        self.known = dict(known or {})
        self.asked: list[int] = []

    def look(self, pid: int) -> ProcessEvidence:
        self.asked.append(pid)
        return self.known.get(pid) or ProcessEvidence(pid, alive=False)


def alive(
    pid: int,
    *,
    ticks: int | None = None,
    argv: tuple[str, ...] = ("openclaw",),
    started_at: int | None = None,
    boot_at: int | None = None,
    uid: int | None = None,
) -> ProcessEvidence:
    """A living process."""
    return ProcessEvidence(pid, True, ticks, started_at, boot_at, argv, uid)
