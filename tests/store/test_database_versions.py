"""Versions that nobody looked at: read where the tables are there, named, and written only between known ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from clawtop.core.generations import SEMANTICS, Generation, known_versions
from clawtop.core.model import Gateway, GatewayState, Snapshot
from clawtop.core.operations.clear import clear_profile
from clawtop.engine.operations.execute import OperationRequest, Operations
from clawtop.errors import RefusedError
from clawtop.store.auth.machine import Machine
from clawtop.store.own.journal import Journal
from clawtop.view.report import report
from tests.support.clocks import ManualClock
from tests.support.databases import OWN_STATE, SHARED_STATE, agent_database, others, run, state_database, stored
from tests.support.samples import Sample, unpacked

DEAD = Gateway(GatewayState.DEAD)
BLOCKED = {
    ("2026.6.11", "all-limited"): "fakeai:two",
    ("2026.7.1-2", "billing"): "fakeai:one",
    ("2026.8.2", "multi-agent"): "fakeai:two",
    ("2026.9.6", "rate-limited"): "fakeai:one",
}


def databases(sample: Sample) -> list[Path]:
    return [state_database(sample.state_dir), *sample.state_dir.glob("agents/*/agent/openclaw-agent.sqlite")]


def made_by(sample: Sample, version: str, schemas: tuple[int, int] | None) -> None:
    """As if another version had written the databases last: state and agent schema, and what they say of it."""
    config = sample.state_dir / "openclaw.json"
    config.write_text(config.read_text().replace(sample.version, version))
    for path in databases(sample):
        run(path, "UPDATE schema_meta SET app_version=? WHERE meta_key='primary'", (version,))
        if schemas is not None:
            run(path, f"PRAGMA user_version={schemas[path.name != 'openclaw.sqlite']}")


def clear(sample: Sample, profile: str) -> bool:
    """Whether a clear of the main agent's profile was made. Raises RefusedError."""
    clock = ManualClock(sample.captured_at)
    reader = sample.reader(clock=clock)
    operations = Operations(
        lambda: reader.layout, journal=Journal(sample.state_dir), machine=lambda _layout, _gateway: Machine(clock=clock)
    )
    plan = clear_profile(reader.read(), profile, agent="main")
    return bool(operations.execute_now(plan, OperationRequest(gateway=DEAD)).changes)


def says_so(snapshot: Snapshot, version: str) -> bool:
    """On the screen and in JSON: which version it is taken for."""
    said = [problem.text for problem in snapshot.warnings if problem.code == "version-not-looked-at"]
    known = report(snapshot)["behaves_as"]
    return said == [known["note"]] and version in said[0] and "treated as" in said[0]


NEWEST = tuple(SEMANTICS)[-1]

KNOWN = [
    ("2026.6.11", "all-limited", "2026.6.35", None, "6.11"),
    ("2026.7.1-2", "billing", "2026.7.35", None, "7.1"),
    ("2026.8.2", "multi-agent", "2026.9.1", None, "8.x"),
]
UNTRIED = [
    ("2026.9.6", "rate-limited", "2026.9.3", (16, 21), "8.x", "was never tested"),
    ("2026.9.6", "rate-limited", "2999.1.1", (97, 98), NEWEST, "newer than"),
    ("2026.9.6", "rate-limited", "2999.1.1", None, NEWEST, f"2999.1.1 is newer than {known_versions()[-1]}"),
    ("2026.9.6", "rate-limited", "2999.2.1", (18, 23), NEWEST, "newer than"),
]


@pytest.mark.parametrize("case", KNOWN, ids=lambda case: case[2])
def test_a_version_between_known_ones_with_a_known_schema_is_read_and_written(
    case: tuple[str, str, str, tuple[int, int] | None, str], tmp_path: Path
) -> None:
    sample_of, scenario, version, schemas, row = case
    sample = unpacked(sample_of, scenario, tmp_path)
    before = sample.reader().read()
    made_by(sample, version, schemas)
    after = sample.reader().read()
    assert (after.openclaw_version, after.generation) == (version, before.generation)
    assert after.semantics.name == row
    assert says_so(after, version)
    assert {s.key for s in after.sessions} == {s.key for s in before.sessions}
    assert clear(sample, BLOCKED[sample_of, scenario])


@pytest.mark.parametrize("case", UNTRIED, ids=lambda case: f"{case[2]}-{case[3]}")
def test_a_version_that_nobody_tried_is_read_named_and_never_written(
    case: tuple[str, str, str, tuple[int, int] | None, str, str], tmp_path: Path
) -> None:
    sample_of, scenario, version, schemas, row, why = case
    sample = unpacked(sample_of, scenario, tmp_path)
    known = sample.reader().read()
    made_by(sample, version, schemas)
    before = {path: others(path, SHARED_STATE) for path in databases(sample)}
    found = sample.reader().read()
    assert (found.openclaw_version, found.generation) == (version, Generation.D)
    assert found.semantics.name == row
    assert says_so(found, version)
    assert [s.key for s in found.sessions] == [s.key for s in known.sessions]
    assert [len(a.store.profiles) for a in found.agents if a.store] == [
        len(a.store.profiles) for a in known.agents if a.store
    ]
    told = {problem.where: problem.text for problem in found.warnings if problem.code == "schema-not-known"}
    assert str(state_database(sample.state_dir)) in told
    state = stored(state_database(sample.state_dir), SHARED_STATE)
    with pytest.raises(RefusedError, match=why) as caught:
        clear(sample, BLOCKED[sample_of, scenario])
    assert caught.value.unchanged.startswith("nothing was")
    assert stored(state_database(sample.state_dir), SHARED_STATE) == state
    assert {path: others(path, SHARED_STATE) for path in databases(sample)} == before


def test_a_newer_agent_beside_an_older_state_is_refused_alone(tmp_path: Path) -> None:
    """A schema is of one database: orders go to the agent's, cooldowns to the shared one."""
    sample = unpacked("2026.9.6", "rate-limited", tmp_path)
    run(agent_database(sample.state_dir), "PRAGMA user_version=24")
    assert clear(sample, "fakeai:one")
    assert stored(agent_database(sample.state_dir), OWN_STATE) is None
