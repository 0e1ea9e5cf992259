"""Names of the sources of lane data, besides the engines, the log and the metrics, which name themselves."""

from __future__ import annotations

WORDS = "gateway"
"""The gateway's answer to `diagnostics.lanes`."""

WORD_EVENTS = "gateway-events"
"""The gateway's answer to `diagnostics.stability`."""
