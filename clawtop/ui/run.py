"""Start the dashboard: source, theme, terminal, exit code."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from clawtop.clock import Clock
from clawtop.ui.app import ClawtopApp
from clawtop.ui.ports import Operator, Options, Source
from clawtop.ui.terminal import speaks_unicode
from clawtop.ui.theme import choose

if TYPE_CHECKING:
    from clawtop.engine.hub import Reader

__all__ = ["Options", "run_dashboard"]


def run_dashboard(reader: Reader | Source, clock: Clock, options: Options, *, operator: Operator | None = None) -> int:
    """Show the dashboard until the operator leaves.

    Args:
        reader: what a hub reads from; or a source that delivers snapshots by itself, such as a recording.
        operator: carries operations out; without one the dashboard cannot be armed.

    Returns:
        The exit code: 0 after `q`, 128+n after signal n.
    """
    from clawtop.engine.hub import Hub

    source: Source = Hub(reader, clock) if hasattr(reader, "read") else reader  # type: ignore[arg-type]
    environment = os.environ
    if not speaks_unicode(environment):
        options = replace(options, ascii_glyphs=True)
    app = ClawtopApp(source, clock, options, theme=choose(options.theme, environment), operator=operator)
    app.run(mouse=options.mouse)
    return app.return_code or 0
