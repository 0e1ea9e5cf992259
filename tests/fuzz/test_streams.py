"""What strangers send, made wrong in ways that are the same in every run; and what was found so before."""

from __future__ import annotations

from random import Random

import pytest

from tests.fuzz.streams import READERS, faults, seed, tried

SEEDS = 25


@pytest.mark.parametrize("name", sorted(READERS))
def test_a_reader_takes_whatever_comes(name: str) -> None:
    seeds = min(SEEDS, READERS[name].cases + 5)
    assert [why for seed in range(seeds) for why in tried(name, Random(seed))] == []


WITNESSES = {
    "auth store": ("auth-profiles.json", b"fakeai:three", b"fakeai:reef"),
    "auth state": ("auth-state.json", b'"billing"', b'"auth_permanent"'),
    "session list": ("sessions.json", b'"running"', b'"killed"'),
    "lock": ("lock.json", b'"pid": 1,', b'"pid": 4194301,'),
    "config": ("state-config.json", b"2026.5.20", b"2026.3.28"),
    "gateway log": ("gateway.log", b"rotate_profile", b"fallback_model"),
    "auth cells": ("auth-profiles.json", b"fakeai:three", b"fakeai:reef"),
    "session cells": ("session-entry.json", b"fakeai:one", b"fakeai:reef"),
}


@pytest.mark.parametrize("name", sorted(WITNESSES))
def test_what_stands_in_a_file_or_cell_comes_to_what_is_shown(name: str) -> None:
    """Else a reader of a state directory would take whatever comes because nothing of it is read."""
    file, before, after = WITNESSES[name]
    reader, content = READERS[name], seed(file)
    assert before in content
    for number in range(8):
        was, now = (reader.read(text, Random(number)) for text in (content, content.replace(before, after)))
        if was != now:
            return
    raise AssertionError("the same is shown")


FOUND = [
    ("provider error", b'{"error": {"message": "x", "details": [{"retryDelay": 1' + b"0" * 400 + b"}]}}"),
    ("provider openai-completions", b'data: {"choices": [{"delta": {"content": [{"type": ["text"]}]}}]}\n\n'),
    ("provider openai-completions", b'data: {"usage": {"prompt_tokens": 1' + b"0" * 400 + b'}, "choices": []}\n\n'),
    ("gateway socket", b'{"type": "res", "id": "1", "ok": true, "payload": {"type": ["hello-ok"]}}'),
    ("gateway socket", b'{"payload": {"status": ["aborted"]}}'),
    ("gateway socket", b'{"payload": {"events": [{"type": {"a": 1}, "source": "main"}]}}'),
    ("etcd", b'{"responses": [5, {"response_range": []}]}'),
    ("etcd", b'{"TTL": "--5", "ID": "-"}'),
    ("far verbs", b'{"plan": {"plan_id": "ad6ae1dd86078042"}, "receipt": {"notes": null}}'),
    ("far verbs", b'{"plan": {"plan_id": "ad6ae1dd86078042"}, "outcome": "done", "operation": {"data": [5]}}'),
    ("transcript", b'{"type": "session", "id": "s"}\n{"type": "message", "id": "1", "parentId": null,'
     b' "message": {"role": "assistant", "stopReason": ["error"], "content": "x"}}\n'),
    ("transcript", b'{"type": "session", "id": "s"}\n{"type": "message", "id": "1", "parentId": null,'
     b' "message": {"role": {"a": 1}, "content": "x"}}\n'),
    ("recording", b'{"clawtop_recording": 1, "clawtop": "0", "started_at": 1e999}\n'),
    ("recording", b'{"clawtop_recording": 1, "clawtop": "0", "started_at": 1}\n'
     b'{"at": 1, "set": {"warnings": {"change": [[1e999, {}]]}}}\n{"at": 1e999, "set": {}}\n'),
    ("accounts", b'{"notes": [7, null, "x", [1]], "probes": {"a": []}}'),
    ("providers", b'{"env": {"vars": ["A"]}, "secrets": {"providers": [1]}}'),
    ("providers", b'{"models": {"providers": {"reef": {"baseUrl": "http://x", "models": 5}}}}'),
    ("providers", b'{"models": {"providers": {"reef": {"baseUrl": "http://[", "timeoutSeconds": 1e999}}}}'),
    ("providers", b'{"models": {"providers": {"reef": {"baseUrl": "http://x", "maxTokens": 1' + b"0" * 400 + b"}}}}"),
    ("pasted error", b'{"message": "x", "status": "429"}'),
    ("pasted error", b'{"message": "x", "status": [1e999], "code": {"a": 1}}'),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content"), FOUND, ids=[name for name, _ in FOUND])
def test_what_was_found_before(name: str, content: bytes) -> None:
    assert faults(READERS[name], content, Random(1)) == []
