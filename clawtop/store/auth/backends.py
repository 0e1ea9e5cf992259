"""Which auth storage a state directory has: the one place that decides it."""

from __future__ import annotations

from clawtop.store.auth.databases import UnreadAuth
from clawtop.store.auth.json_backend import JsonAuth
from clawtop.store.auth.port import AuthBackend
from clawtop.store.place.layout import Layout


def auth_backend(layout: Layout) -> AuthBackend:
    """The auth storage of a located state directory."""
    return UnreadAuth(layout) if layout.storage.auth_in_database else JsonAuth(layout)
