"""What Prometheus reads: the exposition of real states, counters that count once, label values, the text file."""

from __future__ import annotations

import math
import shutil
import subprocess
import urllib.request
from dataclasses import replace
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clawtop.cli.export import write_textfile
from clawtop.core.health.blocked import Blockage
from clawtop.core.health.judgement import Health, judge
from clawtop.core.model import (
    AgentInfo,
    AuthStore,
    Credential,
    Event,
    EventKind,
    ModelRef,
    Profile,
    ProviderTime,
    Snapshot,
    TurnOutcome,
    UsageStats,
)
from clawtop.errors import OperationFailedError
from clawtop.export import metrics
from clawtop.export.counts import WAIT_BUCKETS, EventCounts
from clawtop.export.exposition import Exporter
from clawtop.redaction import masked
from tests.support.clocks import ManualClock
from tests.support.samples import Sample, samples

SECRET = "sk-ant-" + "a1B2" * 12


def _series(exporter: Exporter) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(exporter.text().decode())
        for sample in family.samples
    }


def _state(now: int, *, until: int | None = None, reason: str = "rate_limit") -> Snapshot:
    profiles = tuple(
        Profile(f"acme:{name}", "acme", Credential("api_key"), "main", stats=stats)
        for name, stats in (
            ("one", UsageStats(error_count=2, cooldown_until=until, cooldown_reason=reason)),
            ("two", UsageStats()),
        )
    )
    agent = AgentInfo(
        "main", "/s/a", "/s/s", models=(ModelRef("acme", "m"),), store=AuthStore("main", "/s/a/x", profiles=profiles)
    )
    return Snapshot(1, now, "host", "/s", None, "2026.5.20", agents=(agent,))


def test_a_cooling_profile_is_told_with_its_reason_and_seconds() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    exporter.take(_state(clock.now_ms(), until=clock.now_ms() + 90_000))
    series = _series(exporter)
    labels = (("agent", "main"), ("profile", "acme:one"), ("provider", "acme"))
    assert series["clawtop_profile_usable", labels] == 0
    assert series["clawtop_profile_back_seconds", labels] == 90
    assert series["clawtop_profile_errors", labels] == 2
    state = tuple(sorted((*labels, ("state", "cooling"), ("reason", "rate_limit"))))
    assert series["clawtop_profile_state", state] == 1
    assert series["clawtop_provider_usable_profiles", (("agent", "main"), ("provider", "acme"))] == 1
    assert series["clawtop_agent_usable_in_seconds", (("agent", "main"),)] == 0


def test_the_time_that_the_provider_gave_is_told_until_it_has_come() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    now = clock.now_ms()
    state = _state(now, until=now + 60_000)
    agent = state.agents[0]
    assert agent.store is not None
    first, *others = agent.store.profiles
    told = replace(first, provider_time=ProviderTime(now + 90_000, now, "rate_limit"))
    store = replace(agent.store, profiles=(told, *others))
    exporter.take(replace(state, agents=(replace(agent, store=store),)))
    name = "clawtop_profile_provider_retry_seconds"
    labels = (("agent", "main"), ("profile", "acme:one"), ("provider", "acme"))
    assert {labels for each, labels in _series(exporter) if each == name} == {labels}
    clock.pause(80)
    assert _series(exporter)[name, labels] == 10
    clock.pause(10)
    assert (name, labels) not in _series(exporter)


def test_what_never_comes_back_is_infinite_and_time_passes_between_scrapes() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    state = _state(clock.now_ms(), until=clock.now_ms() + 90_000)
    agent = state.agents[0]
    assert agent.store is not None
    only = replace(agent, store=replace(agent.store, profiles=agent.store.profiles[:1]))
    exporter.take(replace(state, agents=(only,)))
    clock.pause(30)
    assert _series(exporter)["clawtop_agent_usable_in_seconds", (("agent", "main"),)] == 60
    assert only.store is not None
    keyless = replace(only.store.profiles[0], credential=Credential("api_key", has_secret=False))
    exporter.take(replace(state, agents=(replace(only, store=replace(only.store, profiles=(keyless,))),)))
    assert _series(exporter)["clawtop_agent_usable_in_seconds", (("agent", "main"),)] == math.inf


def test_events_count_once_however_often_a_snapshot_shows_them() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    failure = Event(1, EventKind.FAILURE, "engine", "429", provider="acme", reason="rate_limit")
    rotate = Event(2, EventKind.ROTATE, "engine", "next", provider="acme")
    waited = Event(3, EventKind.ACQUIRE, "registry", "holds", lane="main", duration_ms=2_000)
    strange = Event(4, EventKind.FAILURE, "log", "x", provider="not-configured", reason="made-up")
    state = _state(clock.now_ms())
    everything = (failure, rotate, waited, strange)
    for events in (everything[:1], everything[:3], everything, everything[1:]):
        exporter.take(replace(state, events=events))
    series = _series(exporter)
    assert series["clawtop_failures_total", (("provider", "acme"), ("reason", "rate_limit"))] == 1
    assert series["clawtop_failures_total", (("provider", "other"), ("reason", "other"))] == 1
    assert series["clawtop_rotations_total", (("provider", "acme"),)] == 1
    assert series["clawtop_lane_wait_seconds_bucket", (("lane", "main"), ("le", "2"))] == 1
    assert series["clawtop_lane_wait_seconds_bucket", (("lane", "main"), ("le", "1"))] == 0
    assert series["clawtop_lane_wait_seconds_bucket", (("lane", "main"), ("le", "+Inf"))] == 1
    assert series["clawtop_lane_wait_seconds_sum", (("lane", "main"),)] == 2
    assert series["clawtop_lane_wait_seconds_count", (("lane", "main"),)] == 1
    assert 2.0 in WAIT_BUCKETS


def test_events_are_counted_while_a_full_tail_drops_as_many_as_come() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    rotations = tuple(Event(at, EventKind.ROTATE, "engine", "next", provider="acme") for at in range(6))
    for first in range(4):
        exporter.take(replace(_state(clock.now_ms()), events=rotations[first : first + 3]))
    assert _series(exporter)["clawtop_rotations_total", (("provider", "acme"),)] == 6


def test_the_age_of_what_is_blocked_is_the_oldest_ones_in_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = ManualClock()
    now = clock.now_ms()
    ages_ms = {"one": 3_000, "two": 90_000, "three": None}
    blocked = {
        ("main", key): Blockage("the provider is out", since=None if age is None else now - age)
        for key, age in ages_ms.items()
    }
    monkeypatch.setattr(
        "clawtop.export.gauges.judge", lambda snapshot, at: replace(judge(snapshot, at), blocked=blocked)
    )
    exporter = Exporter(clock)
    exporter.take(_state(now))
    series = _series(exporter)
    assert series["clawtop_blocked_sessions", (("agent", "main"),)] == 3
    assert series["clawtop_blocked_oldest_seconds", (("agent", "main"),)] == 90


def test_the_age_of_the_last_good_read_grows_while_reads_fail() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    exporter.take(_state(clock.now_ms()))
    clock.pause(40)
    exporter.failed()
    series = _series(exporter)
    assert series["clawtop_read_age_seconds", ()] == 40
    assert series["clawtop_read_failures_total", ()] == 1
    exporter.seen()
    assert _series(exporter)["clawtop_read_age_seconds", ()] == 0


def test_no_secret_and_no_control_byte_becomes_a_label() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    state = _state(clock.now_ms(), until=clock.now_ms() + 1_000, reason=f"\x1b[31m {SECRET}\n")
    exporter.take(state)
    text = exporter.text()
    assert SECRET.encode() not in text
    assert b"\x1b" not in text
    assert _series(exporter)


def test_ids_that_are_shown_alike_are_different_series_and_stay_what_they_are() -> None:
    clock = ManualClock()
    exporter = Exporter(clock)
    state = _state(clock.now_ms())
    agent = state.agents[0]
    assert agent.store is not None
    ids = (
        "p:" + "x" * 200 + "1",
        "p:" + "x" * 200 + "2",
        f"p:{SECRET}1",
        f"p:{SECRET}2",
        'p:"} 1\n# HELP \\',
        "p:\ud800",
        "",
    )
    profiles = tuple(replace(agent.store.profiles[0], id=one) for one in ids)
    store = replace(agent.store, profiles=profiles)
    exporter.take(replace(state, agents=(replace(agent, store=store),)))
    lines = [line.rpartition(" ")[0] for line in exporter.text().decode().splitlines() if not line.startswith("#")]
    assert len(lines) == len(set(lines))
    shown = [dict(labels)["profile"] for name, labels in _series(exporter) if name == "clawtop_profile_usable"]
    assert len(shown) == len(ids)
    exporter.take(replace(state, agents=(replace(agent, store=replace(store, profiles=profiles[1:])),)))
    after = [dict(labels)["profile"] for name, labels in _series(exporter) if name == "clawtop_profile_usable"]
    assert after == shown[1:]


@pytest.mark.parametrize("sample", samples(), ids=str)
def test_promtool_accepts_every_real_state(sample: Sample) -> None:
    exporter = Exporter(ManualClock())
    exporter.take(sample.reader().read())
    known = {metric.full_name for metric in metrics.METRICS}
    for family in text_string_to_metric_families(exporter.text().decode()):
        name = family.name + ("_total" if family.type == "counter" else "")
        assert name in known
    promtool = shutil.which("promtool")
    if promtool is not None:
        done = subprocess.run([promtool, "check", "metrics"], input=exporter.text(), capture_output=True, check=False)
        assert (done.returncode, done.stdout + done.stderr) == (0, b"")


def test_a_scrape_is_answered_and_a_taken_port_is_named() -> None:
    exporter = Exporter(ManualClock())
    exporter.take(_state(1_700_000_000_000))
    server = exporter.serve("127.0.0.1", 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics", timeout=10) as answer:
            assert b"clawtop_profile_usable" in answer.read()
        with pytest.raises(OperationFailedError, match="cannot listen"):
            exporter.serve("127.0.0.1", server.server_port)
    finally:
        server.shutdown()
        server.server_close()


def test_the_text_file_is_replaced_whole_or_left_alone(tmp_path: Path) -> None:
    target = tmp_path / "clawtop.prom"
    write_textfile(target, b"one 1\n")
    write_textfile(target, b"two 2\n")
    assert target.read_bytes() == b"two 2\n"
    assert target.stat().st_mode & 0o777 == 0o644
    assert [path.name for path in tmp_path.iterdir()] == ["clawtop.prom"]
    with pytest.raises(OperationFailedError, match="there is no directory"):
        write_textfile(tmp_path / "gone" / "x.prom", b"")


def test_a_scrape_judges_once_and_masks_each_id_once(monkeypatch: pytest.MonkeyPatch) -> None:
    judged: list[int] = []
    shown: list[str] = []

    def counting_judge(snapshot: Snapshot, now: int) -> Health:
        judged.append(snapshot.number)
        return judge(snapshot, now)

    def counting_mask(text: str) -> str:
        shown.append(text)
        return masked(text)

    monkeypatch.setattr("clawtop.export.gauges.judge", counting_judge)
    monkeypatch.setattr("clawtop.export.exposition.masked", counting_mask)
    clock = ManualClock()
    exporter = Exporter(clock)
    exporter.take(_state(clock.now_ms()))
    text = exporter.text().decode()
    assert judged == [1]
    assert text.count('profile="acme:one"') > 2
    assert len(shown) == len(set(shown))


@pytest.mark.parametrize(
    ("data", "how"),
    [
        ({"outcome": "reply"}, "reply"),
        ({"outcome": "coordination"}, "coordination"),
        ({"outcome": str(TurnOutcome.ANSWERED)}, "reply"),
        ({"outcome": str(TurnOutcome.FAILED)}, "failed"),
        ({"outcome": str(TurnOutcome.TIMED_OUT)}, "timeout"),
        ({"outcome": str(TurnOutcome.STOPPED)}, "cancelled"),
        ({"outcome": str(TurnOutcome.DROPPED)}, "coordination"),
        ({"outcome": str(TurnOutcome.UNTOLD)}, "other"),
        ({}, None),  # a line that tells an end, and not how: whoever knows how tells it too
    ],
)
def test_a_turn_is_counted_by_how_it_ended_whoever_ran_it(data: dict[str, str], how: str | None) -> None:
    counts = EventCounts()
    counts.take([Event(1, EventKind.RUN_END, "audit", "ended", data=data)], frozenset())
    found = {sample.labels: sample.value for sample in counts.samples() if sample.metric is metrics.TURNS}
    assert found == ({} if how is None else {(how,): 1})
