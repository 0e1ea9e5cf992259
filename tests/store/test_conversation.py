"""Transcripts as conversations, and lines appended to them: OpenClaw's format, whole lines, one parent chain."""

from __future__ import annotations

import json
import os
import uuid
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.conversation import Message
from clawtop.core.model import ModelRef
from clawtop.errors import OperationFailedError, RefusedError, UsageError
from clawtop.store.sessions.conversation import (
    KeptConversations,
    continued,
    parse_conversation,
    read_conversation,
)
from clawtop.store.sessions.entry import add_entry, entry_for
from clawtop.store.sessions.transcript_write import (
    EntryChain,
    TranscriptReply,
    append,
    encoded,
    header,
    iso,
    session_id_for,
)

AT = 1_795_214_036_308
SAMPLES = Path(__file__).parent.parent / "support" / "states"


def lines(*entries: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(entry).encode() + b"\n" for entry in entries)


def message(id_: str, parent: str | None, role: str, text: object) -> dict[str, Any]:
    return {"type": "message", "id": id_, "parentId": parent, "message": {"role": role, "content": text}}


def said(content: bytes) -> list[tuple[str, str]]:
    return [(one.role, one.text) for one in parse_conversation(content, "x").said]


HEAD = {"type": "session", "version": 3, "id": "s1", "timestamp": iso(AT), "cwd": "/w"}


def test_the_branch_that_ends_in_the_last_entry_is_the_conversation() -> None:
    content = lines(
        HEAD,
        message("a", None, "user", "hello"),
        message("b", "a", "assistant", [{"type": "text", "text": "dead branch"}]),
        message("c", "a", "assistant", [{"type": "thinking", "thinking": "hm"}, {"type": "text", "text": "hi"}]),
        message("d", "c", "toolResult", [{"type": "text", "text": "not said"}]),
        message("e", "d", "user", "bye"),
    )
    found = parse_conversation(content, "x")
    assert [one.text for one in found.said] == ["hello", "hi", "bye"]
    assert (found.session_id, found.leaf, found.unfinished, found.problems) == ("s1", "e", False, ())
    assert found.ids == frozenset("abcde")


def test_a_compaction_stands_for_what_it_summarised() -> None:
    content = lines(
        HEAD,
        message("a", None, "user", "old"),
        message("b", "a", "assistant", "kept"),
        {"type": "compaction", "id": "c", "parentId": "b", "summary": "they met", "firstKeptEntryId": "b"},
        message("d", "c", "user", "new"),
    )
    assert said(content) == [
        ("user", "Summary of the conversation so far:\n\nthey met"),
        ("assistant", "kept"),
        ("user", "new"),
    ]


def test_the_model_is_that_of_the_last_change_or_answer() -> None:
    change = {"type": "model_change", "id": "a", "parentId": None, "provider": "coral", "modelId": "m1"}
    assert parse_conversation(lines(HEAD, change), "x").model == ("coral", "m1")
    answer = message("b", "a", "assistant", "hi")
    answer["message"] |= {"provider": "kelp", "model": "m2"}
    assert parse_conversation(lines(HEAD, change, answer), "x").model == ("kelp", "m2")


@pytest.mark.parametrize(
    "damage",
    [b"{", b"[1]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"type":"message","id":7,"message":"x"}', b'{"id":"z"}'],
)
def test_damaged_lines_cost_themselves_only(damage: bytes) -> None:
    content = (
        lines(HEAD, message("a", None, "user", "hello")) + damage + b"\n" + lines(message("b", "a", "user", "bye"))
    )
    assert said(content) == [("user", "hello"), ("user", "bye")]


def test_cycles_and_missing_parents_end_the_walk() -> None:
    assert said(lines(message("a", "b", "user", "1"), message("b", "a", "user", "2"))) == [("user", "1"), ("user", "2")]
    assert said(lines(message("b", "gone", "user", "2"))) == [("user", "2")]


@given(st.binary(max_size=300))
def test_any_bytes_are_read_without_an_error(content: bytes) -> None:
    parse_conversation(content, "x")


def test_an_absent_file_is_an_empty_conversation(tmp_path: Path) -> None:
    found = read_conversation(tmp_path / "none.jsonl")
    assert (found.said, found.leaf, found.session_id) == ((), None, None)


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="no sample directories in this checkout")
def test_real_transcripts_are_understood() -> None:
    real = [path for path in SAMPLES.rglob("*.jsonl") if "sessions" in path.parts and "trajectory" not in path.name]
    assert real
    for path in real:
        found = read_conversation(path)
        assert found.session_id
        assert not found.problems


def chain_of(content: bytes) -> list[str | None]:
    return [json.loads(line).get("parentId") for line in content.splitlines()]


def test_a_turn_reads_back_as_it_was_written_in_one_parent_chain(tmp_path: Path) -> None:
    path = tmp_path / "s1.jsonl"
    for number, text in enumerate(["héllo 🦞", "tab\tand\u2028line"]):
        conversation = read_conversation(path)
        chain = EntryChain(conversation)
        start = [header("s1", "/w", AT)] if number == 0 else []
        reply = TranscriptReply(
            "answer " + text, "openai-completions", "kelp", "m", input=3, cache_read=2, output=1, response_id="r"
        )
        append(path, [*start, chain.user(text, AT), chain.assistant(reply, AT)])
    found = read_conversation(path)
    assert [one.text for one in found.said] == [
        "héllo 🦞",
        "answer héllo 🦞",
        "tab\tand\u2028line",
        "answer tab\tand\u2028line",
    ]
    entries = [json.loads(line) for line in path.read_text().split("\n") if line]
    assert [entry["parentId"] for entry in entries[1:]] == [None, *(entry["id"] for entry in entries[1:-1])]
    assert entries[2]["message"]["usage"]["totalTokens"] == 6
    assert entries[2]["message"]["responseId"] == "r"
    assert entries[1]["timestamp"] == "2026-11-20T22:33:56.308Z"
    assert "🦞" in path.read_text()


def test_lone_surrogates_are_escaped_as_javascript_does(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    append(path, [EntryChain(read_conversation(path)).user("\ud83e alone", AT)])
    assert b"\\ud83e alone" in path.read_bytes()
    assert read_conversation(path).said == (Message("user", "\ud83e alone"),)


def test_a_half_line_gets_its_end_and_spoils_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.jsonl"
    path.write_bytes(lines(HEAD, message("a", None, "user", "hello")) + b'{"type":"mess')
    conversation = read_conversation(path)
    assert conversation.unfinished
    append(path, [EntryChain(conversation).user("bye", AT)], after_half_line=True)
    found = read_conversation(path)
    assert [one.text for one in found.said] == ["hello", "bye"]
    assert len(found.problems) == 1


def test_ids_of_new_entries_differ_from_all_that_stand_there() -> None:
    conversation = parse_conversation(lines(message("aa", None, "user", "x")), "x")
    ids = iter(["aa", "aa", "bb", "bb", "cc"])
    chain = EntryChain(conversation, new_id=lambda: next(ids))
    assert [chain.user("1", AT)["id"], chain.user("2", AT)["id"]] == ["bb", "cc"]


def test_a_disk_that_is_full_leaves_no_half_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.jsonl"
    before = lines(HEAD)
    path.write_bytes(before)
    real, calls = os.write, []

    def short(descriptor: int, data: bytes) -> int:
        calls.append(len(data))
        if len(calls) == 2:
            raise OSError(28, "No space left on device")
        return real(descriptor, bytes(data)[:10])

    monkeypatch.setattr(os, "write", short)
    with pytest.raises(OperationFailedError, match="No space left"):
        append(path, [EntryChain(read_conversation(path)).user("long enough", AT)])
    monkeypatch.undo()
    assert path.read_bytes() == before


def test_a_symlink_in_the_place_of_a_transcript_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("")
    (tmp_path / "s.jsonl").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OperationFailedError):
        append(tmp_path / "s.jsonl", [header("s", "/w", AT)])
    assert (tmp_path / "elsewhere").read_text() == ""


@given(
    st.lists(
        st.dictionaries(st.text(max_size=8), st.text(max_size=8) | st.integers() | st.none(), max_size=3), max_size=4
    )
)
def test_every_entry_is_one_line(entries: list[dict[str, Any]]) -> None:
    data = encoded(entries)
    assert [json.loads(line) for line in data.split(b"\n") if line] == entries


def test_the_id_of_an_unknown_key_is_the_same_everywhere(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    first = session_id_for(tmp_path / "real", "agent:main:x")
    assert first == session_id_for(tmp_path / "link", "agent:main:x")
    assert first != session_id_for(tmp_path / "real", "agent:main:y")
    assert uuid.UUID(first).version == 5
    with pytest.raises(UsageError):
        session_id_for(tmp_path, "\ud800")


# --- the session list --------------------------------------------------------------------------------------------

ENTRY = entry_for("s1", Path("/w/s1.jsonl"), ModelRef("coral", "m"), AT, AT + 5)


def test_an_entry_is_added_and_everything_else_comes_through(tmp_path: Path) -> None:
    store = tmp_path / "sessions.json"
    store.write_text('{"b": {"n": 1e2, "s": "\\ud800"}, "a": 1.0}')
    store.chmod(0o640)
    assert add_entry(store, "agent:main:new", ENTRY)
    text = store.read_text()
    assert text.index('"b"') < text.index('"a"') < text.index("agent:main:new")
    assert "1e2" in text
    assert "1.0" in text
    assert "\\ud800" in text
    assert store.stat().st_mode & 0o777 == 0o640
    assert json.loads(text)["agent:main:new"]["sessionFile"] == "/w/s1.jsonl"


def test_an_entry_that_is_there_is_left_alone(tmp_path: Path) -> None:
    store = tmp_path / "sessions.json"
    store.write_text('{"k": {"sessionId": "theirs"}}')
    before = store.stat()
    assert not add_entry(store, "k", ENTRY)
    assert store.stat().st_mtime_ns == before.st_mtime_ns


def test_an_absent_list_is_made_private(tmp_path: Path) -> None:
    store = tmp_path / "sessions.json"
    assert add_entry(store, "k", ENTRY)
    assert store.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["sessions.json"]


@pytest.mark.parametrize("content", ["", "[]", "{", '{"a": 1, "a": 2}'])
def test_a_list_that_cannot_be_changed_without_loss_is_refused(tmp_path: Path, content: str) -> None:
    store = tmp_path / "sessions.json"
    store.write_text(content)
    with pytest.raises(RefusedError):
        add_entry(store, "k", ENTRY)
    assert store.read_text() == content


def test_a_locked_list_of_2026_3_is_refused(tmp_path: Path) -> None:
    (tmp_path / "sessions.json.lock").touch()
    with pytest.raises(RefusedError, match="locked"):
        add_entry(tmp_path / "sessions.json", "k", ENTRY)


TURNS = st.lists(st.tuples(st.text(min_size=1), st.text(), st.sampled_from(["reef/large", "reef/small"])), max_size=4)


@given(TURNS, st.booleans())
def test_a_conversation_goes_on_as_its_file_reads(
    tmp_path_factory: pytest.TempPathFactory, turns: list[tuple[str, str, str]], begun: bool
) -> None:
    path = tmp_path_factory.mktemp("sessions") / "one.jsonl"
    if begun:
        path.write_bytes(lines(HEAD, message("a", None, "user", "hello")))
    kept = read_conversation(path)
    for asked, answered, model in turns:
        head = [] if kept.session_id or kept.leaf else [HEAD]
        chain = EntryChain(kept)
        provider, _, name = model.partition("/")
        reply = TranscriptReply(answered, "openai-completions", provider, name)
        entries = [*head, chain.user(asked, AT), chain.assistant(reply, AT + 1)]
        append(path, entries)
        kept = continued(kept, entries)
    assert kept == read_conversation(path)


def test_a_transcript_that_stays_as_it_was_is_not_read_again(tmp_path: Path) -> None:
    path, kept = tmp_path / "one.jsonl", KeptConversations()
    assert kept.at_once(path) == read_conversation(path)
    stands = append(path, [HEAD, message("a", None, "user", "hello")])
    assert kept.at_once(path) is None
    kept.keep(path, read_conversation(path), stands)
    assert kept.at_once(path) == read_conversation(path)
    append(path, [message("b", "a", "user", "somebody else")])
    assert kept.at_once(path) is None
    kept.keep(path, *kept.read(path))
    path.unlink()
    assert kept.at_once(path) == read_conversation(path)


def test_what_is_kept_of_transcripts_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clawtop.store.sessions.conversation.MOST_KEPT_BYTES", 3 * len(lines(HEAD)))
    kept = KeptConversations()
    paths = [tmp_path / f"{n}.jsonl" for n in range(5)]
    for path in (*paths, paths[2]):
        path.write_bytes(lines(HEAD))
        kept.keep(path, *kept.read(path))
    assert [kept.at_once(path) is not None for path in paths] == [False, False, True, True, True]
