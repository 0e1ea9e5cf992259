"""Whose lock it is: here, in a container, or nobody's since before the boot."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from clawtop.core.locks.staleness import HERE, NamespaceEvidence
from clawtop.core.model import LockFile, LockIdentity, LockKind, ProcessEvidence, VerdictKind
from clawtop.store.locks.owners import lock_verdict, owner_of
from clawtop.store.locks.processes import SystemProcesses

NOW = 1_795_214_000_000
BOOT = NOW - 3_600_000
GONE = ProcessEvidence(12, False, boot_at=BOOT)
INSIDE = ProcessEvidence(9_012, True, start_ticks=555, boot_at=BOOT, argv=("openclaw-gateway",))
OTHER = ProcessEvidence(12, True, start_ticks=99, started_at=NOW - 60_000, boot_at=BOOT, argv=("sshd",))


@dataclass
class Table:
    here: ProcessEvidence = GONE
    inside: tuple[ProcessEvidence, ...] = ()
    found: list[int] = field(default_factory=list)

    def look(self, pid: int) -> ProcessEvidence:
        return self.here

    def boot_at(self) -> int | None:
        return BOOT

    def contained(self, pid: int) -> tuple[ProcessEvidence, ...]:
        self.found.append(pid)
        return self.inside

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
    assert seen.found == []


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


def test_the_pids_of_namespaces_below_ours_come_from_procfs(tmp_path: Path) -> None:
    for pid, numbers in (("41", "41"), ("42", "42\t7"), ("43", "43\t7\t3"), ("x", "1\t3")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "status").write_text(f"Name:\tx\nNSpid:\t{numbers}\n")
        fields = ["S", *("0" for _ in range(18)), "555"]
        (tmp_path / pid / "stat").write_text(f"{pid} (no) {' '.join(fields)} 0\n")
        (tmp_path / pid / "cmdline").write_bytes(b"openclaw-gateway\0")
    table = SystemProcesses(proc=tmp_path, platform="linux")
    assert [(e.pid, e.start_ticks) for e in table.contained(7)] == [(42, 555)]
    assert [e.pid for e in table.contained(3)] == [43]
    assert table.contained(41) == ()
    assert json.dumps(sorted(e.pid for e in table.openclaws())) == "[41, 42, 43]"
