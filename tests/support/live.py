"""State directories captured beside real gateways (2026.5.20), with the provider's own log as the reference. `at.json`
has the clock and the live processes. The directories are copied before they are read.
"""

from __future__ import annotations

import argparse
import json
import shutil
from dataclasses import dataclass
from pathlib import Path

from clawtop.cli.common import _incident_parts
from clawtop.clock import SystemClock
from clawtop.core.model import ProcessEvidence, Snapshot
from clawtop.store.snapshot import SnapshotReader

ROOT = Path(__file__).parent / "live"


class _At(SystemClock):
    def __init__(self, at: int) -> None:
        self._at = at

    def now_ms(self) -> int:
        return self._at


class _Alive:
    """The process table of the capture."""

    def __init__(self, ticks: dict[int, int | None]) -> None:
        self._ticks = ticks

    def look(self, pid: int) -> ProcessEvidence:
        if pid in self._ticks:
            return ProcessEvidence(pid, True, start_ticks=self._ticks[pid], argv=("openclaw",))
        return ProcessEvidence(pid, False)


@dataclass(frozen=True, slots=True)
class Live:
    """A captured directory under `root`, with the time of its capture in ms since the epoch."""

    root: Path
    at: int
    alive: frozenset[int]

    @property
    def state_dir(self) -> Path:
        return self.root / "home" / ".openclaw"

    def read(self) -> Snapshot:
        """The state as of its capture, read twice: the second read uses what the first has learnt."""
        locks = [json.loads(path.read_text()) for path in self.root.glob("tmp/openclaw-*/gateway*.lock")]
        ticks = {pid: next((lock["startTime"] for lock in locks if lock["pid"] == pid), None) for pid in self.alive}
        reader = SnapshotReader(
            state_dir=str(self.state_dir),
            env={"TMPDIR": str(self.root / "tmp")},
            home=self.root / "home",
            clock=_At(self.at),
            processes=_Alive(ticks),
            port_probe=lambda _port: False,
            extra_parts=_incident_parts(argparse.Namespace()),
        )
        reader.read()
        return reader.read()


def live(name: str, tmp_path: Path) -> Live:
    """A copy of the directory `name`."""
    root = tmp_path / name
    shutil.copytree(ROOT / name, root)
    at = json.loads((root / "at.json").read_text())
    return Live(root, at["captured_at"], frozenset(at["alive"]))
