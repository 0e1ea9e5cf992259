"""The first line and the headline."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC

import pytest

from clawtop.commands import Arming
from clawtop.core.model import AuthStore, EndedTurn, Exchange, Problem, Snapshot, TurnOutcome
from clawtop.view.columns import Env
from clawtop.view.facts import Facts
from clawtop.view.fitting import cut_at_words
from clawtop.view.headline import first_line, headline
from clawtop.view.line import Tone, text_of, width_of
from tests.support.worlds import CALM, EMPTY, INCIDENT, LOCKS, MAIN_PROFILES, MINUTE, NOW, OUT, agent, cooling, profile


def env_of(snapshot: Snapshot, only: str | None = None) -> Env:
    return Env(Facts(snapshot, NOW, only), NOW, UTC)


def words(snapshot: Snapshot, only: str | None = None) -> list[str]:
    return [text_of(line) for line in headline(env_of(snapshot, only))]


@pytest.mark.parametrize("width", range(60, 201, 7))
@pytest.mark.parametrize("arming", Arming)
@pytest.mark.parametrize("snapshot", [INCIDENT, OUT, EMPTY], ids=["incident", "out", "empty"])
def test_the_first_line_fills_its_width_and_keeps_clock_and_arming(
    snapshot: Snapshot, arming: Arming, width: int
) -> None:
    text = text_of(first_line(env_of(snapshot), width, arming))
    assert width_of(first_line(env_of(snapshot), width, arming)) == width
    assert text.endswith(f" {arming} ")
    assert "03:12:07" in text


def test_at_eighty_columns_everything_still_stands_on_the_first_line() -> None:
    text = text_of(first_line(env_of(INCIDENT), 80))
    assert [
        word for word in ("reef-01", ".openclaw", "B 2026.5.20", "gateway live", "READ-ONLY") if word not in text
    ] == []


def test_a_hostile_directory_and_host_stay_on_their_line() -> None:
    snapshot = replace(INCIDENT, host="h\x1b[2J" + "x" * 500, state_dir="/\u202e" + "y" * 5_000)
    line = first_line(env_of(snapshot), 120)
    assert width_of(line) == 120
    assert not {"\x1b", "\u202e"} & set(text_of(line))


@pytest.mark.parametrize(("left_ms", "word"), [(240_000, " ARMED "), (59_001, " ARMED 60s "), (0, " ARMED 0s ")])
def test_the_last_minute_of_being_armed_is_counted_down(left_ms: int, word: str) -> None:
    assert text_of(first_line(env_of(INCIDENT), 120, Arming.ARMED, left_ms)).endswith(word)


def test_a_judged_state_shows_the_time_it_is_judged_by() -> None:
    assert "at 03:12:07" in text_of(first_line(env_of(replace(INCIDENT, judged_at=NOW)), 120))


def test_the_incident() -> None:
    usable, trouble = words(INCIDENT)
    assert usable == (
        " JAMMED  the auth store of coder is jammed: its lock names no owner · 4 of 10 profiles usable"
        " · anthropic out, back in 22s · next: openai:legacy, openai:prod, google:vertex"
    )
    assert trouble == (
        "‖ 2 sessions blocked · 2 waiting · ✗ 1 stale lock · ⊘ 1 credential to renew · ⚠ 2 warnings"
        " · 1 turn of main failed recently · blocked: telegram:group:-100238841, slack:channel:C03REVIEWS"
    )


def test_calm() -> None:
    assert words(CALM) == [
        " OK  2 of 2 profiles usable · next: openai:night",
        "Nothing is blocked and nothing needs attention.",
    ]


def test_out() -> None:
    assert words(OUT) == [
        " DEAD  the gateway is dead (process 4711 is gone): nothing is answered · 0 of 3 profiles usable"
        " · anthropic out, back in 22s",
        "nothing is usable for any agent · → restart the gateway: openclaw gateway restart",
    ]
    alive = replace(OUT, gateway=CALM.gateway)
    assert words(alive)[0] == (
        " OUT  nothing is usable for any agent · first back 03:12:29 (in 22s) · 0 of 3 profiles usable"
    )


def test_a_message_without_an_answer_has_the_remedy_of_its_turn() -> None:
    began, ended, why = NOW - 3 * MINUTE, NOW - 2 * MINUTE, "model_not_found"
    asked = Exchange(began, 5, "user", TurnOutcome.FAILED, ended, why)
    failed = EndedTurn(ended, TurnOutcome.FAILED, reason=why)
    row = replace(CALM.sessions[0], active=False, exchanges=(asked,), turns=(failed,))
    first, second = words(replace(CALM, sessions=(row,), warnings=()))
    assert first.startswith(" SILENT  1 message without an answer")
    assert second.startswith(
        "→ the provider does not have this model: choose another with openclaw models set · 1 turn"
    )


def test_a_profile_that_the_order_leaves_out_does_not_serve() -> None:
    profiles = (profile("openai:a", cooling(MINUTE)), profile("openai:b"))
    snapshot = replace(CALM, agents=(agent("main", profiles, order={"openai": ("openai:a",)}),))
    assert words(snapshot)[0].startswith(" OUT  nothing is usable for any agent · first back 03:13:07 (in 1m00s)")


def test_one_agent_out_of_two() -> None:
    snapshot = replace(CALM, agents=(agent("main", MAIN_PROFILES[3:4]), agent("coder", MAIN_PROFILES[:1])))
    assert words(snapshot)[0].startswith(" OUT  nothing is usable for coder · first back 03:12:29")
    assert words(snapshot, "main")[0].startswith(" OK  1 of 1 profiles usable")


def test_some_cooling_while_each_provider_serves() -> None:
    snapshot = replace(CALM, agents=(agent("main", (profile("openai:a"), profile("openai:b", cooling(MINUTE)))),))
    assert words(snapshot)[0] == " SERVING  1 of 2 profiles usable · next: openai:a"


def test_expired_credentials_never_come_back_by_themselves() -> None:
    snapshot = replace(CALM, agents=(agent("main", (MAIN_PROFILES[7],)),))
    assert "nothing comes back by itself" in words(snapshot)[0]


def test_an_unreadable_store_is_said_to_be_unreadable() -> None:
    blind = replace(
        CALM.agents[0],
        store=AuthStore("main", "/x", problem=Problem("not-json", "/x", "auth-profiles.json is cut short")),
    )
    assert words(replace(CALM, agents=(blind,)))[0] == (
        " BLIND  no auth profile can be read: auth-profiles.json is cut short"
    )
    assert words(EMPTY)[0] == " EMPTY  no auth profiles: no model can be used"


def test_what_was_read_before_a_store_broke_is_counted_as_last_read() -> None:
    assert "2 of 2 profiles usable" in words(CALM)[0]
    store = CALM.agents[0].store
    assert store is not None
    broken = replace(
        CALM.agents[0], store=replace(store, problem=Problem("corrupt", "/state/openclaw.sqlite", "is damaged"))
    )
    told = words(replace(CALM, agents=(broken,)))
    assert "2 of 2 profiles usable when last read" in told[0]
    assert "the auth store of main cannot be read: openclaw.sqlite is damaged" in " ".join(told)


def test_a_lock_that_cannot_be_read_is_not_said_to_name_no_owner() -> None:
    closed = replace(LOCKS[3], file=replace(LOCKS[3].file, content_problem="unreadable"))
    assert "its lock cannot be read" in words(replace(CALM, locks=(closed,)))[0]
    unknown = replace(closed, file=replace(closed.file, mtime=0), created_at=None)
    assert "jammed" not in " ".join(words(replace(CALM, locks=(unknown,))))


def test_a_lock_from_the_future_is_a_jam_too() -> None:
    """Copied later than the moment that is shown, or written before the clock was set back."""
    ahead = replace(LOCKS[3], file=replace(LOCKS[3].file, mtime=NOW + 3_600_000), created_at=None)
    assert "its lock names no owner" in words(replace(CALM, locks=(ahead,)))[0]


def test_a_lock_in_the_middle_of_its_writing_is_no_jam() -> None:
    fresh = replace(LOCKS[3], file=replace(LOCKS[3].file, mtime=NOW - 500))
    assert "jammed" not in words(replace(CALM, locks=(fresh,)))[1]


def test_while_sessions_are_being_read_their_number_is_said() -> None:
    assert "12,600 sessions still to be read" in words(replace(CALM, counting=12_600))[0]
    assert "to be read" not in words(CALM)[0]


def test_a_narrow_headline_names_whole_sessions_and_counts_the_others() -> None:
    second = {width: text_of(headline(env_of(INCIDENT), width)[1]) for width in range(40, 220)}
    assert all(width_of(((text, Tone.PLAIN),)) <= width for width, text in second.items())
    assert second[219].endswith("blocked: telegram:group:-100238841, slack:channel:C03REVIEWS")
    lists = {text.partition("blocked: ")[2] for text in second.values() if "blocked: " in text}
    assert "telegram:group:-100238841 and 1 more" in lists
    for names in lists:
        first = names.partition(" and ")[0].partition(", ")[0]
        assert first[-6:] == "238841", names


@pytest.mark.parametrize("width", range(60, 130))
def test_a_narrow_headline_is_cut_between_words(width: int) -> None:
    env = env_of(INCIDENT)
    whole, short = text_of(headline(env)[0]), text_of(headline(env, width)[0])
    assert len(short) <= width
    known = {form for word in (*whole.split(), "…") for form in (word, word.rstrip(",;"))}
    ids = [word for word in short.split() if word.rstrip("…") not in known and word not in known]
    assert ids == []


def test_an_id_at_the_end_of_a_cut_piece_keeps_its_end() -> None:
    line = (("1 run with no activity: cron:3f1c77aa-0d54-4be1-9a2e-5d8f1c0b9e10", Tone.BAD), (" · 2", Tone.PLAIN))
    short = text_of(cut_at_words(line, 60))
    assert short.startswith("1 run with no activity: cron:")
    assert short.endswith("5d8f1c0b9e10")
    assert width_of(((short, Tone.BAD),)) == 60


@pytest.mark.parametrize("text", ["⚠ 2 warnings", " · ", "12345 sessions", "nightly", "a" * 40 + " runs", "×"])
@pytest.mark.parametrize("room", range(1, 14))
def test_what_is_cut_always_says_so(text: str, room: int) -> None:
    line = (("b" * 10 + " ", Tone.PLAIN), (text, Tone.PLAIN), ("more than enough to be cut", Tone.PLAIN))
    short = cut_at_words(line, 11 + room)
    assert width_of(short) <= 11 + room
    assert "…" in text_of(short)
