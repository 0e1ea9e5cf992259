"""The frames of the gateway's WebSocket: JSON text, requests with an id, answers, events (2026.3.28 to 2026.9.6)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from clawtop import nested
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.nested import mapping
from clawtop.text import shown
from clawtop.values import dataclass

OLDEST_PROTOCOL, NEWEST_PROTOCOL = 3, 4
MAX_FRAME = 8 * 1024 * 1024
"""Bytes of one answer; 100 sessions of 2026.9.6 are a quarter of a megabyte."""

READ, WRITE, ADMIN = "operator.read", "operator.write", "operator.admin"

_MOST_METHODS = 5_000
_TOKEN_CODES = ("AUTH_", "NOT_PAIRED", "DEVICE_IDENTITY_REQUIRED", "PAIRING_REQUIRED")


@dataclass(frozen=True, slots=True)
class Hello:
    """What a gateway reports about itself.

    `state_dir`, `config_path`: None without the scope for it (2026.5.18 and later tell only an admin).
    """

    version: str | None
    methods: frozenset[str]
    scopes: frozenset[str] | None
    state_dir: str | None
    config_path: str | None


def parsed(frame: str | bytes) -> Mapping[str, Any]:
    """One frame. Raises GatewayCallError (NONSENSE)."""
    try:
        value = nested.loads(frame)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise GatewayCallError(Trouble.NONSENSE, "the gateway sent a frame that is not a JSON object")
    return value


def connect_params(token: str, scopes: Sequence[str], version: str) -> dict[str, Any]:
    """The parameters of `connect`. `gateway-client` is the identity that OpenClaw accepts from loopback without
    pairing.
    """
    return {
        "minProtocol": OLDEST_PROTOCOL,
        "maxProtocol": NEWEST_PROTOCOL,
        "client": {"id": "gateway-client", "version": version, "platform": "linux", "mode": "backend"},
        "role": "operator",
        "scopes": list(scopes),
        "caps": [],
        "auth": {"token": token},
    }


def hello_of(payload: Any) -> Hello:
    """The answer to `connect`. Raises GatewayCallError (NONSENSE)."""
    if not isinstance(payload, dict) or payload.get("type", "hello-ok") not in (None, "hello-ok"):
        raise GatewayCallError(Trouble.NONSENSE, "the gateway answered connect without a hello")
    server, snapshot = part(payload, "server"), part(payload, "snapshot")
    methods = part(payload, "features").get("methods")
    granted = part(payload, "auth").get("scopes")
    return Hello(
        version=text(server.get("version")),
        methods=_names(methods) or frozenset(),
        scopes=_names(granted),
        state_dir=text(snapshot.get("stateDir"), 4096),
        config_path=text(snapshot.get("configPath"), 4096),
    )


def error_of(answer: Mapping[str, Any], method: str) -> GatewayCallError:
    """The error of a negative answer."""
    error = part(answer, "error")
    code = text(error.get("code")) or "an error without a code"
    message = text(error.get("message"), 400) or ""
    detail = text(part(error, "details").get("code")) or ""
    words = f"{method}: {shown(message or code, 200)}"
    if method == "connect" and (code.startswith(_TOKEN_CODES) or detail.startswith(_TOKEN_CODES)):
        return GatewayCallError(Trouble.TOKEN, f"the gateway does not accept the token ({shown(detail or code, 60)})")
    if detail == "MISSING_SCOPE" or code == "MISSING_SCOPE" or message.startswith("missing scope"):
        return GatewayCallError(Trouble.SCOPE, words)
    if message.startswith("unknown method"):
        return GatewayCallError(Trouble.UNKNOWN, words)
    if code == "UNAVAILABLE" and "starting" in message:
        return GatewayCallError(Trouble.STARTING, words)
    return GatewayCallError(Trouble.REFUSED, words)


def part(value: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """An object inside an object; an empty one if there is none."""
    return mapping(value.get(name))


def text(value: Any, longest: int = 200) -> str | None:
    """A string of a sensible length, else None."""
    return value if isinstance(value, str) and 0 < len(value) <= longest else None


def _names(value: Any) -> frozenset[str] | None:
    if not isinstance(value, list):
        return None
    return frozenset(name for name in value[:_MOST_METHODS] if isinstance(name, str) and len(name) <= 200)
