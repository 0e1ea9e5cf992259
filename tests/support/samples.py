"""Real state directories of four OpenClaw versions, with what a correct reader finds in them.

Each holds `MANIFEST.json`, `home/.openclaw` and, up to 2026.7, `tmp` (the machine's temporary directory). Pids in
them are those of the machine they were made on, so liveness is injected from the manifest. Those with databases are
packed, a file each, below `databases`: their newest state stands in write-ahead logs that a reader must not disturb.
"""

from __future__ import annotations

import json
import os
import shutil
import tarfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import Generation, ProcessEvidence
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.snapshot import ExtraPart, SnapshotReader
from tests.support.clocks import ManualClock
from tests.support.processes import FixedProcesses

ROOT = Path(__file__).resolve().parent / "states"
GENERATIONS = {
    "2026.3.28": Generation.A,
    "2026.5.20": Generation.B,
    "2026.6.11": Generation.C,
    "2026.7.1-2": Generation.C,
    "2026.8.2": Generation.D,
    "2026.9.6": Generation.D,
}
PACKED = Path(__file__).resolve().parent / "databases"


@dataclass(frozen=True)
class Sample:
    """One state directory: where it is, and its manifest."""

    version: str
    scenario: str
    root: Path

    def __str__(self) -> str:
        return f"{self.version}-{self.scenario}"

    @cached_property
    def manifest(self) -> Mapping[str, Any]:
        parsed: Mapping[str, Any] = json.loads((self.root / "MANIFEST.json").read_text(encoding="utf-8"))
        return parsed

    @property
    def expect(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.manifest["expect"]
        return found

    @property
    def generation(self) -> Generation:
        return GENERATIONS[self.version]

    @property
    def captured_at(self) -> int:
        return int(self.manifest["captured_at"])

    @property
    def state_dir(self) -> Path:
        return self.root / "home" / ".openclaw"

    def liveness(self) -> FixedProcesses:
        """The process table at capture, as far as locks need it."""
        known: dict[int, ProcessEvidence] = {}
        for lock in self.expect["locks"]:
            payload = lock["payload"]
            if lock["owner_pid"] is None or not lock["owner_live_at_capture"]:
                continue
            ticks = payload.get("startTime", payload.get("starttime"))
            known[lock["owner_pid"]] = ProcessEvidence(
                lock["owner_pid"],
                alive=True,
                start_ticks=ticks if lock.get("owner_starttime_matches", True) else None,
                argv=tuple(lock["owner_argv"].split()),
            )
        return FixedProcesses(known)

    def reader(
        self,
        *,
        processes: ProcessTable | None = None,
        at: int | None = None,
        agent: str | None = None,
        clock: Clock | None = None,
        env: Mapping[str, str] | None = None,
        extra_parts: Sequence[ExtraPart] = (),
        progressive: bool = False,
    ) -> SnapshotReader:
        """A reader of it with the clock at capture, liveness injected, and no port tried."""
        return SnapshotReader(
            state_dir=self.state_dir,
            env=env or {},
            home=self.root / "nobody",
            clock=clock or ManualClock(self.captured_at),
            processes=processes or self.liveness(),
            agent=agent,
            at=at,
            port_probe=None,
            extra_parts=extra_parts,
            progressive=progressive,
        )


def samples(*generations: Generation) -> list[Sample]:
    """Every sample of these generations (of all, if none is named), in order."""
    wanted = generations or tuple(Generation)
    return [
        Sample(version, directory.name, directory)
        for version, generation in GENERATIONS.items()
        if generation in wanted
        for directory in (sorted((ROOT / version).iterdir()) if (ROOT / version).is_dir() else ())
        if (directory / "MANIFEST.json").is_file()
    ]


def sample(version: str, scenario: str) -> Sample:
    """One of them by name."""
    return Sample(version, scenario, ROOT / version / scenario)


def copy(original: Sample, target: Path) -> Sample:
    """A copy that may be changed, with the modes of the manifest and the locks' own times."""
    root = target / original.version / original.scenario
    shutil.copytree(original.root, root)
    copied = Sample(original.version, original.scenario, root)
    _restore(copied)
    return copied


def _restore(sample: Sample) -> None:
    for name, mode in sample.manifest["modes"].items():
        if (sample.root / name).exists():
            (sample.root / name).chmod(int(mode, 8))
    for lock in sample.expect["locks"]:
        stamp = lock["mtime_ms"] * 1_000_000
        os.utime(sample.root / lock["path"], ns=(stamp, stamp))


def packed() -> list[tuple[str, str]]:
    """Version and scenario of every packed directory, in order."""
    return [(path.parent.name, path.name.removesuffix(".tar.xz")) for path in sorted(PACKED.glob("*/*.tar.xz"))]


def unpacked(version: str, scenario: str, target: Path) -> Sample:
    """A packed directory, laid out below `target`, with the modes of the manifest and the locks' own times."""
    root = target / version / scenario
    root.mkdir(parents=True)
    with tarfile.open(PACKED / version / f"{scenario}.tar.xz") as archive:
        archive.extractall(root, filter="data")
    found = Sample(version, scenario, root)
    _restore(found)
    return found
