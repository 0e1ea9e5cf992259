"""Providers' own keys, as a gateway has them: read again when its configuration, its process or its files changed."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

from clawtop.core.model import ConfigSummary, Gateway, GatewayState, Problem, ProviderKeys
from clawtop.store.config import ConfigRead
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.locks.processes import Census, ProcessTable
from clawtop.store.place.layout import Layout
from clawtop.store.timed_reads import LastAnswers


class _Written(NamedTuple):
    """The variables that environment files set (the first file that sets a name counts), and the files' stamps."""

    stamps: tuple[Stamp | None, ...]
    names: Mapping[str, str]


class _Keys(NamedTuple):
    """Providers' own keys as they were read last, and what they were read from.

    Attributes:
        process: the gateway's state, and its pid and start if it lives.
        written: the stamps of the files with its environment; `names`: what these set, or did since its start.
    """

    config: ConfigRead
    process: tuple[GatewayState, int | None, int | None]
    written: tuple[Stamp | None, ...]
    names: Mapping[str, str]
    found: ProviderKeys


class KeyWatch:
    """Watches for changes. Used by one thread."""

    def __init__(
        self, processes: ProcessTable, env: Mapping[str, str], home: Path, last: LastAnswers, *, now: bool
    ) -> None:
        """`now`: the state is judged as of now; else processes and this environment say nothing about it."""
        self._processes = processes
        self._env = env
        self._home = home
        self._last = last
        self._now = now
        self._keys: _Keys | None = None
        self._written = _Written((), {})

    def look(self, layout: Layout, config: ConfigSummary, gateway: Gateway, warnings: list[Problem]) -> ProviderKeys:
        """Which providers need no auth profile, as the gateway's own process sees it where there is one.

        A gateway takes new variables from its environment files whenever it reads its configuration, and keeps those
        that it has until it ends (2026.5.20).
        """
        lives = gateway.state is GatewayState.LIVE
        process = (gateway.state, gateway.pid if lives else None, gateway.started_at if lives else None)
        files = self._env_files(layout)
        read = partial(_written, files, self._written)
        written = self._written = self._last("env", str(files[0]), read, self._written, warnings)
        known = self._keys
        if known is not None and known[:3] == (layout.config, process, written.stamps):
            return known.found
        from clawtop.store.provider.keys import provider_keys  # after the first paint's imports

        seen: Mapping[str, str] = {}
        if lives and gateway.pid is not None and isinstance(self._processes, Census):
            seen = self._processes.environment(gateway.pid)
        elif not lives and self._now and not layout.is_copy:
            seen = self._env
        names = written.names
        if known is not None and lives and known.process == process:
            names = {**names, **known.names}
        complete = bool(seen) and gateway.state is not GatewayState.UNKNOWN
        keys = provider_keys(layout.config.raw or {}, config.backends, {**names, **seen}, complete=complete)
        self._keys = _Keys(layout.config, process, written.stamps, names, keys)
        return keys

    def _env_files(self, layout: Layout) -> tuple[Path, ...]:
        """The files whose variables OpenClaw adds to its environment; the first that sets a name counts (2026.3.28 to
        2026.9.6).
        """
        own = layout.state_dir / ".env"
        is_default = layout.state_dir == self._home / ".openclaw" and not layout.is_copy
        return (own, self._home / ".config/openclaw/gateway.env") if is_default else (own,)


def _written(files: tuple[Path, ...], before: _Written) -> _Written:
    """The variables that the files set, read again only when one of them changed."""
    stamps = tuple(map(stamp_of, files))
    if stamps == before.stamps:
        return before
    from clawtop.store.provider.keys import dotenv

    names: dict[str, str] = {}
    for file in files:
        names = {**dotenv(file), **names}
    return _Written(stamps, names)
