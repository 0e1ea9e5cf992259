"""Whose lock it is: here, in a container, or nobody's since before the boot."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.generations import storage_of
from clawtop.core.locks.staleness import HERE, NamespaceEvidence
from clawtop.core.model import Generation, LockFile, LockIdentity, LockKind, LockLimits, ProcessEvidence, VerdictKind
from clawtop.store.locks.owners import lock_verdict, owner_of
from clawtop.store.locks.processes import SystemProcesses
from clawtop.store.locks.reader import LockJudge

NOW = 1_795_214_000_000
BOOT = NOW - 3_600_000
GONE = ProcessEvidence(12, False, boot_at=BOOT)
INSIDE = ProcessEvidence(9_012, True, start_ticks=555, boot_at=BOOT, argv=("openclaw-gateway",))
OTHER = ProcessEvidence(12, True, start_ticks=99, started_at=NOW - 60_000, boot_at=BOOT, argv=("sshd",))


@dataclass
class Table:
    here: ProcessEvidence = GONE
    inside: tuple[ProcessEvidence, ...] = ()
    searches: int = 0

    def look(self, pid: int) -> ProcessEvidence:
        return next((process for process in self.inside if process.pid == pid), self.here)

    def boot_at(self) -> int | None:
        return BOOT

    def contained(self) -> Mapping[int, Sequence[int]]:
        self.searches += 1
        return {12: [process.pid for process in self.inside]}

    def openclaws(self) -> tuple[ProcessEvidence, ...]:
        return ()

    def environment(self, pid: int) -> Mapping[str, str]:
        return {}


def lock(payload: dict[str, Any] | None, mtime: int = NOW - 1_000) -> LockFile:
    problem = None if payload is not None else "empty"
    return LockFile("/x.lock", LockKind.SESSION, LockIdentity(1, 1, ""), mtime, payload, problem)


NAMED = {"pid": 12, "createdAt": "2026-11-20T22:33:00.000Z"}


@pytest.mark.parametrize(
    ("payload", "table", "kind"),
    [
        (NAMED | {"starttime": 555}, Table(GONE, (INSIDE,)), VerdictKind.HELD),
        (NAMED | {"starttime": 555}, Table(OTHER, (INSIDE,)), VerdictKind.HELD),
        (NAMED | {"starttime": 777}, Table(GONE, (INSIDE,)), VerdictKind.STALE),
        (NAMED, Table(GONE, (INSIDE,)), VerdictKind.UNKNOWN),
        (NAMED, Table(GONE), VerdictKind.STALE),
    ],
)
def test_an_owner_in_a_container(payload: dict[str, Any], table: Table, kind: VerdictKind) -> None:
    assert lock_verdict(lock(payload), table, NOW, HERE).kind is kind


def test_containers_are_searched_only_where_the_owner_is_not_seen() -> None:
    seen = Table(ProcessEvidence(12, True, start_ticks=555, boot_at=BOOT))
    found = owner_of(lock(NAMED | {"starttime": 555}), seen)
    assert found is not None
    assert found.alive
    assert seen.searches == 0


@pytest.mark.parametrize(
    ("mtime", "environment", "kind"),
    [
        (BOOT - 86_400_000, HERE, VerdictKind.STALE),
        (BOOT + 60_000, HERE, VerdictKind.UNKNOWN),
        (NOW + 60_000, HERE, VerdictKind.UNKNOWN),
        (1_000, HERE, VerdictKind.UNKNOWN),
        (BOOT - 86_400_000, NamespaceEvidence(("network-mount",)), VerdictKind.UNKNOWN),
    ],
)
def test_a_lock_without_an_owner(mtime: int, environment: NamespaceEvidence, kind: VerdictKind) -> None:
    assert lock_verdict(lock(None, mtime), Table(), NOW, environment).kind is kind
    assert lock_verdict(lock({"createdAt": "never"}, mtime), Table(), NOW, environment).kind is kind


def test_containers_are_searched_once_for_all_the_locks_of_a_snapshot() -> None:
    table = Table(GONE, (INSIDE,))
    judge = LockJudge(table, NOW, storage_of(Generation.B), LockLimits(10_000, 1_800_000, 300_000), None)
    kinds = {judge(lock(NAMED | {"starttime": ticks}), HERE).verdict.kind for ticks in (555, 777, 778)}
    assert kinds == {VerdictKind.HELD, VerdictKind.STALE}
    assert table.searches == 1


def test_the_pids_of_namespaces_below_ours_come_from_procfs(tmp_path: Path) -> None:
    for pid, numbers in (("41", "41"), ("42", "42\t7"), ("43", "43\t7\t3"), ("x", "1\t3")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "status").write_text(f"Name:\tx\nNSpid:\t{numbers}\n")
        fields = ["S", *("0" for _ in range(18)), "555"]
        (tmp_path / pid / "stat").write_text(f"{pid} (no) {' '.join(fields)} 0\n")
        (tmp_path / pid / "cmdline").write_bytes(b"openclaw-gateway\0")
    table = SystemProcesses(proc=tmp_path, platform="linux")
    assert table.contained() == {7: [42], 3: [43]}
    assert json.dumps(sorted(e.pid for e in table.openclaws())) == "[41, 42, 43]"
