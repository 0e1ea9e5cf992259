"""One agent's table of sessions, read again by what changed.

A row's `entry_json` is several kilobytes, of which a few fields matter, so the list comes from columns, and the fields
from one background pass over unarchived rows: some hundred with each read, running ones first. After that, only rows
with a new `updated_at` are read; counts and a sum over indexes show when rows have been deleted or archived.
"""

from __future__ import annotations

import heapq
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from clawtop import nested
from clawtop.core.model import Exchange, Problem, Session
from clawtop.core.session.disk_witness import RUNNING
from clawtop.core.session.exchanges import exchanges
from clawtop.core.session.turns import QueuedTurn
from clawtop.nested import mapping
from clawtop.store.json_text import UnreadableError
from clawtop.store.sessions.listed import listed_session
from clawtop.store.sessions.tail import entry_of
from clawtop.store.sqlite.database import Database, SqlRow
from clawtop.store.sqlite.schema import DatabaseIdentity
from clawtop.store.wire import milliseconds, session_entry, text

MOST_TRANSCRIPTS = 100
RECENT_MS = 24 * 3_600_000
"""For how many sessions the ends of transcripts are read: the latest, within a day of the newest."""

SUMMED_ALWAYS = 5_000
SUMMED_A_SECOND = 20_000
"""The sums of more than `SUMMED_ALWAYS` rows are computed at most once in a second for each `SUMMED_A_SECOND` of them:
they take 15 ms for 100,000 rows, and only they reveal deleted or archived rows.
"""

LAST_EVENTS = 24
MAX_EVENT_CHARS = 64 * 1024
MAX_QUEUED = 20_000
_CHUNK = 200
_SUMMED = (1 << 40) - 1
"""The bits of a time that are summed: the whole sum of millions of rows fits into SQLite's 63 bits, so it is exact."""
_NODE = ("session_key", "current_session_id", "status", "updated_at", "entry_valid")
_WINDOW = ("started_at", "ended_at", "model_provider", "model")
_DETAILS = (
    *("startedAt", "endedAt", "abortedLastRun", "modelProvider", "model", "providerOverride", "modelOverride"),
    *("authProfileOverride", "authProfileOverrideSource", "compactionCount"),
    *("authProfileOverrideCompactionCount", "quotaSuspension", "sessionId"),
    *("label", "displayName", "subject", "groupChannel"),
)


@dataclass(slots=True)
class AgentTable:
    """What was read of one agent's table.

    Attributes:
        nodes: session key -> its columns.
        details: session key -> the fields of its entry; only those that were read.
        wanted: keys whose details are still to be read, in the order in which they are.
        newest: the largest `updated_at` seen.
        total: the sum of theirs, as `_sums` adds it up.
        archived: the same of the archived rows, when all rows were last read.
        unread: rows that were only counted.
        unsummed: whether some of these rows may have been deleted: the sums were not taken at the last change, but are
            due at `sums_due` (monotonic seconds).
        latest: keys of the rows that were touched last, `MOST_TRANSCRIPTS` at most; None: not known.
        changed: keys whose row is to be made anew.
        fresh: keys whose row, or what else is known of it, changed since it was judged.
    """

    version: Hashable = None
    nodes: dict[str, SqlRow] = field(default_factory=dict)
    details: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    wanted: dict[str, None] = field(default_factory=dict)
    newest: int = 0
    total: int = 0
    archived: int = 0
    unread: int = 0
    unsummed: bool = False
    sums_due: float = 0.0
    latest: list[str] | None = None
    inputs: Mapping[str, tuple[QueuedTurn, ...]] = field(default_factory=dict)
    exchanges: dict[str, tuple[Exchange, ...]] = field(default_factory=dict)
    rows: dict[str, Session] = field(default_factory=dict)
    changed: dict[str, None] = field(default_factory=dict)
    fresh: dict[str, None] = field(default_factory=dict)


def load_table(
    table: AgentTable, database: Database, agent: str, details: int, *, first: int | None, now_s: float
) -> int:
    """Bring a table up to date; how many entries were read for their details.

    Args:
        first: how many rows are enough for a table of which nothing is known yet; None: all of them.
        now_s: the monotonic time.
    """
    identity = _identity(database) if database.is_there else None
    if identity is None:
        _forget(table, list(table.nodes))
        table.version, table.inputs, table.unread, table.newest = None, {}, 0, 0
        return 0
    version = database.version()
    if version != table.version or table.unread or (table.unsummed and now_s >= table.sums_due):
        if not {*_NODE, "entry_json"} <= database.columns("session_nodes"):
            words = f"has no table session_nodes as it is known (schema version {identity.user_version})"
            raise UnreadableError(Problem("missing-columns", str(database.path), words))
        _read_nodes(table, database, first, now_s)
        table.inputs = _inputs(database)
        table.version = version
    return _read_details(table, database, agent, details)


def _identity(database: Database) -> DatabaseIdentity | None:
    """None: it holds nothing yet."""
    try:
        return database.identity()
    except UnreadableError as error:
        if database.is_being_made(error):
            return None
        raise


def _select(database: Database, where: str) -> str:
    """The list from columns: the node, and the window that it is in now."""
    windows = database.columns("session_windows")
    joined = "session_id" in windows
    columns = [f"n.{name}" for name in _NODE]
    columns += [f"w.{name}" if joined and name in windows else "NULL" for name in _WINDOW]
    archived = "n.archived_at IS NULL" if "archived_at" in database.columns("session_nodes") else "1"
    join = " LEFT JOIN session_windows w ON w.session_id = n.current_session_id" if joined else ""
    return f"SELECT {', '.join(columns)} FROM session_nodes n{join} WHERE {archived} AND {where}"  # noqa: S608


def _read_nodes(table: AgentTable, database: Database, first: int | None, now_s: float) -> None:
    """The changed rows; all of them if the changes do not add up. Of a new table, the latest ones."""
    if table.nodes and not table.unread:
        _take(table, database.rows(_select(database, "n.updated_at >= ?"), (table.newest,)))
        table.unsummed = now_s < table.sums_due
        if table.unsummed:
            return
        table.sums_due = now_s + (len(table.nodes) / SUMMED_A_SECOND if len(table.nodes) > SUMMED_ALWAYS else 0.0)
        if _sums(database) == (len(table.nodes), table.total + table.archived):
            return
    elif not table.nodes and first is not None:
        rows = database.rows(_select(database, "1 ORDER BY n.updated_at DESC LIMIT ?"), (first,))
        _take(table, rows)
        count, total = _sums(database)
        table.unread = max(0, count - len(rows)) if len(rows) == first else 0
        table.archived = total - table.total
        return
    rows = database.rows(_select(database, "1"))
    keys = {row[0] for row in rows}
    _forget(table, [key for key in table.nodes if key not in keys])
    _take(table, rows)
    table.newest = max(map(_touched, table.nodes.values()), default=0)
    table.unread, table.unsummed, table.archived = 0, False, _sums(database)[1] - table.total


def _sums(database: Database) -> tuple[int, int]:
    """How many rows are not archived, and the sum of the times of all. From indexes, since an entry is long."""
    ((count, total),) = database.rows(f"SELECT count(*), sum(updated_at & {_SUMMED}) FROM session_nodes")  # noqa: S608
    archived = 0
    if "archived_at" in database.columns("session_nodes"):
        ((archived,),) = database.rows("SELECT count(*) FROM session_nodes WHERE archived_at IS NOT NULL")
    return int(count) - int(archived), int(total or 0)


def _touched(row: SqlRow) -> int:
    return milliseconds(row[3]) or 0


def _summed(row: SqlRow | None) -> int:
    return row[3] & _SUMMED if row is not None and isinstance(row[3], int) else 0


def _take(table: AgentTable, rows: Sequence[SqlRow]) -> None:
    fresh: list[SqlRow] = []
    for row in rows:
        key = row[0]
        if isinstance(key, str) and (known := table.nodes.get(key)) != row:
            table.total += _summed(row) - _summed(known)
            if known is not None and _touched(row) < _touched(known):
                table.latest = None
            table.nodes[key] = row
            fresh.append(row)
    table.newest = max(table.newest, max(map(_touched, fresh), default=0))
    # Running ones first, then the latest: those are examined.
    fresh.sort(key=lambda row: (row[2] != RUNNING, -_touched(row)))
    for row in fresh:
        table.wanted[row[0]] = table.changed[row[0]] = None
    if table.latest is not None:
        table.latest = _latest(table, dict.fromkeys((*table.latest, *(row[0] for row in fresh))))


def _forget(table: AgentTable, keys: Iterable[str]) -> None:
    """Drop rows that are gone."""
    for key in keys:
        table.total -= _summed(table.nodes.pop(key))
        table.fresh[key] = None
        for kept in (table.details, table.wanted, table.changed, table.exchanges, table.rows):
            kept.pop(key, None)
        table.latest = None


def _latest(table: AgentTable, keys: Iterable[str]) -> list[str]:
    return heapq.nlargest(MOST_TRANSCRIPTS, keys, key=lambda key: _touched(table.nodes[key]))


def _read_details(table: AgentTable, database: Database, agent: str, most: int) -> int:
    keys = list(table.wanted)[: max(0, most)]
    paths = ", ".join(f"'$.{name}'" for name in _DETAILS)
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        asked = [key for key in chunk if _is_unicode(key)]
        marks = ", ".join("?" * len(asked))
        rows = database.rows(
            f"SELECT session_key, CASE WHEN json_valid(entry_json) THEN json_extract(entry_json, {paths}) END"  # noqa: S608
            f" FROM session_nodes WHERE session_key IN ({marks})",
            asked,
        )
        for key, values in rows:
            table.details[key] = _fields(values)
            table.changed[key] = None
        for key in chunk:
            table.wanted.pop(key, None)
    _read_exchanges(table, database, keys)
    for key in table.changed:
        table.rows[key] = _session(agent, f"{database.path}#{key}", table.nodes[key], table.details.get(key))
    table.fresh.update(table.changed)
    table.changed.clear()
    return len(keys)


def _is_unicode(content: str) -> bool:
    """Whether a cell was valid UTF-8; a row whose key was not is shown from its columns alone."""
    if content.isascii():
        return True
    try:
        content.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _read_exchanges(table: AgentTable, database: Database, keys: Sequence[str]) -> None:
    """The last messages of those sessions that were touched last: of those among `keys`, and of those that were not
    among the last before. Compressed events are not read.
    """
    if table.latest is None:
        table.latest = _latest(table, table.nodes)
    recent = {key: None for key in table.latest if _touched(table.nodes[key]) >= table.newest - RECENT_MS}
    changed = set(keys)
    for key in [key for key in recent if key in changed or key not in table.exchanges]:
        table.exchanges[key] = exchanges(last_entries(database, key, table.nodes[key][1]))
        table.fresh[key] = None
    for gone in [key for key in table.exchanges if key not in recent]:
        del table.exchanges[gone]
        table.fresh[gone] = None


def last_entries(database: Database, key: str, session_id: str) -> list[Mapping[str, Any]]:
    """The last entries of a session's transcript, oldest first; none where the table is not as it is known."""
    if not {"session_id", "seq", "event_json"} <= database.columns("transcript_events"):
        return []
    rows = database.rows(
        "SELECT CASE WHEN length(event_json) <= ? THEN event_json END FROM transcript_events"
        " WHERE session_id=? ORDER BY seq DESC LIMIT ?",
        (MAX_EVENT_CHARS, session_id, LAST_EVENTS),
    )
    entries = (entry_of(row[0].encode("utf-8", "surrogateescape"), key) for row in reversed(rows) if _is_text(row))
    return [entry for entry in entries if entry is not None]


def _is_text(row: SqlRow) -> bool:
    return isinstance(row[0], str)


_NOT_UNICODE = "not UTF-8"
"""Marks an entry that held bytes which are not text; no real field has this name."""
_BROKEN: Mapping[str, Any] = {"": None}
"""The fields of an entry that is not JSON."""


def _fields(values: Any) -> Mapping[str, Any]:
    if not isinstance(values, str):
        return _BROKEN
    try:
        found = nested.loads(values)
    except ValueError:
        return _BROKEN
    if not isinstance(found, list):
        return _BROKEN
    fields = dict(zip(_DETAILS, found, strict=False))
    return fields if _is_unicode(values) else {**fields, _NOT_UNICODE: True}


def _inputs(database: Database) -> dict[str, tuple[QueuedTurn, ...]]:
    """Inputs that no turn has taken, by session key.

    Which of them a crash left behind is told by the gateway's start. `lifecycle_generation` is not read: which value is
    the running gateway's is stored nowhere, and the newest input's would make a live one stale after the clock was set
    back.
    """
    known = database.columns("session_pending_inputs")
    if not {"session_key", "run_id", "accepted_at", "state"} <= known:
        return {}
    consumed = " AND consumed_event_id IS NULL" if "consumed_event_id" in known else ""
    rows = database.rows(
        f"SELECT session_key, run_id, accepted_at FROM session_pending_inputs WHERE state='queued'{consumed}"  # noqa: S608
        " ORDER BY accepted_at LIMIT ?",
        (MAX_QUEUED,),
    )
    found: dict[str, list[QueuedTurn]] = {}
    for key, run, at in rows:
        session_key, run_id, accepted = text(key), text(run), milliseconds(at)
        if session_key is not None and accepted is not None:
            found.setdefault(session_key, []).append(QueuedTurn(run_id or "", accepted))
    return {key: tuple(items) for key, items in found.items()}


def _session(agent: str, file: str, row: SqlRow, details: Mapping[str, Any] | None) -> Session:
    key, session_id, status, updated, valid, started, ended, provider, model = row
    values, problems = session_entry(key, mapping(details or {}))
    get = values.get
    known = text(status)
    found = list(problems)
    if not _is_unicode(key) or (details or {}).get(_NOT_UNICODE):
        found.append(Problem("not-utf8", key, "its row holds bytes that are not UTF-8, shown as \\udcXX"))
    if details is _BROKEN:
        found.append(Problem("bad-session", key, "its entry is not JSON"))
    elif valid not in (1, None):
        found.append(Problem("unchecked", key, "OpenClaw has not checked this row yet"))
    return listed_session(
        agent,
        key,
        values,
        session_id=text(session_id),
        file=file,
        status=known,
        updated_at=milliseconds(updated),
        started_at=get("startedAt") or milliseconds(started),
        ended_at=get("endedAt") if details else milliseconds(ended),
        problems=found,
        never_ran=known is None,
        provider=text(provider),
        model=text(model),
    )
