"""Several hosts as one: order, exit code, shared accounts, who can answer, one timeline."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC
from random import Random
from typing import Any

import pytest
from pydantic import TypeAdapter

from clawtop.core.fleet.diagnosis import not_a_stream, why_ended, wrong_version
from clawtop.core.fleet.hosts import Host, HostLink, exit_code, in_frozen_order, worst_first
from clawtop.core.fleet.merged import NEWEST, answering, timeline
from clawtop.core.fleet.shared import SharedAccounts, shared_accounts
from clawtop.core.fleet.summary import Account, AgentOutlook, EventBrief, HostSummary, summarise
from clawtop.core.model import Gateway, GatewayState, ProviderTime
from clawtop.fleet.protocol import SummaryReader
from clawtop.redaction import remember_secrets
from clawtop.ui.fleet import Below
from clawtop.view.fleet_rows import LINKS, about, about_line, plain_lines, report, shared_line, state_of
from clawtop.view.line import Line, LinesOf, piece, text_of
from tests.support import worlds
from tests.support.hostile import SECRET, gives_away, secret_forms

NOW = 1_795_000_000_000


def host(name: str, level: int = 0, link: HostLink = HostLink.LIVE, skew: int = 0, **summary: object) -> Host:
    told = replace(HostSummary(at=NOW + skew, level=level, why="as told"), **summary)  # type: ignore[arg-type]
    return Host(name, link, since=NOW, skew=skew, summary=told, heard_at=NOW)


def test_silent_bots_come_before_hosts_that_are_not_reached() -> None:
    hosts = [
        host("well"),
        host("attention", 1),
        host("gone", 0, HostLink.UNREACHABLE),
        host("silent", 2),
        host("stale", 0, HostLink.STALE),
    ]
    assert [one.name for one in worst_first(hosts)] == ["silent", "gone", "stale", "attention", "well"]
    assert exit_code(hosts) == 2


@pytest.mark.parametrize(
    ("hosts", "code"),
    [
        ([], 3),
        ([host("a")], 0),
        ([host("a"), host("b", 1)], 1),
        ([host("a"), host("b", 0, HostLink.UNREACHABLE)], 3),
        ([host("a", 1), host("b", 0, HostLink.CONNECTING)], 3),
        ([host("a", 2), host("b", 0, HostLink.UNREACHABLE)], 2),
    ],
)
def test_the_exit_code_is_the_worst_hosts(hosts: list[Host], code: int) -> None:
    assert exit_code(hosts) == code


@pytest.mark.parametrize("level", [0, 1, 2, 3])
@pytest.mark.parametrize("link", [HostLink.CONNECTING, HostLink.STALE, HostLink.UNREACHABLE])
def test_a_host_that_is_not_live_is_shown_by_its_link_whatever_it_said_last(link: HostLink, level: int) -> None:
    assert state_of(host("a", level, link))[0].split() == [LINKS[link][0], link.value]


@pytest.mark.parametrize(("level", "word"), [(0, "well"), (1, "attention"), (2, "silent"), (3, "unreadable")])
def test_a_live_host_is_shown_by_what_it_says(level: int, word: str) -> None:
    assert state_of(host("a", level))[0].split()[1:] == [word]


def test_what_a_host_said_last_does_not_make_it_well() -> None:
    assert host("a", 0, HostLink.STALE).level == 3
    assert Host("new").level == 3


def test_the_longer_wait_comes_first_and_order_can_be_kept() -> None:
    a, b = host("a", 1, oldest_since=NOW - 1_000), host("b", 1, oldest_since=NOW - 9_000)
    assert [one.name for one in worst_first([a, b])] == ["b", "a"]
    new = host("new", 2)
    assert [one.name for one in in_frozen_order([new, b, a], ["a", "gone", "b"])] == ["a", "b", "new"]


def _account(
    state: str = "usable", until: int | None = None, print_: str | None = "f1", name: str = "p:one"
) -> Account:
    return Account("p", name, "main", state, until, fingerprint=print_)


def test_an_account_on_several_hosts_is_one_with_where_it_cools_by_our_clock() -> None:
    ahead = host("ahead", skew=60_000, accounts=(_account("cooling", NOW + 90_000),))
    other = host("other", accounts=(_account(), _account(name="p:own", print_="f9")))
    unlike = host("unlike", accounts=(_account(print_="f2"), _account(print_=None, name="p:three")))
    shared = shared_accounts([ahead, other, unlike])
    assert [(item.profile, item.hosts) for item in shared] == [("p:one", ("ahead", "other"))]
    assert dict(shared[0].cooling) == {"ahead": NOW + 30_000}
    assert shared[0].usable_on == ("other",)


def test_one_host_with_the_same_credential_twice_shares_with_nobody() -> None:
    assert shared_accounts([host("a", accounts=(_account(), _account()))]) == ()


def test_those_who_can_answer_now_come_first_and_hosts_not_reached_are_left_out() -> None:
    late = host("late", skew=5_000, agents=(AgentOutlook("main", NOW + 65_000), AgentOutlook("never", None)))
    now = host("now", agents=(AgentOutlook("main", 0),))
    gone = host("gone", 0, HostLink.UNREACHABLE, agents=(AgentOutlook("main", 0),))
    found = [(item.host, item.agent, item.at) for item in answering().of([late, now, gone])]
    assert found == [("now", "main", 0), ("late", "main", NOW + 60_000), ("late", "never", None)]


def test_the_timeline_is_by_our_clock() -> None:
    ahead = host("ahead", skew=10_000, events=(EventBrief(NOW + 11_000, "rotate", "second"),))
    right = host("right", events=(EventBrief(NOW, "failure", "first"), EventBrief(NOW + 2_000, "fallback", "third")))
    assert [item.moment.text for item in timeline().of([ahead, right])] == ["third", "second", "first"]


def _drawn(chance: Random, name: str) -> Host:
    """A host with some of a few accounts, agents and events."""
    accounts = tuple(
        _account(chance.choice(("usable", "cooling")), chance.choice((None, NOW, NOW + 9_000)), print_, f"p:{number}")
        for number in range(4)
        for print_ in chance.choices(("f1", "f2", None), k=chance.randrange(3))
    )
    agents = tuple(AgentOutlook(agent, chance.choice((0, None, NOW + 5_000))) for agent in "ab"[: chance.randrange(3)])
    events = tuple(
        EventBrief(NOW + chance.randrange(9), "rotate", str(number)) for number in range(chance.randrange(3))
    )
    link = chance.choice((HostLink.LIVE, HostLink.LIVE, HostLink.STALE))
    skew = chance.choice((0, 0, -300_000, 300_000))
    accounts = tuple(replace(one, provider_until=chance.choice((None, NOW + 5, NOW + 9))) for one in accounts)
    return host(name, link=link, skew=skew, accounts=accounts, agents=agents, events=events)


@pytest.mark.parametrize("seed", range(30))
def test_what_is_kept_up_to_date_is_what_would_be_made_anew(seed: int) -> None:
    chance = Random(seed)
    kept, agents, events = SharedAccounts(), answering(), timeline()
    hosts = {name: _drawn(chance, name) for name in "abcdef"}
    for _ in range(40):
        name = chance.choice("abcdefg")
        match chance.randrange(4):
            case 0:
                hosts.pop(name, None)
            case 1 if name in hosts:
                hosts[name] = replace(hosts[name], skew=chance.choice((None, 0, 7)), heard_at=NOW + 1)
            case 2 if name in hosts:
                hosts[name] = Host(name)
            case _:
                hosts[name] = _drawn(chance, name)
        listed = chance.sample(list(hosts.values()), len(hosts))
        assert kept.of(listed) == shared_accounts(listed)
        assert agents.of(listed) == answering().of(listed)
        assert events.of(listed) == timeline().of(listed)


def test_what_did_not_change_is_not_made_anew() -> None:
    hosts = [host(name, accounts=(_account(),), events=(EventBrief(NOW, "rotate", name),)) for name in "abc"]
    kept, events = SharedAccounts(), timeline()
    accounts, moments = kept.of(hosts), events.of(hosts)
    later = [replace(one, heard_at=NOW + 5_000) for one in reversed(hosts)]
    assert kept.of(later) is accounts
    assert events.of(later) is moments
    changed = host("a", accounts=(_account("cooling", NOW + 1_000),), events=(EventBrief(NOW + 1, "rotate", "new"),))
    assert dict(kept.of([changed, *later[:2]])[0].cooling) == {"a": NOW + 1_000}
    assert [each.host for each in events.of([changed, *later[:2]])] == ["a", "b", "c"]
    assert events.of([changed, *later[:2]])[1] is moments[1]


def test_the_timeline_ends_with_its_newest_lines() -> None:
    many = [host(str(one), events=tuple(EventBrief(NOW - at, "rotate", "") for at in range(60))) for one in range(20)]
    found = timeline().of(many)
    assert len(found) == NEWEST
    assert found[-1].moment.at == NOW - NEWEST // 20 + 1


def test_a_line_names_a_few_of_many_hosts_and_counts_the_rest() -> None:
    cooling = [host(f"cold-{n:02}", accounts=(_account("cooling", NOW + 60_000),)) for n in range(12)]
    usable = [host(f"warm-{n:02}", accounts=(_account(),)) for n in range(9)]
    text = text_of(shared_line(shared_accounts([*cooling, *usable])[0], NOW))
    assert "21 hosts: cooling on cold-00 1m00s, " in text
    assert "cold-07 1m00s and 4 more; still tried on warm-00, " in text
    assert text.endswith("warm-07 and 1 more")


def test_lines_are_made_when_they_are_looked_at() -> None:
    made: list[int] = []

    def make(each: int) -> Line:
        made.append(each)
        return piece(str(each))

    lines = LinesOf(piece("title"), range(1_000), make)
    assert len(lines) == 1_001
    assert [text_of(line) for line in lines[0:3]] == ["title", "0", "1"]
    assert text_of(lines[-1]) == "999"
    assert lines[2] is lines[2]
    assert made == [0, 1, 999]


@pytest.mark.parametrize("form", secret_forms().values(), ids=secret_forms())
def test_no_form_of_a_secret_in_what_hosts_send_is_shown(form: str) -> None:
    remember_secrets([SECRET])
    told = replace(
        HostSummary(NOW, 2, "why", "2026.9.6", "D", "live", 1, 2),
        accounts=(_account("cooling", NOW + 60_000), _account(name="p:two")),
        agents=(AgentOutlook("main", NOW + 5_000),),
        events=(EventBrief(NOW, "rotate", "rotated", "main", "p:one"),),
    )
    sent = TypeAdapter(HostSummary).dump_python(told, mode="json")
    planted = {name: _planted(value, form) for name, value in sent.items()}
    hosts = [replace(host(name), summary=SummaryReader().take(planted)) for name in ("a", "b")]
    below = Below()
    lines = [
        *plain_lines(hosts, NOW, 300),
        *(line for page in range(3) for line in below.lines(page, hosts, NOW, UTC)),
        *(about_line(one, NOW) for one in hosts),
    ]
    assert hosts[0].summary is not None
    assert hosts[0].summary.events
    assert not gives_away("\n".join(text_of(line) for line in lines))
    assert not gives_away(json.dumps(report(hosts, NOW)))


def _planted(value: Any, form: str) -> Any:
    if isinstance(value, str):
        return f"{value} {form}"
    if isinstance(value, dict):
        return {key: _planted(part, form) for key, part in value.items()}
    return [_planted(part, form) for part in value] if isinstance(value, list) else value


@pytest.mark.parametrize(
    ("code", "said", "why", "hint"),
    [
        (255, "ssh: Could not resolve hostname h: Name or service not known", "name does not resolve", ""),
        (255, "ssh: connect to host h port 22: Connection refused\r\n", "connection is refused", ""),
        (255, "root@h: Permission denied (publickey,password).", "password", "ssh-copy-id h"),
        (
            255,
            "@@@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @@@\nHost key verification failed.",
            "changed",
            "-R h",
        ),
        (255, "Host key verification failed.", "not known here", "ssh h"),
        (255, "ssh: connect to host h port 22: Connection timed out", "does not answer", ""),
        (127, "bash: line 1: clawtop: command not found", "not installed", "pipx install clawtop-tui"),
        (64, "clawtop: argument VERB: invalid choice: 'stream'", "too old", "pipx upgrade"),
        (3, "clawtop: there is no state directory /x", "there is no state directory", ""),
        (1, "Error: No such container: h", "No such container", ""),
        (None, "", "no clawtop answered", ""),
    ],
)
def test_what_keeps_a_host_away_is_said_with_what_helps(code: int | None, said: str, why: str, hint: str) -> None:
    found = why_ended("h", code, said, greeted=False)
    assert why in found.why
    assert hint in found.hint


@pytest.mark.parametrize(
    ("code", "said", "printed", "why", "hint"),
    [
        (2, "", "clawtop 0.3 - claws for all. Usage: clawtop [options]", "a different program", "which -a clawtop"),
        (2, "Usage: clawtop [OPTIONS]\n\nError: No such command 'stream'.", "", "a different program", "which -a"),
        (0, "", "usage: clawtop FILE", "a different program", "which -a"),
        (7, "", "This account is \x1b[31mclosed\r", "no clawtop answered: This account is \\x1b[31mclosed", ""),
        (7, "closed for repair", "Welcome", "no clawtop answered: closed for repair", ""),
        (7, "", "", "no clawtop answered (exit 7)", ""),
        (127, "sh: clawtop: not found. Usage: sh", "", "not installed", "pipx install"),
    ],
)
def test_what_came_in_place_of_a_greeting_is_said(code: int, said: str, printed: str, why: str, hint: str) -> None:
    found = why_ended("h", code, said, greeted=False, printed=printed)
    assert why in found.why
    assert hint in found.hint
    assert found.why.isprintable()


def test_a_lost_connection_and_other_programs_are_told_apart() -> None:
    assert "connection was lost" in why_ended("h", 255, "client_loop: send disconnect", greeted=True).why
    assert "a different program" in not_a_stream("h", "Usage: clawtop [OPTIONS]").why
    assert "something other" in not_a_stream("h", "\x1b[31mWelcome").why
    assert "\x1b" not in not_a_stream("h", "\x1b[31mWelcome").why
    assert "too old" in wrong_version("h", 0, 1, "0.0.9").why
    assert "newer" in wrong_version("h", 2, 1, "9.0").why


def test_what_a_provider_says_of_the_next_account_is_told_with_its_host() -> None:
    until = worlds.NOW + 3_600_000
    told = worlds.saying(ProviderTime(until, worlds.NOW, "rate_limit"))
    (account,) = (one for one in summarise(told, worlds.NOW).accounts if one.provider_until is not None)
    assert (account.profile, account.provider_until) == ("anthropic:max-tide", until)
    assert all(one.provider_until is None for one in summarise(told, until).accounts)
    found = host("a", next_at=NOW + 30_000, next_provider_at=NOW + 3_660_000, skew=60_000)
    assert about(found, NOW).startswith("as told; its provider says not before 1h")
    assert about(found, NOW + 3_600_000) == "as told; its clock is 1m00s ahead"


def test_a_host_that_is_away_says_when_it_is_tried_again() -> None:
    away = Host("a", HostLink.UNREACHABLE, since=NOW - 60_000, why="refused", hint="ssh a", retry_at=NOW + 12_000)
    assert about(away, NOW) == "refused, for 1m00s; next try in 12s → ssh a"
    assert about(away, NOW + 12_000) == "refused, for 1m12s → ssh a"
    assert report([away], NOW)["hosts"][0]["retry_at"] == NOW + 12_000


def test_hosts_that_share_an_account_share_what_its_provider_said() -> None:
    late = replace(_account("cooling", NOW + 30_000), provider_until=NOW + 3_660_000)
    listed = [host("a", accounts=(_account(),)), host("b", skew=60_000, accounts=(late,))]
    (shared,) = shared_accounts(listed)
    assert shared.provider_until == NOW + 3_600_000
    assert text_of(shared_line(shared, NOW)).endswith("still tried on a; its provider says not before 1h00m")
    assert "provider" not in text_of(shared_line(shared, NOW + 3_600_000))
    (told,) = report(listed, NOW)["shared_accounts"]
    assert told["provider_until"] == NOW + 3_600_000


@pytest.mark.parametrize("state", [GatewayState.DEAD, GatewayState.ABSENT])
def test_no_agent_is_said_to_answer_where_no_gateway_does(state: GatewayState) -> None:
    config = replace(worlds.CALM.config, gateway_wanted=True)
    told = replace(worlds.CALM, config=config)
    assert all(each.at == 0 for each in summarise(told, worlds.NOW).agents)
    gone = summarise(replace(told, gateway=Gateway(state)), worlds.NOW)
    assert gone.usable
    assert all(each.at is None for each in gone.agents)
