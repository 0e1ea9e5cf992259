"""Accounts that several hosts use, kept up to date by what changed on the hosts."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import field

from clawtop.core.fleet.hosts import Host, by_local_clock
from clawtop.core.fleet.summary import Account
from clawtop.values import dataclass

_Key = tuple[str, str]
"""Profile id and the fingerprint of its credential."""


@dataclass(frozen=True, slots=True)
class SharedAccount:
    """One account on several hosts, by the names of the hosts.

    Attributes:
        cooling: host -> until when it cools there (local time, ms since the epoch; None: it does not end by itself).
        provider_until: when it is usable again as its provider says, by the latest that any host was told (local time).
    """

    provider: str
    profile: str
    hosts: tuple[str, ...]
    cooling: Mapping[str, int | None] = field(default_factory=dict)
    provider_until: int | None = None

    @property
    def usable_on(self) -> tuple[str, ...]:
        """Hosts on which it is usable; while it cools elsewhere, they will probably meet the same limit next."""
        return tuple(name for name in self.hosts if name not in self.cooling)


class SharedAccounts:
    """The accounts of a fleet. A host's change costs what that host has; of many hosts few change at once."""

    def __init__(self) -> None:
        self._told: dict[str, tuple[tuple[Account, ...], int]] = {}  # host -> its accounts, its skew in ms
        self._places: defaultdict[_Key, dict[str, list[Account]]] = defaultdict(dict)
        self._shared: dict[_Key, SharedAccount] = {}
        self._sorted: tuple[SharedAccount, ...] = ()

    def of(self, hosts: Iterable[Host]) -> tuple[SharedAccount, ...]:
        """Accounts with the same profile id and credential on at least two of these hosts; cooling ones first."""
        touched: set[_Key] = set()
        gone = dict(self._told)
        for host in hosts:
            accounts, skew = host.summary.accounts if host.summary is not None else (), host.skew or 0
            before, was_ahead = gone.pop(host.name, ((), skew))
            if before is not accounts or was_ahead != skew:
                touched |= self._changed(host.name, before, accounts, moved=was_ahead != skew)
            self._told[host.name] = accounts, skew
        for name, (before, _) in gone.items():
            touched |= self._changed(name, before, (), moved=False)
            del self._told[name]
        if touched:
            for key in touched:
                self._compare(key)
            self._sorted = tuple(self._shared[key] for key in sorted(self._shared, key=self._order))
        return self._sorted

    def _order(self, key: _Key) -> tuple[object, ...]:
        account = self._shared[key]
        return (not account.cooling, account.provider, account.profile, account.hosts, key)

    def _changed(
        self, name: str, before: tuple[Account, ...], accounts: tuple[Account, ...], *, moved: bool
    ) -> set[_Key]:
        """Record what a host has now; returns the accounts that changed. `moved`: its clock changed."""
        old, new = _by_key(before), _by_key(accounts)
        touched = {key for key in old.keys() | new.keys() if moved or old.get(key) != new.get(key)}
        for key in touched:
            if key in new:
                self._places[key][name] = new[key]
            else:
                del self._places[key][name]
        return touched

    def _compare(self, key: _Key) -> None:
        places = self._places[key]
        if len(places) < 2:
            self._shared.pop(key, None)
            if not places:
                del self._places[key]
            return
        names = tuple(sorted(places))
        cooling = {
            name: None if account.until is None else by_local_clock(account.until, self._told[name][1])
            for name in names
            for account in places[name]
            if account.state != "usable"
        }
        told = (
            by_local_clock(account.provider_until, self._told[name][1])
            for name in names
            for account in places[name]
            if account.provider_until is not None
        )
        provider = places[names[0]][0].provider
        self._shared[key] = SharedAccount(provider, key[0], names, cooling, max(told, default=None))


def shared_accounts(hosts: Iterable[Host]) -> tuple[SharedAccount, ...]:
    """The accounts that these hosts share."""
    return SharedAccounts().of(hosts)


def _by_key(accounts: Iterable[Account]) -> dict[_Key, list[Account]]:
    found: dict[_Key, list[Account]] = {}
    for account in accounts:
        if account.fingerprint is not None:
            found.setdefault((account.profile, account.fingerprint), []).append(account)
    return found
