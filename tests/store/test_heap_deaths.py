"""Gateways that aborted as their JavaScript heap was exhausted: in the files and in the journal of a service."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from clawtop.core.health.judgement import Level, judge
from clawtop.core.model import Gateway, GatewayState, Generation, MemoryKill, Serving, Snapshot
from clawtop.store.gateway.heap_deaths import HeapDeathWatch, heap_death_in
from clawtop.store.gateway.memory_kills import FORMER_MS

PID = 12885
STARTED = 1_795_000_000_000
DEAD = Gateway(GatewayState.DEAD, PID, started_at=STARTED)
LIVE = Gateway(GatewayState.LIVE, 777, started_at=STARTED)
ERROR = "FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"
OTHER_ERROR = "FATAL ERROR: Ineffective mark-compacts near heap limit Allocation failed - JavaScript heap out of memory"
TRACE = f"""
<--- Last few GCs --->

[{PID}:0x21808000]       97 ms: Scavenge (interleaved) 18.7 (27.5) -> 18.5 (51.5) MB, pooled: 0 MB, 10.90 / 0.00 ms
[{PID}:0x21808000]      168 ms: Mark-Compact (reduce) 34.5 (51.5) -> 34.3 (36.5) MB, pooled: 0 MB, 47.06 / 0.00 ms
"""
STACK = """
----- Native stack trace -----

 1: 0x931db0  [/usr/bin/node]
 2: 0x75968e node::OOMErrorHandler(char const*, v8::OOMDetails const&) [/usr/bin/node]
"""
DEATH = f"{TRACE}{ERROR}{STACK}"
NEXT = "2026-11-18T12:26:41.000Z [gateway] listening on ws://127.0.0.1:18789\n"
NEXT_AT = 1_795_004_801_000


def no_journal(arguments: Sequence[str]) -> str:
    return ""


def state(home: Path, text: str, changed: int, name: str = "logs/gateway.err.log") -> Path:
    file = home / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, ns=(changed * 1_000_000, changed * 1_000_000))
    return home


def aborted(at: int, pid: int | None = PID) -> MemoryKill:
    return MemoryKill(at, pid, None, is_gateway=True, by_itself=True)


@pytest.mark.parametrize("error", [ERROR, OTHER_ERROR])
def test_an_exhausted_heap_is_told_with_its_process_and_how_long_it_ran(error: str) -> None:
    found = heap_death_in(f"2026-11-18T09:00:00.000Z [gateway] started\n{TRACE}{error}{STACK}")
    assert found is not None
    assert (found.pid, found.ran_ms, found.is_last) == (PID, 168, True)
    later = heap_death_in(DEATH + NEXT)
    assert later is not None
    assert (later.is_last, later.next_at) == (False, NEXT_AT)


@pytest.mark.parametrize(
    "text", ["", "the model said: JavaScript heap out of memory", "FATAL ERROR: v8::ToLocalChecked Empty MaybeLocal"]
)
def test_other_ends_are_not_told_so(text: str) -> None:
    assert heap_death_in(text) is None


@pytest.mark.parametrize(
    ("gateway", "text", "changed", "expected"),
    [
        (DEAD, DEATH, STARTED + 300, aborted(STARTED + 168)),
        (DEAD, ERROR + STACK, STARTED + 300, aborted(STARTED + 300)),
        (DEAD, DEATH.replace(str(PID), "99"), STARTED + 300, None),
        (DEAD, DEATH + NEXT, STARTED + 300, None),
        (DEAD, DEATH, STARTED - 3_600_000, None),
        (DEAD, NEXT, STARTED + 300, None),
        (LIVE, DEATH, STARTED - 5_000, aborted(STARTED - 5_000)),
        (LIVE, DEATH + NEXT, STARTED + 9_000, None),
        (LIVE, DEATH, STARTED - FORMER_MS - 1, None),
        (LIVE, DEATH.replace(str(PID), "777"), STARTED - 5_000, None),
    ],
    ids=[
        "its own", "without a trace", "another process's", "a later life wrote", "of before its start", "no error",
        "a former life's", "a former life's, long ago", "long before its start", "of the process that lives",
    ],
)  # fmt: skip
def test_a_services_file_tells_how_its_gateway_ended(
    tmp_path: Path, gateway: Gateway, text: str, changed: int, expected: MemoryKill | None
) -> None:
    watch = HeapDeathWatch(no_journal)
    assert watch.look(gateway, state(tmp_path, text, changed), None) == expected


def test_a_restarted_gateways_first_line_dates_the_end_before_it(tmp_path: Path) -> None:
    live = Gateway(GatewayState.LIVE, 777, started_at=NEXT_AT - 2_000)
    found = HeapDeathWatch(no_journal).look(live, state(tmp_path, DEATH + NEXT, NEXT_AT + 3_600_000), None)
    assert found == aborted(NEXT_AT - 2_000)


def test_the_file_that_the_configuration_names_may_have_it_too(tmp_path: Path) -> None:
    log = state(tmp_path / "elsewhere", DEATH, STARTED + 300, "own.log") / "own.log"
    assert HeapDeathWatch(no_journal).look(DEAD, tmp_path, str(log)) == aborted(STARTED + 168)


def entry(message: object, at: int) -> str:
    return json.dumps({"MESSAGE": message, "__REALTIME_TIMESTAMP": str(at * 1000), "_PID": str(PID)})


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((entry("started", STARTED), entry(ERROR, STARTED + 5_000), entry(" 1: 0x931db0", STARTED + 5_000)), 5_000),
        ((entry(ERROR, STARTED - 60_000),), None),
        ((entry([70, 65], STARTED), "half a li", "[]", "", entry(None, STARTED)), None),
        ((json.dumps({"MESSAGE": ERROR, "__REALTIME_TIMESTAMP": "soon"}),), None),
    ],
    ids=["its own", "an earlier process of this pid", "odd", "no time"],
)
def test_the_journal_is_asked_for_what_the_gateways_process_said(
    tmp_path: Path, lines: tuple[str, ...], expected: int | None
) -> None:
    asked: list[Sequence[str]] = []

    def journal(arguments: Sequence[str]) -> str:
        asked.append(arguments)
        return "\n".join(lines)

    watch = HeapDeathWatch(journal)
    found = watch.look(DEAD, tmp_path, None)
    assert found == (None if expected is None else aborted(STARTED + expected))
    assert watch.look(DEAD, tmp_path, None) == found
    assert [arguments[0] for arguments in asked] == [f"_PID={PID}"], "once for each end"
    assert watch.look(LIVE, tmp_path, None) is None
    assert len(asked) == 1, "of a gateway that lives, only its files are read"


@pytest.mark.parametrize(
    ("gateway", "level", "words"),
    [
        (DEAD, Level.SILENT, f"the gateway, process {PID}, aborted: its JavaScript heap was exhausted (exit code 134)"),
        (LIVE, Level.ATTENTION, "aborted before it was restarted: its JavaScript heap was exhausted"),
    ],
)
def test_it_is_a_cause_of_its_own(gateway: Gateway, level: Level, words: str) -> None:
    seen = Gateway(
        gateway.state, gateway.pid, started_at=STARTED, memory_kill=aborted(STARTED), serving=Serving.ANSWERS
    )
    health = judge(Snapshot(1, STARTED + 1, "h", "/d", Generation.B, "2026.5.20", gateway=seen), STARTED + 1)
    cause = next(cause for cause in health.causes if cause.code == "out-of-memory")
    assert cause.level is level
    assert words in cause.text
    assert "kernel" not in cause.text
    assert cause.remedy is not None
    assert cause.remedy.startswith("raise its heap limit")
