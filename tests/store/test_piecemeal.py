"""A session list of any size is read an entry at a time, and says the same as when it is read whole."""

from __future__ import annotations

import io
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.store.json_text import UnreadableError
from clawtop.store.sessions import index, piecemeal
from clawtop.store.sessions.piecemeal import read_piecemeal
from tests.support.states_made import StateDir

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


def read(content: bytes, part: int) -> dict[str, Any]:
    """The object in `content`, read in parts of so many bytes."""
    stream = io.BytesIO(content)
    reader = piecemeal._TextWindow(lambda _size: stream.read(part), "/s/sessions.json")
    return reader.entries(lambda _key, value: value)


@given(st.dictionaries(st.text(max_size=8), VALUES, max_size=6), st.integers(1, 40), st.sampled_from([None, 2]))
def test_it_reads_what_a_parser_reads(document: dict[str, Any], part: int, indent: int | None) -> None:
    content = json.dumps(document, ensure_ascii=False, indent=indent).encode("utf-8", "surrogatepass")
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        content = json.dumps(document, indent=indent).encode()
    assert read(content, part) == json.loads(content)


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", "empty"),
        (b" \n ", "empty"),
        (b"[]", "wrong-type"),
        (b'{"a": 1', "not-json"),
        (b'{"a": {"b": ', "not-json"),
        (b'{"a" 1}', "not-json"),
        (b'{"a": 1,}', "not-json"),
        (b'{"a": 1} {', "not-json"),
        (b"{1: 2}", "not-json"),
        (b'{"a": "\xff"}', "not-utf8"),
        (b'{"a": ' + b"[" * 100_000, "not-json"),
    ],
    ids=["nothing", "space", "list", "cut", "cut deep", "no colon", "comma", "more", "number", "latin", "deep"],
)
def test_what_is_no_object_is_named(content: bytes, code: str) -> None:
    for part in (1, 3, 1_000_000):
        with pytest.raises(UnreadableError) as caught:
            read(content, part)
        assert caught.value.problem.code == code


def test_the_last_of_equal_keys_counts() -> None:
    assert read(b'{"a": 1, "b": 2, "a": 3}', 4) == {"a": 3, "b": 2}


def test_more_than_the_limit_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "sessions.json"
    path.write_text("{}")
    with pytest.raises(UnreadableError, match="too-large"):
        read_piecemeal(str(path), 1, lambda _key, value: value)


def entries(count: int, padding: int) -> dict[str, Any]:
    return {
        f"agent:main:cron:job:run:{number}": {
            "sessionId": f"s{number}",
            "updatedAt": 1_795_000_000_000 + number,
            "status": "done",
            "authProfileOverride": "fakeai:one",
            "skillsSnapshot": {"prompt": "x" * padding},
        }
        for number in range(count)
    }


def test_a_large_list_reads_like_a_small_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateDir(tmp_path)
    found = {**entries(300, 200), "agent:main:odd": "text", "agent:main:odder": {"sessionId": 7, "status": "running"}}
    state.sessions(found)
    small = state.reader().read().sessions
    monkeypatch.setattr(index, "PIECEMEAL_BYTES", 100)
    monkeypatch.setattr(index, "LARGE_BYTES", 1_000)
    snapshot = state.reader().read()
    assert snapshot.sessions == small
    assert [problem.code for problem in snapshot.warnings] == ["large-session-list"]


def test_an_empty_list_says_how_many_transcripts_lie_beside_it(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    for number in range(7):
        (state.sessions_dir / f"t{number}.jsonl").write_text("{}\n")
        (state.sessions_dir / f"t{number}.trajectory.jsonl").write_text("{}\n")
    state.sessions_json.write_bytes(b"")
    assert [str(problem) for problem in state.reader().read().warnings] == [
        "empty: is empty, and 7 transcripts are beside it"
    ]


@pytest.mark.long
def test_two_hundred_megabytes_leave_other_threads_time(tmp_path: Path) -> None:
    state = StateDir(tmp_path)
    state.sessions_json.write_text(json.dumps(entries(2_700, 75_000)))
    gaps: list[float] = []
    over = threading.Event()

    def tick() -> None:
        last = time.perf_counter()
        while not over.wait(0.005):
            now = time.perf_counter()
            gaps.append(now - last)
            last = now

    ticker = threading.Thread(target=tick)
    ticker.start()
    snapshot = state.reader().read()
    over.set()
    ticker.join()
    assert len(snapshot.sessions) == 2_700
    assert sorted(gaps)[int(len(gaps) * 0.95)] < 0.2, "the loop of a screen goes on"
