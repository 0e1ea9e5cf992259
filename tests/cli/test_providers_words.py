"""Whatever a provider says, in whatever field, no account's key and no control byte is printed or kept of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from clawtop.cli.main import run
from clawtop.demo.provider import Act, BreakStream, Raw, Refuse, Respond
from clawtop.demo.threads import LIGHTHOUSE
from tests.support.hostile import CONTROLS, SECRET, gives_away, hidden_in, secret_forms
from tests.support.served_world import ServedWorld, served_world

SAID = " and ".join(f"{name} <{form}>" for name, form in secret_forms().items())
"""A key as it is, encoded, divided and cut off."""

HEADER = SAID.replace("\n", " ")
HOSTILE = "".join(control for control in CONTROLS if control.isascii())


def events(*values: object) -> Raw:
    return Raw("".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in values))  # type: ignore[index]


BEGUN = {"type": "message_start", "message": {"id": SAID, "model": SAID, "role": "assistant", "usage": {}}}
TOOL = {"type": "content_block_start", "index": 0, "content_block": {"type": "tool_use", "id": SAID, "name": SAID}}
STOPPED = {
    "type": "message_delta",
    "delta": {"stop_reason": SAID, "stop_sequence": SAID},
    "usage": {"output_tokens": 1},
}
DONE = {"type": "message_stop"}

ACTS: dict[str, Act] = {
    **{
        f"status {status}": Refuse(status, SAID, f"{SAID} {HOSTILE}", {"request-id": HEADER, "retry-after": HEADER})
        for status in (400, 401, 402, 403, 404, 429, 500, 529)
    },
    "a page of its own": Refuse(503, body=f"<html>{SAID}{HOSTILE}</html>", content_type="text/html"),
    "a word in the place of an object": Refuse(429, body=json.dumps(SAID)),
    "elsewhere": Refuse(302, body="", headers={"location": f"http://127.0.0.1:9/?{HEADER}"}),
    "a broken stream": BreakStream(SAID, f"{SAID} {HOSTILE}"),
    "another type": Raw(SAID, content_type="text/plain"),
    "no events": Raw(f"data: {SAID}\n\n"),
    "a tool that nobody offered": events(BEGUN, TOOL, STOPPED, DONE),
    "a reason to stop": events(BEGUN, STOPPED, DONE),
    "a reply": Respond(f"{SAID} {HOSTILE}", pieces=40),
}

BATCH = json.dumps({"id": "one", "session": LIGHTHOUSE.key, "message": "hello"})
VERBS: dict[str, tuple[str, ...]] = {
    "drive": ("drive", "--session", LIGHTHOUSE.key, "--message", "hello"),
    "drive --json": ("drive", "--session", LIGHTHOUSE.key, "--message", "hello", "--json"),
    "drive --batch": ("drive", "--batch", "BATCH"),
    "probe": ("probe", "--all"),
    "probe --json": ("probe", "--all", "--json", "--mark"),
    "status": ("status", "--no-gateway"),
    "explain profile": ("explain", "profile", "coral:clawdia"),
}
"""In their order: the last ones tell what the first ones kept."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[ServedWorld]:
    """All accounts have the same key, of no known shape."""
    with served_world(tmp_path) as made:
        path = made.world.agent_dir() / "auth-profiles.json"
        store = json.loads(path.read_bytes())
        for profile in store["profiles"].values():
            profile["key"] = SECRET
        path.write_text(json.dumps(store))
        yield made


PATIENT = ("status 500", "a page of its own", "another type", "no events")
"""After these the engine waits and asks again."""


@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.long] * (name in PATIENT)) for name in ACTS])
def test_no_word_of_a_provider_gives_a_key_away(
    name: str, served: ServedWorld, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "batch").write_text(BATCH + "\n")
    served.provider.default = ACTS[name]
    state = served.world.state_dir
    for verb, words in VERBS.items():
        code = run(
            [*(str(tmp_path / "batch") if word == "BATCH" else word for word in words), "--state-dir", str(state)]
        )
        told = capfd.readouterr()
        assert code != 70, told.err
        for text in (told.out, told.err):
            assert not gives_away(text), (verb, text)
            assert [char for char in hidden_in(text) if char != "\t"] == [], (verb, text)
    assert served.provider.requests
    for path in (state / "clawtop").rglob("*"):
        if path.is_file():
            assert not gives_away(path.read_text()), path
