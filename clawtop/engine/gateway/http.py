"""What a live gateway says over HTTP on loopback: /readyz and, where the plugin is on, its metrics.

Short timeouts, bounded bodies, no proxies, no redirects. One client is kept, so that a round costs only one request.
The token is sent only with permission (`door`), and never again to a listener that rejected it.
"""

from __future__ import annotations

import ssl
from dataclasses import replace
from typing import Any

import httpx

from clawtop.clock import Clock
from clawtop.core.incident.metrics import lanes_of_metrics
from clawtop.core.model import GatewayHealth, LaneStats
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.nested import loads
from clawtop.text import shown

TIMEOUT = httpx.Timeout(1.5, connect=0.5)
TOTAL_SECONDS = 3.0
MAX_BODY = 2 * 1024 * 1024
HOST = "127.0.0.1"
METRICS_PATH = "/api/diagnostics/prometheus"

_UNAUTHORISED = frozenset({401, 403})


class _BodyTooLargeError(Exception):
    pass


class HttpProbe:
    """Asks one gateway. The kept client is its only state; `close` ends it."""

    def __init__(self, clock: Clock, *, transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._clock = clock
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def ready(self, port: int) -> GatewayHealth:
        """`GET /readyz`: a gateway that answers is alive, whatever the answer."""
        health = GatewayHealth(at=self._clock.now_ms())
        try:
            status, text = await self._body(port, "/readyz", {})
            return _with_readiness(replace(health, live=True), _object(status, text, "/readyz"))
        except GatewayCallError as error:
            return replace(health, problem=error.words)

    async def metrics(self, port: int, token: str) -> tuple[LaneStats, ...]:
        """The lanes that its metrics show.

        Raises:
            GatewayCallError: TOKEN if it rejects the token, UNKNOWN if it has no metrics, else the kind of failure.
        """
        status, text = await self._body(port, METRICS_PATH, {"Authorization": f"Bearer {token}"})
        if status in _UNAUTHORISED:
            raise GatewayCallError(Trouble.TOKEN, "the gateway refuses its token; lanes come from its log alone")
        if status != httpx.codes.OK:
            raise GatewayCallError(Trouble.UNKNOWN, f"the gateway has no metrics ({status})")
        return lanes_of_metrics(text)

    async def close(self) -> None:
        """Close the kept connection."""
        if self._client is not None:
            await self._client.aclose()
            self._client = None

    async def _body(self, port: int, path: str, headers: dict[str, str]) -> tuple[int, str]:
        try:
            async with (
                self._clock.timeout(TOTAL_SECONDS),
                self._kept().stream("GET", f"http://{HOST}:{port}{path}", headers=headers) as response,
            ):
                content = bytearray()
                async for chunk in response.aiter_bytes():
                    content += chunk
                    if len(content) > MAX_BODY:
                        raise _BodyTooLargeError
                return response.status_code, content.decode("utf-8", "replace")
        except (TimeoutError, httpx.ReadTimeout):
            raise GatewayCallError(Trouble.MUTE, "the gateway accepts connections but does not answer") from None
        except _BodyTooLargeError:
            words = f"the gateway's answer is larger than {MAX_BODY // 1024 // 1024} MiB; it was not read"
            raise GatewayCallError(Trouble.NONSENSE, words) from None
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            what = shown(error, 80) or type(error).__name__
            raise GatewayCallError(Trouble.UNREACHABLE, f"the gateway's port does not answer ({what})") from None
        except (httpx.HTTPError, ValueError) as error:
            what = shown(error, 80) or type(error).__name__
            raise GatewayCallError(Trouble.NONSENSE, f"the gateway does not speak HTTP as expected ({what})") from None

    def _kept(self) -> httpx.AsyncClient:
        if self._client is None:
            self._client = httpx.AsyncClient(
                timeout=TIMEOUT,
                trust_env=False,
                follow_redirects=False,
                transport=self._transport,
                verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT),  # never used: avoids loading the CAs
                limits=httpx.Limits(max_connections=1, max_keepalive_connections=1),
            )
        return self._client


def _with_readiness(health: GatewayHealth, said: dict[str, Any]) -> GatewayHealth:
    failing = said.get("failing")
    loop = said.get("eventLoop")
    uptime = said.get("uptimeMs")
    return replace(
        health,
        ready=said.get("ready") is True,
        failing=tuple(shown(item, 60) for item in failing[:20]) if isinstance(failing, list) else (),
        uptime_ms=int(uptime) if isinstance(uptime, int | float) and 0 <= uptime < 1e15 else None,
        degraded=loop.get("degraded") is True if isinstance(loop, dict) else None,
    )


def _object(status: int, text: str, path: str) -> dict[str, Any]:
    try:
        said = loads(text)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        return said
    raise GatewayCallError(Trouble.NONSENSE, f"{path} answered {status} without a JSON object")
