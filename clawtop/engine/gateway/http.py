"""What a live gateway will say over HTTP on loopback: /healthz, /readyz and, where the plugin is on, its metrics.

Short timeouts, bounded bodies, at most one round of requests every few seconds, no proxies, no redirects. The token
is sent only to a loopback address whose listener is the process of the gateway's own lock (design.md 4.9).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import httpx

from clawtop.clock import Clock
from clawtop.core.incident.metrics import lanes_of_metrics
from clawtop.core.model import Gateway, GatewayHealth, GatewayState, LaneStats
from clawtop.text import shown

INTERVAL_SECONDS = 5.0
TIMEOUT = httpx.Timeout(1.5, connect=0.5)
TOTAL_SECONDS = 3.0
MAX_BODY = 2 * 1024 * 1024
HOST = "127.0.0.1"
METRICS_PATH = "/api/diagnostics/prometheus"

_UNAUTHORISED = frozenset({401, 403})


class _TooLargeError(Exception):
    pass


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """One round: health, and the lanes its metrics show."""

    health: GatewayHealth
    lanes: tuple[LaneStats, ...] = ()


class GatewayProbe:
    """Asks one gateway, at most every `INTERVAL_SECONDS`. The last report and its time are its only state.

    Args:
        token: gives the gateway's token, or None; called only when it may be sent.
        listens: whether a pid is the one that listens on a TCP port of this machine.
    """

    def __init__(
        self,
        clock: Clock,
        *,
        token: Callable[[], str | None],
        listens: Callable[[int, int], bool],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._clock = clock
        self._token = token
        self._listens = listens
        self._transport = transport
        self._last: GatewayReport | None = None
        self._asked_at = float("-inf")

    async def look(self, gateway: Gateway) -> GatewayReport | None:
        """The report of this round, or the last one when it is too early for another; None without a live gateway."""
        if gateway.state is not GatewayState.LIVE or gateway.port is None:
            self._last = None
            return None
        if self._clock.monotonic() - self._asked_at >= INTERVAL_SECONDS:
            self._asked_at = self._clock.monotonic()
            self._last = await self._ask(gateway, gateway.port)
        return self._last

    async def _ask(self, gateway: Gateway, port: int) -> GatewayReport:
        health = GatewayHealth(at=self._clock.now_ms())
        lanes: tuple[LaneStats, ...] = ()
        try:
            async with (
                self._clock.timeout(TOTAL_SECONDS),
                httpx.AsyncClient(
                    base_url=f"http://{HOST}:{port}",
                    timeout=TIMEOUT,
                    trust_env=False,
                    follow_redirects=False,
                    transport=self._transport,
                ) as client,
            ):
                health = _with_liveness(health, await _json(client, "/healthz"))
                health = _with_readiness(health, await _json(client, "/readyz"))
                owned = gateway.pid is not None and await asyncio.to_thread(self._listens, gateway.pid, port)
                token = self._token() if owned else None
                if token is not None:
                    status, text = await _body(client, METRICS_PATH, {"Authorization": f"Bearer {token}"})
                    lanes = lanes_of_metrics(text) if status == httpx.codes.OK else ()
                    health = replace(
                        health, metrics=status == httpx.codes.OK, problem=health.problem or _refusal(status)
                    )
        except TimeoutError:
            health = replace(health, problem="the gateway accepts connections but does not answer")
        except _TooLargeError:
            health = replace(
                health, problem=f"the gateway's answer is over {MAX_BODY // 1024 // 1024} MiB; it was left"
            )
        except (httpx.HTTPError, ValueError) as error:
            what = shown(error, 80) or type(error).__name__
            health = replace(health, problem=f"the gateway does not speak HTTP as expected ({what})")
        return GatewayReport(health, lanes)


def _refusal(status: int) -> str | None:
    return "the gateway refuses its token; lanes come from its log alone" if status in _UNAUTHORISED else None


def _with_liveness(health: GatewayHealth, said: dict[str, Any]) -> GatewayHealth:
    return replace(health, live=said.get("ok") is True)


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


async def _json(client: httpx.AsyncClient, path: str) -> dict[str, Any]:
    status, text = await _body(client, path, {})
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        said = None
    if isinstance(said, dict):
        return said
    raise ValueError(f"{path} answered {status} without a JSON object")


async def _body(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> tuple[int, str]:
    async with client.stream("GET", path, headers=headers) as response:
        content = bytearray()
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > MAX_BODY:
                raise _TooLargeError
        return response.status_code, content.decode("utf-8", "replace")
