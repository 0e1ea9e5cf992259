"""Which session storage a state directory has; decided only here."""

from __future__ import annotations

from clawtop.store.place.layout import Layout
from clawtop.store.sessions.port import SessionBackend
from clawtop.store.sqlite.pool import Databases
from clawtop.store.timed_reads import TimedReads


def session_backend(
    layout: Layout, databases: Databases, reads: TimedReads, *, progressive: bool = False
) -> SessionBackend:
    """The session storage of a located state directory; its databases are read through `databases`.

    `progressive`: thousands of sessions appear at once from their columns, their details with later reads.
    """
    if not layout.storage.session_files:
        from clawtop.store.sessions.tables import TableSessions  # SQLite takes a while to load

        return TableSessions(databases, reads, progressive=progressive)
    if layout.storage.auth_in_database:
        from clawtop.store.sessions.rows_and_tasks import FileSessionsWithTasks

        return FileSessionsWithTasks(databases, reads)
    from clawtop.store.sessions.rows import JsonSessions  # with pydantic's core

    return JsonSessions(reads)
