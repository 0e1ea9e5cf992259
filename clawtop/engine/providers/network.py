"""TLS as configured: custom authorities, a client certificate, or verification switched off."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

from clawtop.store import door
from clawtop.store.atomic import write_new
from clawtop.store.provider.network_config import Tls
from clawtop.text import safe

PEM = "-----BEGIN"
MAX_BYTES = 4 * 1024 * 1024


@lru_cache(maxsize=1)
def _default_context() -> ssl.SSLContext:
    """The public authorities, loaded once."""
    import httpx

    return httpx.create_ssl_context(trust_env=False)


def tls_context(tls: Tls) -> ssl.SSLContext:
    """The context for connections of this kind.

    Raises ValueError when a certificate or key cannot be used: it names the file, and never holds what is in one.
    """
    if not (tls.ca or tls.cert or tls.insecure):
        return _default_context()
    try:
        context = ssl.create_default_context()
        context.load_default_certs()
        _trust_public(context)
        for part in tls.ca:
            with _named("a certificate authority", part):
                context.load_verify_locations(cadata=_content(part).decode("ascii", "ignore"))
        if tls.cert:
            with _named("a client certificate", tls.cert):
                _add_identity(context, tls)
    except OSError as error:
        raise ValueError(f"the public certificate authorities cannot be read ({type(error).__name__})") from None
    if tls.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _trust_public(context: ssl.SSLContext) -> None:
    import certifi

    context.load_verify_locations(certifi.where())


@contextmanager
def _named(what: str, value: str) -> Iterator[None]:
    """Name the configured file or text that an error is about: OpenSSL does not, and its message may quote it."""
    try:
        yield
    except OSError as error:  # SSLError is one
        why = "not PEM, or not a usable one" if isinstance(error, ssl.SSLError) else error.strerror or "unreadable"
        where = "" if PEM in value else f" in {safe(error.filename or value, 200)}"
        raise ValueError(f"{what}{where} cannot be used: {safe(why, 200)}") from None


def _content(value: str) -> bytes:
    """PEM text, or what the file of that name holds. Opened by `store.door`: OpenSSL would wait for ever on a pipe."""
    return value.encode() if PEM in value else door.read(value, MAX_BYTES, follow=door.Follow.ITS_OWNER).data


def _add_identity(context: ssl.SSLContext, tls: Tls) -> None:
    """A client certificate: OpenSSL reads it from files only, so it is written to a temporary one that is removed at
    once.
    """
    cert, key = tls.cert or "", tls.key or ""
    with tempfile.TemporaryDirectory(prefix="clawtop-tls-") as directory:
        paths = [_as_file(value, Path(directory) / name) for name, value in (("cert", cert), ("key", key))]
        context.load_cert_chain(str(paths[0]), str(paths[1]) if key else None, tls.passphrase)


def _as_file(value: str, path: Path) -> Path:
    write_new(str(path), _content(value) if value else b"", 0o600, durable=False)
    return path
