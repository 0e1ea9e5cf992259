"""Which auth storage a state directory has: the one place that decides it."""

from __future__ import annotations

from clawtop.core.model import Generation
from clawtop.store.auth.databases import UnreadAuth
from clawtop.store.auth.json_backend import JsonAuth
from clawtop.store.auth.port import AuthBackend
from clawtop.store.place.layout import Layout

_IN_DATABASES = frozenset({Generation.C, Generation.D})


def auth_backend(layout: Layout) -> AuthBackend:
    """The auth storage of a located state directory."""
    return UnreadAuth(layout) if layout.generation in _IN_DATABASES else JsonAuth(layout)
