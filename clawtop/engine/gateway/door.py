"""Where the gateway's token may go: only to the process of the gateway's own lock, run by the state directory's owner,
and never again to one that rejected it (docs/invariants.md 9, 12).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import field

from clawtop.core.model import Gateway, GatewayState
from clawtop.core.session.proof import Access
from clawtop.engine.gateway.errors import GatewayCallError, Trouble
from clawtop.store.gateway.token import gateway_token
from clawtop.store.locks.processes import ProcessTable
from clawtop.store.place.layout import Layout
from clawtop.text import safe
from clawtop.values import dataclass

OFF = "the gateway is not asked (--no-gateway)"


@dataclass(frozen=True, slots=True)
class Listener:
    """One life of a gateway's process."""

    pid: int
    start: int | None
    port: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Permission to send the token to one listener."""

    listener: Listener
    state_dir: str
    config_path: str
    token: str = field(repr=False)


class Door:
    """Gives permissions for one state directory and remembers which listeners rejected the token.

    `layout` returns the directory as last read, or None before the first read. Mutable state: `_refused`, touched only
    on the event loop.
    """

    def __init__(
        self,
        layout: Callable[[], Layout | None],
        *,
        processes: ProcessTable,
        env: Mapping[str, str] = os.environ,
        enabled: bool = True,
    ) -> None:
        self._layout = layout
        self._processes = processes
        self._env = env
        self._enabled = enabled
        self._refused: set[tuple[Listener, str]] = set()

    def knock(self, gateway: Gateway) -> Pass:
        """Permission to query this gateway. Raises GatewayCallError (CLOSED, TOKEN) with the reason why not."""
        listener = self._listener(gateway)
        layout = self._layout()
        assert layout is not None  # noqa: S101 - _listener has seen it
        token = self._token(layout)
        if token is None:
            raise GatewayCallError(
                Trouble.CLOSED, "the gateway's token cannot be read here (gateway.auth.token, OPENCLAW_GATEWAY_TOKEN)"
            )
        if (listener, token) in self._refused:
            raise GatewayCallError(Trouble.TOKEN, "the gateway has refused this token; it is not sent again")
        return Pass(listener, str(layout.state_dir), str(layout.config_path), token)

    def access(self) -> Access:
        """Whether clawtop may query a gateway of this directory."""
        layout = self._layout()
        if not self._enabled:
            return Access.OFF
        return Access.NO_TOKEN if layout is None or self._token(layout) is None else Access.OPEN

    def _token(self, layout: Layout) -> str | None:
        try:
            owned = layout.state_dir.stat().st_uid == os.geteuid()
        except OSError:
            owned = False
        return gateway_token(layout.config, self._env, owned=owned)

    def refused(self, leave: Pass) -> None:
        """Never send this token to this listener again."""
        self._refused.add((leave.listener, leave.token))

    def _listener(self, gateway: Gateway) -> Listener:
        layout = self._layout()
        if not self._enabled:
            raise GatewayCallError(Trouble.CLOSED, OFF)
        if layout is None or gateway.state is not GatewayState.LIVE:
            raise GatewayCallError(Trouble.CLOSED, "no gateway is known to be live")
        if gateway.port is None:
            raise GatewayCallError(Trouble.CLOSED, "the gateway's port is not known")
        if gateway.pid is None:
            raise GatewayCallError(
                Trouble.CLOSED, "the gateway's process is not visible here, so its token is not sent"
            )
        found = self._processes.look(gateway.pid)
        if not found.alive:
            raise GatewayCallError(Trouble.CLOSED, f"process {gateway.pid}, which its lock names, is not visibly alive")
        try:
            owner = layout.state_dir.stat().st_uid
        except OSError:
            raise GatewayCallError(Trouble.CLOSED, f"{safe(layout.state_dir, 80)} cannot be checked") from None
        if found.uid is not None and found.uid != owner:
            raise GatewayCallError(
                Trouble.CLOSED,
                f"process {gateway.pid} belongs to user {found.uid}, but {safe(layout.state_dir, 80)} to user {owner}: "
                "the gateway's token is not sent to it",
            )
        return Listener(gateway.pid, found.start_ticks or found.started_at, gateway.port)
