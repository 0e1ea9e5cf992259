"""Which registry an engine uses: the files of one host, or an etcd cluster that the operator names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field

from clawtop.errors import UsageError
from clawtop.text import shown
from clawtop.values import dataclass

DEFAULT_PREFIX = "clawtop"
_SCHEMES = {"etcd": "http", "etcds": "https"}


@dataclass(frozen=True, slots=True)
class RegistryChoice:
    """`url`: `etcd://host:2379[,host:2379][/prefix]`, `etcds://` for TLS. `mounts`: directory -> its shared name."""

    url: str
    mounts: Mapping[str, str] = field(default_factory=dict)


def registry_choice(url: str, mounts: Sequence[str] = ()) -> RegistryChoice:
    """What the settings `registry` and `registry_mounts` (`/here=name`) say. Raises UsageError."""
    endpoints_of(url)
    pairs = [pair.partition("=") for pair in mounts if pair.strip()]
    if any(not (here.strip().startswith("/") and name.strip()) for here, _, name in pairs):
        raise UsageError("registry_mounts needs /DIRECTORY=NAME")
    return RegistryChoice(url, {here.strip(): name.strip() for here, _, name in pairs})


def endpoints_of(url: str) -> tuple[tuple[str, ...], str]:
    """The base URLs of a registry's endpoints, and its prefix. Raises UsageError."""
    scheme, _, rest = url.partition("://")
    hosts, _, prefix = rest.partition("/")
    names = [host.strip() for host in hosts.split(",") if host.strip()]
    if scheme not in _SCHEMES or not names or not all(name.isprintable() and "@" not in name for name in names):
        raise UsageError(f"not a registry: {shown(url, 80)}", hint="etcd://HOST:2379[,HOST:2379][/PREFIX]")
    return tuple(f"{_SCHEMES[scheme]}://{name}" for name in names), prefix.strip("/") or DEFAULT_PREFIX
