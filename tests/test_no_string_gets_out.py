"""Every string of a state in everything that is written: text, JSON, metrics, the fleet's stream, the journal, the
spool, a recording, a bundle, a crash report, a command line. No control byte, no planted secret.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from clawtop.cli.completion import KINDS, SHELLS, script, words_of
from clawtop.cli.man import page
from clawtop.core.cooldown.marking import Mark
from clawtop.core.fleet.summary import summarise
from clawtop.core.health.judgement import judge
from clawtop.core.incident.notices import CAPTION, captions, notice_state, notices
from clawtop.core.model import Event, EventKind, Snapshot
from clawtop.core.operations.clear import clear_profile, clear_provider
from clawtop.core.operations.order import rotate
from clawtop.core.operations.verb import verb_words
from clawtop.crash import report_text
from clawtop.errors import OperationFailedError
from clawtop.export.exposition import Exporter
from clawtop.fleet.protocol import SummaryWriter, encode
from clawtop.fleet.remote import FarPlan, RemoteOperations
from clawtop.fleet.transport import HostSpec, Pipe, far_command
from clawtop.redaction import remember_secrets
from clawtop.store.own.bundle import bundle_text, versions
from clawtop.store.own.journal import Journal
from clawtop.store.own.mark_spool import MarkSpool
from clawtop.store.own.recording import Encoder, decoded, embedded
from clawtop.text import shown
from clawtop.view.incident_text import incident_text
from clawtop.view.plain import plain_lines
from clawtop.view.report import report
from tests.support.clocks import ManualClock, settle
from tests.support.hostile import (
    CONTROLS,
    MARKUP,
    SECRET,
    everywhere,
    gives_away,
    hidden_in,
    planted,
    secret_forms,
    strings,
)
from tests.support.worlds import CALM, NOW, OUT, TOLD

remember_secrets([SECRET])

NOTICED = replace(
    OUT,
    sessions=TOLD.sessions,
    locks=TOLD.locks,
    holders=TOLD.holders,
    events=(
        Event(NOW - 1, EventKind.REVERTED, "engine", "a success of it wiped the clear"),
        Event(NOW - 1, EventKind.NOTICE, CAPTION, "and now the tide comes in"),
    ),
)
"""A state of which an operator is told."""

TEXTS = st.lists(st.sampled_from([*"ab [", *CONTROLS, *MARKUP]), max_size=6).map("".join) | st.text(max_size=8)


def written(snapshot: Snapshot) -> dict[str, str]:
    """Everything that is made of a snapshot, as text."""
    exporter = Exporter(ManualClock(NOW))
    exporter.take(snapshot)
    stream = SummaryWriter().changed(summarise(snapshot, NOW))
    assert stream is not None
    told = incident_text(snapshot, NOW, versions(snapshot, "1"))
    bundle = bundle_text(told, snapshot, "1").encode(errors="backslashreplace")
    recording = embedded(bundle)
    assert recording is not None
    decoded(recording, "here")
    return {
        "plain": "\n".join(plain_lines(snapshot, NOW, 120, zone=UTC)),
        "wide": "\n".join(plain_lines(snapshot, NOW, 120, zone=UTC, wide=True)),
        "json": json.dumps(report(snapshot)),
        "metrics": exporter.text().decode(),
        "fleet": encode(stream).decode(),
        "incident": told,
        "bundle": bundle.decode(),
    }


@settings(max_examples=25)
@given(st.lists(TEXTS, min_size=3, max_size=3))
def test_no_string_of_a_state_is_more_than_text(parts: list[str]) -> None:
    hostile = everywhere(TOLD, lambda text: parts[len(text) % 3] + text + parts[(len(text) + 1) % 3])
    for where, text in written(hostile).items():
        assert [char for char in hidden_in(text) if char != "\t"] == [], where


@pytest.mark.parametrize("form", list(secret_forms()))
def test_no_form_of_a_secret_in_prose_is_written(form: str) -> None:
    prose = f"the provider says: {secret_forms()[form]} is no key"
    for where, text in written(planted(TOLD, prose)).items():
        assert not gives_away(text), where


@pytest.mark.parametrize("form", list(secret_forms()))
def test_no_form_of_a_secret_is_in_a_notice(form: str) -> None:
    prose = f"the provider says: {secret_forms()[form]} is no key"
    before, after = (notice_state(each, NOW, judge(each, NOW)) for each in (CALM, planted(NOTICED, prose)))
    told = notices(before, after, blocked_ms=1)
    assert len(told) >= 3
    assert not any(gives_away(text) for text in told)
    assert not any(gives_away(text) for text in captions(0, planted(NOTICED, prose).events))


@given(st.lists(TEXTS, min_size=3, max_size=3))
def test_no_string_of_a_notice_is_more_than_text(parts: list[str]) -> None:
    hostile = everywhere(NOTICED, lambda text: parts[len(text) % 3] + text + parts[(len(text) + 1) % 3])
    before, after = (notice_state(each, NOW, judge(each, NOW)) for each in (CALM, hostile))
    for text in (*notices(before, after, blocked_ms=1), *captions(0, hostile.events)):
        assert hidden_in(text) == []
        assert "\n" not in text


@pytest.mark.parametrize("form", list(secret_forms()))
def test_no_form_of_a_secret_is_written_by_the_engine(form: str, tmp_path: Path) -> None:
    prose = f"it said {secret_forms()[form]} and more"
    Journal(tmp_path).append(Event(NOW, EventKind.FAILURE, "engine", prose, data={"message": prose, "list": [prose]}))
    MarkSpool(tmp_path).put(Mark("main", "acme:one", "acme", NOW, "rate_limit", model="m", run_id="r"))
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(files) >= 2
    for path in files:
        content = path.read_bytes().decode()
        assert not gives_away(content), path.name
        for line in content.splitlines():
            if line.startswith("{"):
                assert not any(gives_away(text) for text in strings(json.loads(line)))


@settings(max_examples=25)
@given(st.lists(TEXTS, min_size=6, max_size=6))
def test_what_the_engine_writes_is_ascii_and_comes_back_as_it_was(parts: list[str]) -> None:
    event = Event(NOW, EventKind.FAILURE, parts[0], parts[1], profile=parts[2], data={parts[3]: [parts[4]]})
    mark = Mark(parts[0], parts[1], parts[2], NOW, parts[3], model=parts[4], run_id=parts[5])
    with tempfile.TemporaryDirectory() as folder:
        Journal(folder).append(event)
        spooled = MarkSpool(folder).put(mark)
        journal = next(Path(folder).rglob("journal.jsonl"))
        for content in (journal.read_bytes(), spooled.read_bytes()):
            assert content.isascii()
            assert [char for char in content.decode() if char < " " and char != "\n"] == []
        assert json.loads(spooled.read_bytes())["profile"] == parts[1]
    stream = Encoder(started_at=NOW, clawtop_version="1")
    recording = gzip.decompress(stream.add(replace(TOLD, events=(event,))) + stream.finished())
    assert recording.isascii()
    assert [char for char in recording.decode() if char < " " and char != "\n"] == []


@pytest.mark.anyio
@pytest.mark.parametrize("form", list(secret_forms()))
async def test_no_form_of_a_secret_is_on_a_command_line(form: str) -> None:
    prose = f"it said {secret_forms()[form]} and more"
    state, started = planted(TOLD, prose), list[Sequence[str]]()

    async def connect(spec: HostSpec, words: Sequence[str]) -> Pipe:
        started.append(far_command(spec, words, None))
        raise OSError(prose)

    operations = RemoteOperations(HostSpec("reef"), connect, ManualClock(NOW), who="ops@here")
    plans = (
        clear_provider(state, "anthropic", agent="main"),
        clear_profile(state, "anthropic:max-tide", agent="main"),
        rotate(state, "anthropic", agent="main"),
    )
    for plan in plans:
        with pytest.raises(OperationFailedError) as failed:
            await operations.plan(verb_words(plan))
        assert not gives_away(str(failed.value))
    done = asyncio.create_task(operations.execute(FarPlan(("clear", "anthropic:max-tide"), {}), reason=prose))
    await settle()
    done.cancel()
    assert [words[-1].split()[1] for words in started[:4]] == ["clear", "clear", "rotate", "clear"]
    assert "--reason" in started[3][-1]
    assert not any(gives_away(word) for words in started for word in words)


@pytest.mark.parametrize("form", list(secret_forms()))
def test_no_form_of_a_secret_is_in_a_crash_report(form: str) -> None:
    said = f"it said {secret_forms()[form]}"
    with pytest.raises(ExceptionGroup) as caught:
        fail_in_every_way(said)
    assert "KeyError" in report_text(caught.value, "testing")
    assert not gives_away(report_text(caught.value, "testing"))


def fail_in_every_way(said: str) -> None:
    try:
        raise KeyError(said)
    except KeyError as cause:
        error = ValueError(said)
        error.add_note(said)
        raise ExceptionGroup(said, [error]) from cause


SHELLS_OWN = frozenset(" \t\n;&|<>()$`\\\"'*?[]{}!#~^")
"""Characters that a shell takes for more than a word's own."""


@given(st.lists(TEXTS | st.text(st.sampled_from(sorted(SHELLS_OWN)), max_size=3), min_size=3, max_size=3))
def test_no_id_completes_to_more_than_a_word(parts: list[str]) -> None:
    hostile = everywhere(TOLD, lambda text: parts[len(text) % 3] + text + parts[(len(text) + 1) % 3])
    for kind in KINDS:
        for word in words_of(hostile, kind):
            assert hidden_in(word) == []
            assert not SHELLS_OWN & set(word), word
    assert words_of(TOLD, "profiles")


@pytest.mark.parametrize("form", list(secret_forms()))
def test_no_form_of_a_secret_stands_in_a_manual_or_a_script(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLAWTOP_THEME", secret_forms()[form].replace("\n", " "))
    monkeypatch.setenv("OPENCLAW_GATEWAY_TOKEN", secret_forms()[form])
    for text in (page(), *(script(shell) for shell in SHELLS)):
        assert not gives_away(text)
        assert [char for char in hidden_in(text) if char != "\t"] == []


@given(
    st.integers(12, len(SECRET)), st.sampled_from(["", "x ", "key=", "'"]), st.sampled_from(["", " y", "...", "…", "'"])
)
def test_the_beginning_of_a_secret_gives_nothing_away(length: int, before: str, after: str) -> None:
    assert not gives_away(shown(f"{before}{SECRET[:length]}{after}"))
