"""One line of a gateway's log becomes an Event.

Two shapes are read: the JSON lines of the log file (all versions; formats of 2026.3.28 to 2026.9.6) and the plain
console lines that 2026.3.28 needs for its lanes. Irrelevant lines give None; broken lines raise `BadLineError`, which
quotes no content.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from datetime import datetime
from typing import Any

from clawtop.core.model import GATEWAY_LOG, Event, EventKind, delay
from clawtop.core.session.key import agent_of
from clawtop.core.session.lanes import base_session_key
from clawtop.nested import loads
from clawtop.patterns import regex
from clawtop.store.gateway.log_words import TURN_FAILED, LineMeaning, meaning_of
from clawtop.text import shown
from clawtop.values import dataclass

TEXT_LIMIT = 300

_CONSOLE = regex(
    r"(?P<time>\d{4}-\d\d-\d\dT[\d:.]+(?:Z|[+-]\d\d:\d\d))\s+(?:\[(?P<subsystem>[^\]]+)\]\s+)?(?P<text>.*)"
)
_PAIR = regex(r'(?<!\w)(?P<key>[A-Za-z]\w*)=(?:"(?P<quoted>(?:[^"\\]|\\.)*+)(?:"|\\?\Z)|(?P<plain>[^\s"]\S*))')
_COLLISIONS = (
    ("session file changed while embedded prompt lock was released", EventKind.TAKEOVER),
    ("session file locked (timeout", EventKind.CONTENDED),
)
"""Local coordination errors, in a line of their own or as the reason why a session's turn failed. The same turn's line
about its global lane is not counted again."""


class BadLineError(ValueError):
    """A line that is neither JSON nor a console line, or whose time cannot be read."""


KEPT = 2_000
"""The most runs, and traces, that are remembered."""


@dataclass(frozen=True, slots=True)
class Ours:
    """What distinguishes a gateway's lines from those of another one that writes the same file: agents, profiles (None:
    not all of them are known), directory.
    """

    agents: frozenset[str]
    profiles: frozenset[str] | None
    state_dir: str

    def is_anothers(self, event: Event) -> bool:
        """Whether an event is certainly not of this gateway; most lines name nothing that is unique to one."""
        if event.session_key is not None and agent_of(event.session_key) not in {None, *self.agents}:
            return True
        if event.profile is not None and self.profiles is not None and event.profile not in self.profiles:
            return True
        file = event.session_file
        return file is not None and not file.startswith(f"{self.state_dir}/")


@dataclass(frozen=True, slots=True)
class Names:
    """Names for what the log gives only as a hash or id.

    Attributes:
        profiles: "sha256:<12 hex>" -> profile id.
        sessions: session id -> session key; earlier ids of a session as well.
        runs, traces: run id, trace id -> session key, from the lines so far and from stored claims.
            Many lines name only their run or, from 2026.9 on, only their trace.
        ours: where another gateway may write the same file.
    """

    profiles: Mapping[str, str] = field(default_factory=dict)
    sessions: Mapping[str, str] = field(default_factory=dict)
    traces: dict[str, str] = field(default_factory=dict)
    runs: dict[str, str] = field(default_factory=dict)
    ours: Ours | None = None

    def session_of(self, facts: Mapping[str, Any], trace: str | None, named: str | None = None) -> str | None:
        """The session of a line: the one that it names, else that of its run, else that of its trace.

        Remembers what the line says about its run and its trace.
        """
        run = _string(facts.get("runId"))
        told = _string(facts.get("sessionKey")) or self.sessions.get(_string(facts.get("sessionId")) or "")
        key = told or named or self.runs.get(run or "") or self.traces.get(trace or "")
        if key is not None:
            remember(self.runs, run, key)
            remember(self.traces, trace, key)
        return key


def remember(known: dict[str, str], name: str | None, key: str) -> None:
    """Remember a name's session key, and forget the oldest name beyond `KEPT`."""
    if name is None:
        return
    known[name] = key
    if len(known) > KEPT:
        del known[next(iter(known))]


def hashed_profile(profile_id: str) -> str:
    """How the gateway's log writes a profile id (2026.3.28 to 2026.9.6)."""
    return "sha256:" + hashlib.sha256(profile_id.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def parse_line(line: str, names: Names) -> Event | None:
    """The event of one line, or None when it says nothing about failover, sessions or lanes. Raises BadLineError."""
    record = _json_record(line) if line.startswith("{") else _console_record(line)
    if record.subsystem:  # else it may be a model's output
        names.session_of(record.facts, record.trace)
    structured = _STRUCTURED.get(str(record.facts.get("event")))
    if structured is not None:
        return structured(record, names)
    found = meaning_of(record.text, record.facts)
    if found is None or found is TURN_FAILED:
        collision = next((kind for words, kind in _COLLISIONS if words in record.text), None)
        if collision is not None:
            found = LineMeaning(
                collision, None if found is None else found.words, None if found is None else found.step
            )
    if found is None:
        return None
    if found.step == "retry":
        return _retry(record, names)
    if found.step == "ended":
        return _ended(record, names)
    words = found.words(record.facts, record.text) if found.words is not None else None
    return _event(record, names, found.kind, words, {"step": found.step} if found.step is not None else None)


@dataclass(frozen=True, slots=True)
class _Record:
    at: int
    subsystem: str
    text: str
    facts: Mapping[str, Any]
    trace: str | None = None


def _json_record(line: str) -> _Record:
    try:
        raw = loads(line)
    except ValueError as error:
        raise BadLineError("not JSON") from error
    if not isinstance(raw, dict):
        raise BadLineError("not an object")
    meta = raw.get("_meta")
    stamp = raw.get("time") or (meta.get("date") if isinstance(meta, dict) else None)
    body = raw.get("1")
    facts: Mapping[str, Any] = body if isinstance(body, dict) else {}
    first = raw.get("0")
    subsystem = _subsystem(first)
    text = next((part for part in (raw.get("2"), body, raw.get("message"), first) if isinstance(part, str)), "")
    return _Record(_milliseconds(stamp), subsystem, text, facts or _pairs(text), _string(raw.get("traceId")))


def _subsystem(first: object) -> str:
    if isinstance(first, str) and first.startswith("{"):
        try:
            named = loads(first)
        except ValueError:
            return ""
        if isinstance(named, dict):
            return str(named.get("subsystem", ""))
    return ""


def _console_record(line: str) -> _Record:
    match = _CONSOLE.match(line)
    if match is None:
        raise BadLineError("neither JSON nor a console line")
    text = match["text"]
    return _Record(_milliseconds(match["time"]), match["subsystem"] or "", text, _pairs(text))


def _milliseconds(stamp: object) -> int:
    if not isinstance(stamp, str):
        raise BadLineError("no time")
    try:
        parsed = datetime.fromisoformat(stamp)
    except ValueError as error:
        raise BadLineError("not a time") from error
    if parsed.tzinfo is None:
        raise BadLineError("a time without a zone")
    return int(parsed.timestamp() * 1000)


def _pairs(text: str) -> dict[str, Any]:
    return {
        match["key"]: match["plain"] if match["quoted"] is None else match["quoted"] for match in _PAIR.finditer(text)
    }


def _number(value: object) -> int | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 16:
        return int(value)
    return None


def _string(value: object) -> str | None:
    """A non-empty text, interned: an id or a word that thousands of events share."""
    return sys.intern(value) if isinstance(value, str) and value else None


def _event(
    record: _Record, names: Names, kind: EventKind, text: str | None = None, data: Mapping[str, Any] | None = None
) -> Event:
    facts = record.facts
    profile = _string(facts.get("profileId")) or _string(facts.get("profile"))
    lane = _string(facts.get("lane"))
    session_file = _session_file(record.text) if kind is EventKind.TAKEOVER else None
    named = lane.removeprefix("session:") if lane and lane.startswith("session:") else None
    if named is None and session_file is not None:
        named = names.sessions.get(_session_id(session_file))
    session_key = names.session_of(facts, record.trace, named)
    duration = _number(facts.get("durationMs"))
    waited = _number(facts.get("waitMs"))
    return Event(
        at=record.at,
        kind=kind,
        source=GATEWAY_LOG,
        text=shown(text if text is not None else record.text, TEXT_LIMIT),  # masked before it is cut
        session_key=base_session_key(session_key) if session_key is not None else None,
        session_file=session_file,
        lane=lane,
        run_id=_string(facts.get("runId")),
        provider=_string(facts.get("provider")),
        model=_string(facts.get("model")),
        profile=names.profiles.get(profile, profile) if profile else None,
        reason=_string(facts.get("failoverReason")) or _string(facts.get("reason")),
        duration_ms=duration
        if duration is not None
        else waited
        if waited is not None
        else _number(facts.get("waitedMs")),
        data=dict(data or {}) | _kept(facts),
    )


_TRANSCRIPT = ".jsonl"
_SPACES_AND_QUOTES = regex(r'[\s"]+')


def _session_file(text: str) -> str | None:
    """The transcript that an error names."""
    for word in _SPACES_AND_QUOTES.split(text) if _TRANSCRIPT in text else ():
        start, end = word.find("/"), word.rfind(_TRANSCRIPT)
        if 0 <= start < end - 1:
            return word[start : end + len(_TRANSCRIPT)]
    return None


def _session_id(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".jsonl")


_KEPT = (
    "queueSize",
    "queueDepth",
    "active",
    "queued",
    "queueAhead",
    "activeNow",
    "errorCount",
    "status",
    "totalActive",
)
_KEPT_WORDS = ("new", "classification", "aborted", "action")
_AGE = regex(r"(\d{1,9})s")


def _kept(facts: Mapping[str, Any]) -> dict[str, Any]:
    kept: dict[str, Any] = {key: number for key in _KEPT if (number := _number(facts.get(key))) is not None}
    kept |= {key: word for key in _KEPT_WORDS if (word := _string(facts.get(key))) is not None}
    age = _AGE.fullmatch(str(facts.get("age", "")))
    return kept | {"age_ms": int(age[1]) * 1000} if age is not None else kept


def _mark(record: _Record, names: Names) -> Event:
    facts = record.facts
    window = _string(facts.get("windowType")) or "cooldown"
    until = _number(facts.get("disabledUntil" if window == "disabled" else "cooldownUntil"))
    reason = _string(facts.get("reason")) or "unknown"
    for_long = f" for {delay(max(0, until - record.at))}" if until is not None else ""
    reused = ", window already open" if facts.get("windowReused") is True else ""
    return _event(
        record,
        names,
        EventKind.MARK,
        f"{reason}: marked {window}{for_long}{reused}",
        {"until": until, "window": window},
    )


_RETRY = regex(
    r"(?:transient|rate-limit) same-model retry (?P<number>\d{1,4})/(?P<most>\d{1,4}) for "
    r"(?P<provider>[^\s/]{1,200})/(?P<model>\S{1,200}?)(?: reason=(?P<reason>\w{1,40}))?: delayMs=(?P<delay>\d{1,10})\b"
)


def _retry(record: _Record, names: Names) -> Event | None:
    """The run asks the same account again: after a rate limit (2026.6 to 2026.8), or what passes by itself (2026.9)."""
    match = _RETRY.match(record.text)
    if match is None:
        return None
    number, most, wait_ms = int(match["number"]), int(match["most"]), int(match["delay"])
    reason = match["reason"] or "rate_limit"
    asked = {"provider": match["provider"], "model": match["model"], "reason": reason}
    return _event(
        replace(record, facts=asked),
        names,
        EventKind.ATTEMPT,
        f"{reason}: retries the same account in {delay(wait_ms)}, {number} of {most}",
        {"step": "retry", "number": number, "most": most, "due": record.at + wait_ms},
    )


_RUN_ENDED = regex(r"\[agent\] run (?P<run>\S{1,200}) ended with stopReason=(?P<why>\w{1,40})")


def _ended(record: _Record, names: Names) -> Event | None:
    """A run has ended (2026.6 on): what a log at the default level contains about its end."""
    match = _RUN_ENDED.match(record.text)
    if match is None:
        return None
    facts = {"runId": match["run"]}
    return _event(replace(record, facts=facts), names, EventKind.LANE, f"run ended: {match['why']}", {"step": "ended"})


_DECISIONS = {
    "rotate_profile": (EventKind.ROTATE, "on to the next profile"),
    "fallback_model": (EventKind.FALLBACK, "on to the next model"),
    "surface_error": (EventKind.FAILURE, "surface the error"),
    "return_error_payload": (EventKind.FAILURE, "return the error"),
}


def _decision(record: _Record, names: Names) -> Event | None:
    found = _DECISIONS.get(str(record.facts.get("decision")))
    if found is None:
        return None
    kind, words = found
    reason = _string(record.facts.get("failoverReason")) or ("timeout" if record.facts.get("timedOut") else "unknown")
    return _event(record, names, kind, f"{reason}: {words}")


def _agent_end(record: _Record, names: Names) -> Event | None:
    if record.facts.get("isError") is not True:
        return None
    said = _string(record.facts.get("rawErrorPreview")) or _string(record.facts.get("error")) or "error"
    return _event(record, names, EventKind.FAILURE, said)


def _fallback(record: _Record, names: Names) -> Event:
    facts = record.facts
    candidate = f"{facts.get('candidateProvider')}/{facts.get('candidateModel')}"
    following = facts.get("nextCandidateModel")
    decision = str(facts.get("decision"))
    failed = decision in _FAILED_CANDIDATE
    last = ", the last one" if failed else ""
    then = f", next {facts.get('nextCandidateProvider')}/{following}" if following else last
    why = f"{_string(facts.get('reason')) or 'unknown'}: " if failed else ""
    data = {"decision": decision, "provider": facts.get("candidateProvider"), "model": facts.get("candidateModel")}
    return _event(
        record,
        names,
        EventKind.FALLBACK,
        f"{why}{candidate} {_CANDIDATE_WORDS.get(decision, decision)}{then}",
        {key: value for key, value in data.items() if isinstance(value, str)} | {"over": failed and not following},
    )


_FAILED_CANDIDATE = frozenset({"candidate_failed", "skip_candidate"})
_CANDIDATE_WORDS = {
    "candidate_failed": "failed",
    "skip_candidate": "skipped",
    "probe_cooldown_candidate": "tried although it is cooling",
    "candidate_succeeded": "answered",
}


_STRUCTURED: Mapping[str, Callable[[_Record, Names], Event | None]] = {
    "auth_profile_failure_state_updated": _mark,
    "embedded_run_failover_decision": _decision,
    "embedded_run_agent_end": _agent_end,
    "model_fallback_decision": _fallback,
}
