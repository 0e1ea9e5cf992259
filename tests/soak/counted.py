"""`clawtop`, which answers SIGUSR1 with the number of its tasks: `python -m tests.soak.counted FILE WORDS...`."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from pathlib import Path


def count_on_request(place: Path) -> None:
    """From now on each SIGUSR1 is answered; before the event loop runs, not at all."""

    def tell(*_: object) -> None:
        with suppress(RuntimeError):
            place.with_suffix(".new").write_text(str(len(asyncio.all_tasks())))
            place.with_suffix(".new").replace(place)

    signal.signal(signal.SIGUSR1, tell)


if __name__ == "__main__":
    count_on_request(Path(sys.argv.pop(1)))
    from clawtop.__main__ import main

    main()
