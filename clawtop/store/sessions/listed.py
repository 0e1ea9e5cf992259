"""A session as OpenClaw lists it: the same fields of an entry, in a file or in a row of a table."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from clawtop.core.model import Problem, Session
from clawtop.core.session.disk_witness import KNOWN_STATUSES, SETTLED, ends_before_its_start, settled_witness, stored_as
from clawtop.core.session.lanes import classify_session_key
from clawtop.store.wire import flag, session_name, suspension


def listed_session(
    agent: str,
    key: str,
    values: Mapping[str, Any],
    *,
    session_id: str | None,
    file: str | None,
    status: str | None,
    updated_at: int | None,
    started_at: int | None,
    ended_at: int | None,
    problems: Iterable[Problem],
    never_ran: bool = False,
    provider: str | None = None,
    model: str | None = None,
) -> Session:
    """A row of the list, with what its status alone shows about a run.

    Args:
        values: the entry, as `session_entry` returns it.
        never_ran: a row that is made before the first turn, and has no status until then.
        provider, model: for where the entry names none.
    """
    settled = status if status in SETTLED else None
    if status is not None and status not in KNOWN_STATUSES:
        problems = (*problems, Problem("unknown-status", key, "clawtop does not know its status"))
    over = never_ran or (settled is not None and not ends_before_its_start(started_at, ended_at))
    get = values.get
    return Session(
        agent=agent,
        key=key,
        session_id=session_id,
        file=file,
        status=_shared(status),
        active=False if over else None,
        active_how=stored_as(settled) if settled else "no turn of it ever started" if never_ran else "",
        problems=tuple(problems),
        updated_at=updated_at,
        started_at=started_at,
        ended_at=ended_at,
        provider=_shared(get("modelProvider") or get("providerOverride") or provider),
        model=_shared(get("model") or get("modelOverride") or model),
        profile=_shared(get("authProfileOverride")),
        profile_source=_shared(get("authProfileOverrideSource")),
        compaction_count=get("compactionCount"),
        profile_compaction_count=get("authProfileOverrideCompactionCount"),
        lane_class=classify_session_key(key),
        aborted_last_run=flag(get("abortedLastRun")),
        suspension=suspension(get("quotaSuspension")),
        name=session_name(values),
        witnesses=(settled_witness(settled, started_at, ended_at),) if settled else (),
    )


def _shared(value: str | None) -> str | None:
    """One shared object for a text that thousands of entries have in common."""
    return None if value is None else sys.intern(value)
