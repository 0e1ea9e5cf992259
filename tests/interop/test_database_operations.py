"""Every operation beside a running gateway whose accounts stand in databases: OpenClaw's own command line says the same
before and after it, the undo gives back what stood there, and receipt and journal tell it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from clawtop.core.model import EventKind
from clawtop.store.own.journal import Journal
from tests.interop.fake_provider import FakeProvider
from tests.interop.gateways import reply_in
from tests.interop.openclaw_install import installed_or_skip
from tests.interop.test_databases import VERSIONS, DatabaseLab
from tests.interop.test_gateway import HOUR, free_port, unusable_by_clawtop, unusable_by_openclaw
from tests.support.databases import OWN_STATE, agent_database, store, stored

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]

ONE, TWO, THREE, BACKUP = "fakeai:one", "fakeai:two", "fakeai:three", "backupai:default"
MAIN = "agent:main:main"
TURN_S = 300
QUIET = ("--yes", "--verify", "0")


@pytest.fixture(scope="module", params=VERSIONS)
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseLab]:
    openclaw = installed_or_skip(request.param)
    with FakeProvider() as provider:
        made = DatabaseLab(openclaw, tmp_path_factory.mktemp("lab"), provider, free_port())
        try:
            made.prepare((BACKUP,))
            made.import_store()
            made.start()
            assert made.turn("first")  # 2026.9.6 makes an agent's database with its first turn
            yield made
        finally:
            made.stop()


def test_clears_of_a_model_a_profile_and_a_provider_and_their_undoing(lab: DatabaseLab) -> None:
    spoil(lab)
    assert agreed(lab) == {ONE, TWO, THREE, BACKUP}
    before = entries(lab)

    model = done(lab, "clear", ONE, "--model", "another-model")
    assert model["receipt"] is None, "its window is another model's"
    model = done(lab, "clear", ONE, "--model", "fake-model")
    assert agreed(lab) == {TWO, THREE, BACKUP}
    profile = done(lab, "clear", TWO)
    assert agreed(lab) == {THREE, BACKUP}
    provider = done(lab, "clear", "--provider", "fakeai")
    assert agreed(lab) == {BACKUP}
    for id_ in (ONE, TWO, THREE):
        left = entries(lab)[id_]
        assert not {"cooldownUntil", "disabledUntil", "failureCounts"} & left.keys()
        assert left["lastUsed"] == before[id_]["lastUsed"]
        assert left["unknownToAll"] == {"kept": [1, "two"]}

    for receipt in (provider, profile, model):
        done(lab, "undo", receipt["receipt"]["undo"])
    assert agreed(lab) == {ONE, TWO, THREE, BACKUP}
    assert entries(lab) == before
    lab.is_content()


@pytest.mark.parametrize(
    ("words", "stands"),
    [
        pytest.param(("rotate", "fakeai"), [TWO, THREE, ONE], id="moved"),
        pytest.param(("order", "fakeai", THREE, ONE, TWO), [THREE, ONE, TWO], id="whole"),
    ],
)
def test_an_order_is_stored_where_openclaw_reads_it_reset_and_undone(
    lab: DatabaseLab, words: tuple[str, ...], stands: list[str]
) -> None:
    assert order(lab) is None
    first = done(lab, *words, "--agent", "main")
    assert order(lab) == stands
    assert stored(agent_database(lab.directory), OWN_STATE) is not None, "where OpenClaw keeps orders"
    reset = done(lab, *words[:2], "--agent", "main", "--reset")
    assert order(lab) is None
    done(lab, "undo", reset["receipt"]["undo"])
    assert order(lab) == stands
    done(lab, "undo", first["receipt"]["undo"])
    assert order(lab) is None
    lab.is_content()


def test_an_account_that_a_chat_pinned_is_unpinned_by_the_gateway(lab: DatabaseLab) -> None:
    assert said(lab, f"/model fakeai/fake-model@{TWO}")["type"] == "final"
    assert pinned(lab) == TWO
    planned = lab.clawtop("unpin", MAIN, "--dry-run")
    assert (planned["outcome"], pinned(lab)) == ("dry-run", TWO)
    assert lab.clawtop("unpin", MAIN, "--yes")["outcome"] == "unpinned"
    assert pinned(lab) is None
    assert lab.clawtop("unpin", MAIN, "--yes")["outcome"] == "not-pinned"
    before = len(lab.provider.keys)
    assert said(lab, "ping")["text"] == "pong"
    assert len(lab.provider.keys) == before + 1
    lab.is_content()


# --- steps -----------------------------------------------------------------------------------------------------------


def spoil(lab: DatabaseLab) -> None:
    """As a gateway's failures leave them: one for a model, one out of money, one limited."""
    now = time.time_ns() // 1_000_000
    failed = {"errorCount": 1, "lastFailureAt": now, "lastUsed": now - HOUR, "unknownToAll": {"kept": [1, "two"]}}
    limited = {**failed, "cooldownUntil": now + HOUR, "cooldownReason": "rate_limit"}
    limited["failureCounts"] = {"rate_limit": 1}
    unpaid = {**failed, "disabledUntil": now + HOUR, "disabledReason": "billing", "failureCounts": {"billing": 1}}
    state = stored(lab.database, lab.cell) or {"version": 1}
    state["usageStats"] = {
        **state.get("usageStats", {}),
        ONE: {**limited, "cooldownModel": "fake-model"},
        TWO: unpaid,
        THREE: limited,
        BACKUP: limited,
    }
    store(lab.database, lab.cell, state, now)


def done(lab: DatabaseLab, *words: str) -> dict[str, Any]:
    """What an operation answers; its plan was what it did, and the journal has it before and after."""
    planned = lab.clawtop(*words, "--dry-run")["plan"]
    answer = lab.clawtop(*words, *QUIET)
    if planned["nothing_to_do"]:
        return {"receipt": None}
    receipt = answer["receipt"]
    assert receipt["changes"] == planned["changes"]
    assert receipt["lock"]["held_ms"] <= 1_000
    assert receipt["gateway"]["state"] in {"written", "seen", "not yet seen"}
    told = [event for event in Journal(str(lab.directory)).tail(50) if event.data.get("id") == receipt["id"]]
    assert [event.kind for event in told] == [EventKind.INTENT, EventKind.OPERATION]
    return answer


def said(lab: DatabaseLab, message: str) -> dict[str, Any]:
    """What became of a turn that the gateway runs."""
    out, err = lab.begin("drive", "--session", MAIN, "--message", message, "--through", "gateway").communicate(
        timeout=TURN_S
    )
    assert out, err
    return reply_in(out)


def pinned(lab: DatabaseLab) -> str | None:
    """The account that is pinned to the main session."""
    row = next(row for row in lab.clawtop("status")["sessions"] if row["key"] == MAIN)
    profile: str | None = row["profile"]
    return profile


def agreed(lab: DatabaseLab) -> set[str]:
    """What both call unusable, with the same ends."""
    ours = unusable_by_clawtop(lab)
    assert ours == unusable_by_openclaw(lab)
    return set(ours)


def entries(lab: DatabaseLab) -> dict[str, Any]:
    found = stored(lab.database, lab.cell)
    assert found is not None
    stats: dict[str, Any] = found["usageStats"]
    return stats


def order(lab: DatabaseLab) -> list[str] | None:
    get = ("models", "auth", "order", "get", "--provider", "fakeai", "--agent", "main", "--json")
    found: list[str] | None = json.loads(lab.openclaw.run(get, lab.env))["order"]
    return found
