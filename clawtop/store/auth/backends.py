"""Which auth storage a state directory has; decided only here."""

from __future__ import annotations

from clawtop.store.auth.json_backend import JsonAuth
from clawtop.store.auth.port import AuthBackend
from clawtop.store.place.layout import Layout
from clawtop.store.sqlite.pool import Databases


def auth_backend(layout: Layout, databases: Databases) -> AuthBackend:
    """The auth storage of a located state directory; its databases are read through `databases`."""
    if not layout.storage.auth_in_database:
        return JsonAuth(layout)
    from clawtop.store.auth.sqlite_backend import SqliteAuth  # SQLite takes a while to load

    return SqliteAuth(layout, databases)
