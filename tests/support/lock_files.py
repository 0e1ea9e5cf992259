"""Lock files of OpenClaw's, made by tests."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from clawtop.store.locks.openclaw import Proposal, Published


def publish(path: str, payload: Mapping[str, Any], *, newline: bool = True, durable: bool = True) -> Published | None:
    """Create the lock at `path` with `payload`; None if there is one already. `durable`: see `Proposal`.

    Raises:
        OSError: the directory is missing, read-only, full or another user's; nothing is left behind.
    """
    proposal = Proposal(path, payload, newline=newline, durable=durable)
    try:
        return proposal.publish()
    finally:
        proposal.withdraw()
