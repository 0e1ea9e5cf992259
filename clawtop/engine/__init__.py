"""asyncio: owns every task, and is the only writer of OpenClaw's store. No terminal library.

The names that other programs need are here and loaded on first use; docs/library.md has an example:

    Driver, TurnRequest, OnContention, EngineSettings  drive a session: rotation, marks, model fallback
    TurnAnswer, ReplyText, ReplyDiscarded, Phase       what a run gives
    read_state, watch_state                            the state directory as frozen snapshots
    open_operations, OperationRequest                  carry out plans of `clawtop.core.operations`
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from clawtop.core.session.admission import OnContention
    from clawtop.core.session.turn_request import TurnRequest
    from clawtop.engine.drive.driver import Driver, EngineSettings, Phase, ReplyDiscarded, ReplyText, TurnAnswer
    from clawtop.engine.library import open_operations, read_state, watch_state
    from clawtop.engine.operations.execute import OperationRequest

__all__ = [
    "Driver",
    "EngineSettings",
    "OnContention",
    "OperationRequest",
    "Phase",
    "ReplyDiscarded",
    "ReplyText",
    "TurnAnswer",
    "TurnRequest",
    "open_operations",
    "read_state",
    "watch_state",
]

_DRIVER = "clawtop.engine.drive.driver"
_HOMES = {
    "OnContention": "clawtop.core.session.admission",
    "TurnRequest": "clawtop.core.session.turn_request",
    "OperationRequest": "clawtop.engine.operations.execute",
    **dict.fromkeys(("open_operations", "read_state", "watch_state"), "clawtop.engine.library"),
    **dict.fromkeys(("TurnAnswer", "Driver", "EngineSettings", "Phase", "ReplyDiscarded", "ReplyText"), _DRIVER),
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
