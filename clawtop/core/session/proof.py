"""Whether OpenClaw is out of a session: which witnesses must say no, which decide, and which cannot exist.

A session counts as released only after every witness that its generation and gateway have has said no for long enough.
Without a witness that should exist, it is unproven.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum

from clawtop.core.generations import Storage
from clawtop.core.locks.staleness import proof_words
from clawtop.core.model import (
    Gateway,
    GatewayState,
    GatewayWords,
    Lock,
    Session,
    TurnOutcome,
    VerdictKind,
    WitnessKind,
)
from clawtop.core.rules import Remote
from clawtop.core.session.gateway_witness import tasks_in
from clawtop.values import dataclass


class ProofSource(StrEnum):
    """LOCK: the session write lock. CLAIM: a turn claim (D). ANSWER: the gateway's own answer. TASKS: its open tasks.
    QUEUE: inputs that wait (D). PROCESS: the process table. DISK: what all witnesses on disk say in total.
    """

    LOCK = "lock"
    CLAIM = "claim"
    ANSWER = "answer"
    TASKS = "tasks"
    QUEUE = "queue"
    PROCESS = "process"
    DISK = "disk"


class ProofRole(StrEnum):
    """DECIDES: its no outweighs the disk. REQUIRED: it must say no. CANNOT: it does not exist there."""

    DECIDES = "decides"
    REQUIRED = "required"
    CANNOT = "cannot"


class Says(StrEnum):
    """Whether a run of OpenClaw is in the session, by one source."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Access(StrEnum):
    """OPEN: the gateway may be asked. NO_TOKEN: its token cannot be read here. OFF: the operator said --no-gateway."""

    OPEN = "open"
    NO_TOKEN = "no-token"  # noqa: S105 - a word
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Statement:
    """What one source says, in words that follow "because".

    `lasting`: it is not known, and waiting does not change that.
    """

    source: ProofSource
    says: Says
    words: str
    lasting: bool = False


@dataclass(frozen=True, slots=True)
class NotRead:
    """Why a place was not read, with its name; `lasting`: it cannot be before somebody mends it."""

    words: str
    lasting: bool = False


def roles(storage: Storage, remote: Remote, gateway: GatewayState, access: Access) -> Mapping[ProofSource, ProofRole]:
    """The table.

    | source  | A (2026.3)            | B (2026.5)  | C (2026.6, 7) | D (2026.8, 9) |
    |---------|-----------------------|-------------|---------------|---------------|
    | lock    | decides               | required    | decides       | cannot        |
    | claim   | cannot                | cannot      | cannot        | decides       |
    | queue   | cannot                | cannot      | cannot        | required      |
    | answer  | cannot: grants nobody | required    | required      | required      |
    | tasks   | cannot                | required    | required      | required      |
    | process | required              | required    | required      | required      |
    | disk    | required              | required    | required      | required      |

    Answer and tasks cannot exist either if the gateway is proven dead, without its token, or with --no-gateway;
    if it is unknown whether the gateway is alive, they are required. An answer also ends the doubt of a log whose last
    line is a failed attempt (`gateway_witness`), and with it that of the disk.
    """
    asked = (
        ProofRole.CANNOT if gateway.is_gone or not remote.grants or access is not Access.OPEN else ProofRole.REQUIRED
    )
    in_database = not storage.session_files
    held = ProofRole.DECIDES if storage.locked_throughout else ProofRole.REQUIRED
    return {
        ProofSource.LOCK: ProofRole.CANNOT if in_database else held,
        ProofSource.CLAIM: ProofRole.DECIDES if in_database else ProofRole.CANNOT,
        ProofSource.QUEUE: ProofRole.REQUIRED if in_database and not gateway.is_gone else ProofRole.CANNOT,
        ProofSource.ANSWER: asked,
        ProofSource.TASKS: asked,
        ProofSource.PROCESS: ProofRole.REQUIRED,
        ProofSource.DISK: ProofRole.REQUIRED,
    }


@dataclass(frozen=True, slots=True)
class Proof:
    """The result of the statements: which source sees a run, else which one is missing, else the proof so far.

    `held`, `missing`: the first of its kind. `proof`: the words of those who said no.
    """

    held: Statement | None = None
    missing: Statement | None = None
    proof: tuple[str, ...] = ()

    @property
    def is_free(self) -> bool:
        return self.held is None and self.missing is None


def find(statements: Iterable[Statement], table: Mapping[ProofSource, ProofRole]) -> Proof:
    """Weigh the statements by the table. A required source without a statement is missing."""
    heard = {statement.source: statement for statement in statements if table[statement.source] is not ProofRole.CANNOT}
    needed = [source for source, role in table.items() if role is not ProofRole.CANNOT]
    if _outweighed(heard, table):
        needed.remove(ProofSource.DISK)
        heard.pop(ProofSource.DISK, None)
    for source in needed:
        if source in heard and heard[source].says is Says.YES:
            return Proof(held=heard[source])
    for source in needed:
        found = heard.get(source) or Statement(source, Says.UNKNOWN, f"the {source} is not known")
        if found.says is Says.UNKNOWN:
            return Proof(missing=found)
    return Proof(proof=tuple(heard[source].words for source in needed))


def _outweighed(heard: Mapping[ProofSource, Statement], table: Mapping[ProofSource, ProofRole]) -> bool:
    """Whether a deciding source, and the gateway if required, say no whatever is on disk."""
    deciders = [source for source, role in table.items() if role is ProofRole.DECIDES]
    if table[ProofSource.ANSWER] is ProofRole.REQUIRED:
        deciders.append(ProofSource.ANSWER)
    has_decider = any(table[source] is ProofRole.DECIDES for source in deciders)
    return has_decider and all(source in heard and heard[source].says is Says.NO for source in deciders)


# --- what each source says ---------------------------------------------------------------------------------------


def statements_of(
    session: Session | None,
    lock: Lock | None,
    words: GatewayWords | None,
    key: str | None,
    *,
    unread: NotRead | None = None,
    unlisted: NotRead | None = None,
    unlocked: NotRead | None = None,
    unseen: str | None = None,
) -> tuple[Statement, ...]:
    """What is known of one session now.

    Args:
        words: queried for this look; None if the gateway was not queried.
        unread: why the databases that hold claims were not read whole, where they were not. unlisted: the same of
            OpenClaw's list of sessions; `session` is then its last row, or none. unlocked: the same of the locks.
        unseen: why the processes below the gateway, which may work on its runs, cannot be seen.
    """
    found = [
        _lock(lock, unlocked),
        _claim(session, unread),
        _queue(session, unread),
        _process(session, unseen),
        _disk(session, unlisted),
    ]
    if words is not None:
        found += [_answer(words, key), _tasks(words, key)]
    return tuple(found)


def _unknown(source: ProofSource, what: str, why: NotRead) -> Statement:
    return Statement(source, Says.UNKNOWN, f"{what}: {why.words}", lasting=why.lasting)


def _lock(lock: Lock | None, unlocked: NotRead | None) -> Statement:
    if lock is None and unlocked is not None:
        return _unknown(ProofSource.LOCK, "whether it has a write lock is not known", unlocked)
    if lock is None:
        return Statement(ProofSource.LOCK, Says.NO, "there is no write lock")
    if lock.verdict.kind is VerdictKind.HELD:
        return Statement(ProofSource.LOCK, Says.YES, f"its write lock is held by process {lock.pid}")
    why = proof_words(lock.verdict.reasons)
    return Statement(ProofSource.LOCK, Says.UNKNOWN, f"there is a {lock.verdict.kind} write lock ({why})")


def _claim(session: Session | None, unread: NotRead | None) -> Statement:
    """Where sessions are rows, one that was read without a claim witness has no claim."""
    if unread is not None:
        return _unknown(ProofSource.CLAIM, "whether a turn of it is claimed is not known", unread)
    if session is None:
        return Statement(ProofSource.CLAIM, Says.UNKNOWN, "it is not among the sessions that were read")
    return _of_kind(session, ProofSource.CLAIM, WitnessKind.CLAIM, "no turn of it is claimed")


def _queue(session: Session | None, unread: NotRead | None) -> Statement:
    inputs = [w for w in session.witnesses if w.kind is WitnessKind.INPUT] if session is not None else []
    waiting = sum(witness.waiting or 1 for witness in inputs if witness.running is not False)
    if waiting:
        return Statement(
            ProofSource.QUEUE, Says.YES, f"{waiting} input{'s wait' if waiting > 1 else ' waits'} for its turn"
        )
    if unread is not None:
        return _unknown(ProofSource.QUEUE, "whether inputs wait for it is not known", unread)
    return Statement(ProofSource.QUEUE, Says.NO, "no input waits for its turn")


def _process(session: Session | None, unseen: str | None) -> Statement:
    """A process that outlives its turns works as long as a run is seen, and waits for the next one once everything
    says that the last is over.
    """
    if unseen is not None:
        return Statement(
            ProofSource.PROCESS, Says.UNKNOWN, f"cannot tell whether a process of its own is working in it: {unseen}"
        )
    found = _of_kind(session, ProofSource.PROCESS, WitnessKind.PROCESS, _NO_PROCESS)
    if found.says is Says.UNKNOWN and session is not None and session.active is not None:
        return replace(found, says=Says.YES) if session.active else Statement(found.source, Says.NO, _NO_PROCESS)
    return found


_NO_PROCESS = "no process of its own works in it"


def _of_kind(session: Session | None, source: ProofSource, kind: WitnessKind, no: str) -> Statement:
    found = [witness for witness in session.witnesses if witness.kind is kind] if session is not None else []
    for says, running in ((Says.YES, True), (Says.UNKNOWN, None)):
        seen = next((witness for witness in found if witness.running is running), None)
        if seen is not None:
            return Statement(source, says, seen.what)
    return Statement(source, Says.NO, no)


def _disk(session: Session | None, unlisted: NotRead | None) -> Statement:
    if unlisted is not None and (session is None or session.active is not True):
        return _unknown(ProofSource.DISK, "its state is not known", unlisted)
    if session is None:
        return Statement(ProofSource.DISK, Says.NO, "OpenClaw's list does not have it")
    says = Says.UNKNOWN if session.active is None else Says.YES if session.active else Says.NO
    how = session.active_how or "its status is not known"
    return Statement(
        ProofSource.DISK, says, how if says is not Says.NO else f"no run of OpenClaw is going on in it: {how}"
    )


def _answer(words: GatewayWords, key: str | None) -> Statement:
    if words.problem is not None:
        return Statement(ProofSource.ANSWER, Says.UNKNOWN, words.problem)
    if key is None:
        return _answer_without_key(words)
    sight = words.sessions.get(key)
    if sight is None:
        if words.complete:
            return Statement(ProofSource.ANSWER, Says.NO, "the gateway does not list it")
        return Statement(ProofSource.ANSWER, Says.UNKNOWN, "the gateway did not list it among its sessions")
    if sight.active is None:
        return Statement(ProofSource.ANSWER, Says.UNKNOWN, "the gateway does not say whether a run is active in it")
    if sight.active:
        return Statement(ProofSource.ANSWER, Says.YES, "the gateway says that a run is active in it")
    return Statement(ProofSource.ANSWER, Says.NO, "the gateway says that no run is active in it")


def _answer_without_key(words: GatewayWords) -> Statement:
    """A gateway names its runs by session key: the run of a session that was reset meanwhile still writes the
    transcript that no key names any more.
    """
    if any(sight.active for sight in words.sessions.values()):
        what = "the gateway has active runs, and does not say whether one of them writes this transcript"
    elif not words.complete:
        what = "the gateway did not list all its sessions"
    elif any(sight.active is None for sight in words.sessions.values()):
        what = "the gateway does not say of all its sessions whether a run is active in them"
    else:
        return Statement(ProofSource.ANSWER, Says.NO, "the gateway says that no run is active in any session")
    return Statement(ProofSource.ANSWER, Says.UNKNOWN, what)


def _tasks(words: GatewayWords, key: str | None) -> Statement:
    if words.problem is not None:
        return Statement(ProofSource.TASKS, Says.UNKNOWN, words.problem)
    if words.tasks is None:
        return Statement(ProofSource.TASKS, Says.UNKNOWN, "the gateway has no list of its open tasks")
    here = tasks_in(key, words.tasks) if key is not None else []
    if here:
        task = here[0]
        return Statement(
            ProofSource.TASKS, Says.YES, f"the gateway has a {task.runtime or 'nameless'} task in it: {task.status}"
        )
    if not words.all_tasks:
        return Statement(ProofSource.TASKS, Says.UNKNOWN, "the gateway has more open tasks than were read")
    return Statement(ProofSource.TASKS, Says.NO, "the gateway has no open task in it")


# --- how long the proof takes ------------------------------------------------------------------------------------


def quiet_ms(table: Mapping[ProofSource, ProofRole], remote: Remote, gateway: GatewayState, still_ms: int) -> int:
    """For how long every source must say no: a run that was just admitted may have left no trace on disk yet.

    Only a gateway that sees every run reports such a run at once.
    """
    told_at_once = table[ProofSource.ANSWER] is ProofRole.REQUIRED and remote.sees_all
    return still_ms if gateway.is_gone or told_at_once else max(still_ms, remote.admission_ms)


@dataclass(frozen=True, slots=True)
class Following:
    """Until when a run may begin in a session by itself, although nothing shows one, and why."""

    until: int
    why: str


def may_follow(session: Session | None, remote: Remote, gateway: Gateway) -> Following | None:
    """What may still begin here by itself; `until` in ms since the epoch."""
    resumed, again = resumed_until(session, remote, gateway), _tried_again_until(session, remote, gateway)
    if resumed is not None and resumed >= (again or 0):
        return Following(resumed, "its gateway was restarted and may still resume it")
    return None if again is None else Following(again, "its turn failed, and may still be tried once more")


def _tried_again_until(session: Session | None, remote: Remote, gateway: Gateway) -> int | None:
    """Until when an attempt may follow one that failed: it is announced nowhere (`Remote.attempts_ms`)."""
    if session is None or gateway.state.is_gone or remote.sees_all:
        return None
    failed = [turn.at for turn in session.turns if turn.outcome in _TRIED_AGAIN]
    failed += [w.at for w in session.witnesses if w.kind is WitnessKind.LOG and w.running is None and w.at is not None]
    return max(failed) + remote.attempts_ms if failed else None


_TRIED_AGAIN = frozenset({TurnOutcome.FAILED, TurnOutcome.TIMED_OUT})


def resumed_until(session: Session | None, remote: Remote, gateway: Gateway) -> int | None:
    """Until when a gateway that was restarted may resume what a crash interrupted here (ms since the epoch)."""
    since = gateway.started_at
    if session is None or gateway.state is not GatewayState.LIVE or since is None or not remote.resumes_ms:
        return None
    interrupted = session.status == "running" or session.aborted_last_run is True
    began_before = session.started_at is None or session.started_at < since
    return since + remote.resumes_ms if interrupted and began_before else None
