"""TLS as configured: custom authorities, a client certificate, or verification switched off."""

from __future__ import annotations

import ssl
import tempfile
from functools import lru_cache
from pathlib import Path

from clawtop.store.atomic import write_new
from clawtop.store.provider.network_config import Network

PEM = "-----BEGIN"


@lru_cache(maxsize=1)
def _default_context() -> ssl.SSLContext:
    """The public authorities, loaded once."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def tls_context(network: Network) -> ssl.SSLContext:
    """The context for connections of this kind.

    Raises ValueError when a certificate or key cannot be used; its text never holds them.
    """
    if not (network.ca or network.cert or network.insecure):
        return _default_context()
    try:
        context = ssl.create_default_context()
        context.load_default_certs()
        _trust_public(context)
        for part in network.ca:
            _add_authority(context, part)
        if network.cert:
            _add_identity(context, network)
    except (OSError, ssl.SSLError) as error:
        raise ValueError(f"the configured TLS material cannot be used ({type(error).__name__})") from None
    if network.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trust_public(context: ssl.SSLContext) -> None:
    import certifi

    context.load_verify_locations(certifi.where())


def _add_authority(context: ssl.SSLContext, value: str) -> None:
    if PEM in value:
        context.load_verify_locations(cadata=value)
    else:
        context.load_verify_locations(cafile=value)


def _add_identity(context: ssl.SSLContext, network: Network) -> None:
    """A client certificate: OpenSSL reads it from files only, so text is written to a temporary one that is removed at
    once.
    """
    cert, key = network.cert or "", network.key or ""
    with tempfile.TemporaryDirectory(prefix="clawtop-tls-") as directory:
        paths = [_as_file(value, Path(directory) / name) for name, value in (("cert", cert), ("key", key))]
        context.load_cert_chain(str(paths[0]), str(paths[1]) if key else None, network.passphrase)


def _as_file(value: str, path: Path) -> Path:
    if PEM not in value:
        return Path(value)
    write_new(str(path), value.encode(), 0o600, durable=False)
    return path
