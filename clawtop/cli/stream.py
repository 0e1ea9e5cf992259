"""`clawtop stream`: this host's state as a stream of JSON lines, for a fleet dashboard elsewhere."""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from typing import TYPE_CHECKING

from clawtop import threads
from clawtop.cli.input import lines_of_input
from clawtop.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

    from clawtop.core.fleet.summary import HostSummary, SecretFingerprint
    from clawtop.core.model import Profile, Snapshot
    from clawtop.store.snapshot import SnapshotReader


def add_arguments(_parser: argparse.ArgumentParser) -> None:
    """The verb has no options of its own: what is streamed is asked for on stdin."""


def run(args: argparse.Namespace) -> int:
    """Stream until stdin ends. Exit 0; 3 when there is no state directory."""
    return threads.run(_stream(args))


async def _stream(args: argparse.Namespace) -> int:
    from clawtop.cli.common import live_feed
    from clawtop.fleet.far import Far

    clock = SystemClock()
    reader, feed = live_feed(args, clock)
    layout = reader.layout
    lines = await lines_of_input(64 * 1024)
    far = Far(
        feed,
        clock,
        summary,
        _secrets(reader, clock.now_ms),
        _out,
        host=os.uname().nodename,
        state_dir=str(layout.state_dir),
    )
    with contextlib.suppress(BrokenPipeError):
        await far.run(lines)
    return 0


def summary(snapshot: Snapshot, fingerprint: SecretFingerprint) -> HostSummary:
    """A snapshot in short."""
    from clawtop.core.fleet.summary import summarise

    return summarise(snapshot, snapshot.as_of, fingerprint)


def _secrets(reader: SnapshotReader, now: Callable[[], int]) -> Callable[[Profile], str | None]:
    """Looks up a profile's secret, only to compare accounts by its fingerprint."""

    def secret_of(profile: Profile) -> str | None:
        from clawtop.store.provider.credentials import load_credential
        from clawtop.store.provider.secrets import SecretSources, SecretUnavailableError

        sources = SecretSources.of(reader.layout.config.raw or {}, os.environ)
        try:
            return load_credential(profile, sources, now()).secret.reveal()
        except SecretUnavailableError:
            return None

    return secret_of


def _out(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
