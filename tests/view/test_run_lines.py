"""Driven runs and drains as lines: what is folded in, what is said, and what must never be shown."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC
from typing import Any

import pytest

from clawtop.cells import cells
from clawtop.core.model import Event, EventKind, PromptHolder, Session, Waiter
from clawtop.core.session.drain import DrainOutcome, DrainPreview, DrainStage, DrainStep, DrainWishes
from clawtop.core.session.turn_request import TurnRequest
from clawtop.view.drain_lines import DrainLog, option_lines, outcome_lines, preview_lines, progress_lines
from clawtop.view.line import Tone, text_of
from clawtop.view.run_lines import run_lines, run_title
from clawtop.view.run_log import RunLog, end_lines

T0 = 1_780_000_000_000
REQUEST = TurnRequest("agent:main:main", "hello", agent="main", timeout_s=60.0)


def log(request: TurnRequest = REQUEST) -> RunLog:
    return RunLog("run-1", request, T0, step_since=T0)


def event(kind: EventKind, after: int, **more: Any) -> Event:
    return Event(T0 + after, kind, "engine", str(more.pop("text", kind)), run_id="run-1", **more)


def shown(run: RunLog, after: int = 10_000, width: int = 100, **more: Any) -> str:
    return "\n".join(text_of(line) for line in run_lines(run, T0 + after, UTC, width, **more))


def asks(run: RunLog, after: int, profile: str) -> None:
    run.entered("locking", T0 + after)
    run.happened(event(EventKind.ACQUIRE, after))
    run.entered("prompting", T0 + after)
    run.happened(event(EventKind.ATTEMPT, after, provider="coral", model="claw", profile=profile))


def test_the_way_of_a_run_is_told_step_by_step() -> None:
    run = log()
    assert "▶ lane 500ms" in shown(run, 500) or "▶ lane 0.5s" in shown(run, 500)
    run.entered("locking", T0 + 1_000)
    assert "✓ lane  ▶ holder 1.0s  · lock  · prompt  · stream  · append" in shown(run, 2_000)
    run.happened(event(EventKind.ACQUIRE, 2_000))
    assert "✓ holder  ▶ lock 1.0s" in shown(run, 3_000)
    run.entered("prompting", T0 + 3_000)
    run.entered("streaming", T0 + 4_000)
    assert "✓ prompt  ▶ stream 2.0s  · append" in shown(run, 6_000)
    assert "6.0s so far, gives up in 54s" in shown(run, 6_000)
    assert "no deadline for the turn" in shown(log(replace(REQUEST, timeout_s=None)))


def test_another_attempt_goes_the_way_again() -> None:
    run = log()
    asks(run, 100, "coral:one")
    run.entered("streaming", T0 + 200)
    run.said("half an answer")
    run.happened(event(EventKind.FAILURE, 300, reason="rate_limit", text="429 (coral/claw)"))
    run.discarded()
    run.entered("releasing", T0 + 300)
    run.happened(event(EventKind.ROTATE, 301, text="rate_limit: from coral:one to coral:two"))
    run.entered("locking", T0 + 302)
    text = shown(run, 400)
    assert "▶ holder" in text
    assert "· prompt  · stream" in text
    assert "✗ 0.2s rate_limit: 429 (coral/claw)" in text
    assert "rate_limit: from coral:one to coral:two" in text
    assert "half an answer" not in text
    assert "(14 characters of a failed attempt were discarded)" in text


@pytest.mark.parametrize(
    ("told", "verdict"),
    [
        (event(EventKind.ROTATE, 300, data={"forced": True}), "rotated by hand, no mark"),
        (event(EventKind.TAKEOVER, 300), "taken over"),
        (event(EventKind.ATTEMPT, 300, provider="kelp", model="m"), "given up"),
    ],
)
def test_how_an_attempt_ended(told: Event, verdict: str) -> None:
    run = log()
    asks(run, 100, "coral:one")
    run.happened(told)
    assert run.attempts[0].verdict == verdict


def test_the_end_stays_with_the_step_it_came_in() -> None:
    run = log()
    asks(run, 100, "coral:one")
    run.over(T0 + 5_000, end_lines("cancelled: everything is given back", Tone.WARN), well=False)
    text = shown(run, 60_000)
    assert "✗ prompt" in text
    assert "took 5.0s" in text
    assert "cut short" in text
    assert "cancelled: everything is given back" in text


def test_whom_it_waits_for() -> None:
    run = log()
    run.entered("locking", T0)
    run.happened(event(EventKind.WAIT, 10, text="run-1 waits for the prompt"))
    assert "‖ run-1 waits for the prompt" in shown(run)
    waiters = tuple(Waiter(n, 9, "channel", name, T0) for n, name in enumerate(("other", "run-1")))
    holder = PromptHolder("/s", None, None, "heartbeat", "first", None, "streaming", T0, 77, "clawtop", waiters)
    assert "‖ 2 in line behind run first (pid 77, lane heartbeat, streaming)" in shown(run, holders=(holder,))
    busy = Session("main", "agent:main:main", None, None, status="running", active=True, active_how="lock of pid 5")
    assert "‖ OpenClaw is working in it: lock of pid 5" in shown(run, session=busy)


def test_a_secret_is_masked_even_while_only_a_part_of_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clawtop.redaction._known_secrets", ())  # words that begin like one are held back
    run = log(replace(REQUEST, message="my key is sk-abcdefghijklmnop"))
    run.said("your key is sk-abc")
    assert "sk-abc" not in shown(run)
    run.said("defghijklmnop, keep it.")
    text = shown(run)
    assert "sk-abc" not in text
    assert "your key is •••, keep" in text
    assert "my key is •••" in text


def test_nothing_foreign_reaches_the_terminal_as_it_is() -> None:
    run = log(replace(REQUEST, session="agent:\x1b[2J", lane="\x1b]0;x\x07", message="a\x1bb"))
    run.said("line one\nline \x1b[31mtwo\n\ttab \u202edone.\n")
    run.happened(event(EventKind.NOTICE, 5, text="odd \x1b[0m words"))
    text = shown(run) + text_of(run_title(run, 1, 2))
    assert all(char.isprintable() or char == "\n" for char in text)
    assert "line one\n" in text


@pytest.mark.parametrize("width", [40, 62, 100])
def test_no_line_is_wider_than_its_place(width: int) -> None:
    run = log()
    asks(run, 100, "coral:a-profile-with-a-name-that-is-longer-than-anybody-would-want")
    run.happened(event(EventKind.FAILURE, 300, reason="timeout", text="x" * 90))
    run.said("word " * 80)
    assert all(cells(text_of(line).rstrip()) <= width for line in run_lines(run, T0 + 1_000, UTC, width))
    drain = DrainLog("agent:main:" + "k" * 60, DrainWishes(), "abc", 0.0)
    drain.stepped(DrainStep(T0, DrainStage.WAIT, "w" * 120))
    drain.waits("y" * 120, 40.0)
    assert all(cells(text_of(line).rstrip()) <= width for line in progress_lines(drain, 1.0, UTC, width))


# --- drains ------------------------------------------------------------------------------------------------------


def words(lines: object) -> str:
    return "\n".join(text_of(line) for line in lines)  # type: ignore[attr-defined]


def test_a_drain_counts_its_deadlines_down() -> None:
    drain = DrainLog("agent:main:main", DrainWishes(deadline_s=60.0, stop_after_s=30.0), "abc", 100.0)
    drain.stepped(DrainStep(T0, DrainStage.SURVEY, "a run holds it"))
    drain.stepped(DrainStep(T0, DrainStage.CLOSE, "closed"))
    drain.stepped(DrainStep(T0, DrainStage.WAIT, "a run holds it"))
    drain.waits("a run holds it", 160.0)
    text = words(progress_lines(drain, 110.0, UTC, 100))
    assert "✓ survey  ✓ close  ▶ wait 50s  · stop  · unlock  · prove" in text
    assert "a clawtop run is asked to stop in 20 s" in text
    assert "running for 10s, gives up in 50 s · drain abc" in text
    drain.stepped(DrainStep(T0, DrainStage.PROVE, "watched"))
    drain.waits("watched", 163.0)
    assert "proven after another 3 s without a change" in words(progress_lines(drain, 160.0, UTC, 100))
    drain.ended(True, *outcome_lines(DrainOutcome("abc", released=True, words=("nothing holds it",))))
    text = words(progress_lines(drain, 170.0, UTC, 100))
    assert "✓ drained" in text
    assert "gives up in" not in text


def test_the_preview_offers_what_can_be_chosen() -> None:
    wishes = DrainWishes(deadline_s=60.0)
    calm = words(option_lines(wishes, can_abort=True, width=90))
    assert "f afterwards the session is reopened" in calm
    assert "g gateway    its run is left alone" in calm
    assert "asked to stop after 30 s; the drain gives up after 60 s" in calm
    other = words(option_lines(replace(wishes, fresh=True, abort_in_gateway=True), can_abort=True, width=90))
    assert "continues under a fresh session id" in other
    assert "the gateway ends its run" in other
    assert "not possible" in words(option_lines(wishes, can_abort=False, width=90))
    survey = ("nothing holds the session now", "1. close the session", "   a gateway cannot be kept out")
    preview = DrainPreview({False: survey})
    text = words(preview_lines("agent:main:main", preview, wishes, can_abort=False, width=90))
    assert text.startswith("drain agent:main:main\n\nnothing holds the session now\n1. close the session\n")
    aborting = replace(wishes, abort_in_gateway=True)
    text = words(preview_lines("agent:main:main", preview, aborting, can_abort=True, width=90))
    assert text.startswith("drain agent:main:main\n\nchecking what that would do\n")
    assert "nothing holds" not in text
    early = replace(preview, complete=False)
    text = words(preview_lines("agent:main:main", early, wishes, can_abort=True, width=90))
    assert text.startswith("drain agent:main:main\n\nthe gateway is being asked what it runs\nnothing holds")


def test_a_wait_for_an_account_counts_down_until_the_run_goes_on() -> None:
    run = log()
    run.waits_for_account("coral:clawdia", T0 + 100_000)
    assert "every account is cooling; coral:clawdia is usable again in 1m30s" in shown(run, 10_000)
    assert "usable again in 1m29s" in shown(run, 11_000)
    run.entered("waiting-lane", T0 + 100_000)
    assert "every account is cooling" not in shown(run, 100_000)
