"""`clawtop drive` that freezes itself (SIGSTOP) at one place of writing its answer: `PLACE WORDS...`.

Places: "before" the check that precedes the append, "at" the append itself, between that check and the line, and
"after" the line, before the check that follows it.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from clawtop.engine.drive import attempt
from clawtop.engine.prompt.holder import HeldPrompt

LAST_CHECK = 2
"""The first check is the one before the prompt is sent."""


def freeze() -> None:
    os.kill(os.getpid(), signal.SIGSTOP)


def freeze_at(place: str) -> None:
    """From now on this process freezes there, once."""
    writing: Any = attempt
    holding: Any = HeldPrompt
    append: Callable[..., Any] = writing.append
    check: Callable[[HeldPrompt], Awaitable[None]] = holding.assert_held
    checks = 0

    def frozen_append(*words: Any, **options: Any) -> Any:
        if place == "at":
            freeze()
        found = append(*words, **options)
        if place == "after":
            freeze()
        return found

    async def frozen_check(holder: HeldPrompt) -> None:
        nonlocal checks
        checks += 1
        if place == "before" and checks == LAST_CHECK:
            freeze()
        await check(holder)

    writing.append = frozen_append
    holding.assert_held = frozen_check


if __name__ == "__main__":
    freeze_at(sys.argv.pop(1))
    from clawtop.__main__ import main

    main()
