"""Times on the command line."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime


def parse_moment(text: str) -> int:
    """Epoch milliseconds from digits, or from an ISO 8601 time (UTC when it names no zone).

    Raises argparse.ArgumentTypeError.
    """
    if text.isascii() and text.isdigit():
        return int(text)
    try:
        parsed = datetime.fromisoformat(text)
        if parsed.tzinfo is None:
            parsed = parsed.replace(tzinfo=UTC)
        return int(parsed.timestamp() * 1000)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError("a time is epoch milliseconds or ISO 8601") from None
