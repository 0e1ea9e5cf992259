"""How to connect to a provider: TLS, proxy and authentication, as configured in OpenClaw.

`models.providers.<id>.request` {tls, proxy, auth}; NODE_EXTRA_CA_CERTS and SSL_CERT_FILE; the proxy variables of the
environment, which count for everything but this machine itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any
from urllib.parse import urlsplit

from clawtop.store.provider.secrets import Secret, SecretSources, resolved
from clawtop.values import dataclass

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
CA_VARIABLES = ("NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE")


@dataclass(frozen=True, slots=True)
class Tls:
    """What one side of a TLS connection trusts, shows, and expects.

    Attributes:
        ca: PEM texts or paths, each a further authority; `cert`, `key`: likewise; `passphrase` opens the key.
        server_name: the name that the certificate must have, where it is not the URL's.
        insecure: the certificate is not checked, because the configuration says so.
    """

    ca: tuple[str, ...] = field(default=(), repr=False)
    cert: str | None = field(default=None, repr=False)
    key: str | None = field(default=None, repr=False)
    passphrase: str | None = field(default=None, repr=False)
    server_name: str | None = None
    insecure: bool = False


@dataclass(frozen=True, slots=True)
class Network:
    """How the connection is made. Equal values share a connection pool.

    Attributes:
        tls: of the connection to the provider.
        proxy: the proxy's URL; None: none.
        proxy_tls: of the connection to a proxy that is itself reached over TLS.
    """

    tls: Tls = Tls()
    proxy: str | None = field(default=None, repr=False)
    proxy_tls: Tls = Tls()


DIRECT = Network()


def network_for(base_url: str, request: Mapping[str, Any], sources: SecretSources, *, what: str) -> Network:
    """The connection that a provider's `request` section asks for.

    Raises:
        SecretUnavailableError: a certificate or key in it cannot be resolved here.
    """
    section = _section(request, "proxy")
    proxy = _proxy(base_url, section, sources.environ)
    return Network(
        _tls(base_url, _section(request, "tls"), sources, what=what),
        proxy,
        _tls(proxy, _section(section, "tls"), sources, what=f"the proxy of {what}") if proxy is not None else Tls(),
    )


def _tls(url: str, section: Mapping[str, Any], sources: SecretSources, *, what: str) -> Tls:
    def material(name: str) -> str | None:
        value = section.get(name)
        return resolved(value, sources, what=f"{name} of {what}").reveal() if value else None

    own = material("ca")
    extra = tuple(path for name in CA_VARIABLES if (path := sources.environ.get(name)))
    name = section.get("serverName")
    return Tls(
        ca=(*extra, *((own,) if own else ())) if _scheme(url) == "https" else (),
        cert=material("cert"),
        key=material("key"),
        passphrase=material("passphrase"),
        server_name=name if isinstance(name, str) and name else None,
        insecure=section.get("insecureSkipVerify") is True,
    )


def _scheme(url: str) -> str:
    try:
        return urlsplit(url).scheme
    except ValueError:
        return ""


def auth_header(request: Mapping[str, Any], sources: SecretSources, *, what: str) -> tuple[str, str] | None:
    """(header, value) of `request.auth`; None where the api's own way serves.

    Raises:
        SecretUnavailableError: the token in it cannot be resolved here.
    """
    auth = _section(request, "auth")
    match auth.get("mode"):
        case "authorization-bearer":
            return "authorization", f"Bearer {_secret(auth.get('token'), sources, what).reveal()}"
        case "header" if isinstance(auth.get("headerName"), str) and auth["headerName"]:
            prefix = auth.get("prefix")
            value = _secret(auth.get("value"), sources, what).reveal()
            return auth["headerName"], (f"{prefix}{value}" if isinstance(prefix, str) else value)
    return None


def _secret(value: object, sources: SecretSources, what: str) -> Secret:
    return resolved(value, sources, what=f"request.auth of {what}")


def _proxy(base_url: str, section: Mapping[str, Any], environ: Mapping[str, str]) -> str | None:
    url = section.get("url")
    if section.get("mode") == "explicit-proxy" and isinstance(url, str) and url:
        return url
    try:
        parts = urlsplit(base_url)
        host = parts.hostname or ""
    except ValueError:
        return None
    if host in LOOPBACK or host.startswith("127."):
        return None
    variables = {name.lower(): value for name, value in environ.items() if name.lower().endswith("_proxy") and value}
    if not variables:
        return None
    from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]  # loads an HTTP client and TLS

    if proxy_bypass_environment(host, {"no": variables.get("no_proxy", "")}):
        return None
    found = variables.get(f"{parts.scheme}_proxy") or variables.get("all_proxy")
    return found if found is None or "://" in found else f"http://{found}"


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = document.get(name)
    return found if isinstance(found, Mapping) else {}
