"""One account under several names: rotating between them changes nothing, and copies of a login log each other out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from clawtop.core.model import Problem
from clawtop.store.auth.port import OwnAuth
from clawtop.text import safe

_NAMED = 4


def same_accounts(places: Iterable[OwnAuth]) -> Iterator[Problem]:
    """Ids in one store that belong to the same account, and logins of which several agents have their own copy.

    The same API key in several agents' stores is common and works; a refresh token works once (openclaw 26322).
    """
    logins: dict[str, list[tuple[OwnAuth, str]]] = {}
    for place in places:
        by_account: dict[str, list[str]] = {}
        for profile in place.profiles:
            account = profile.credential.account
            if account is not None:
                by_account.setdefault(account, []).append(profile.id)
                if profile.credential.type == "oauth":
                    logins.setdefault(account, []).append((place, profile.id))
        for ids in by_account.values():
            if len(ids) > 1:
                text = f"{_listed(ids)} are the same account: rotating between them changes nothing"
                yield Problem("same-account", place.path, text)
    for copies in logins.values():
        owners = tuple(dict.fromkeys(place.owner for place, _ in copies))
        if len(owners) > 1:
            text = f"agents {_listed(owners)} each hold a copy of this login: refreshing one logs the others out"
            yield Problem("copied-login", copies[0][1], text)


def _listed(names: Iterable[str]) -> str:
    known = [safe(name, 60) for name in names]
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    return " and ".join(known[:_NAMED]) + more
