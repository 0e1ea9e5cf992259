"""Golden files: what a screen shows, as text, reviewed like code. `CLAWTOP_GOLDEN=write` rewrites them."""

from __future__ import annotations

import os
from pathlib import Path


def assert_golden(path: Path, text: str) -> None:
    """Fail when `text` differs from the file; a missing file is a failure too."""
    if os.environ.get("CLAWTOP_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert path.exists(), f"no golden file {path.name}; write it with CLAWTOP_GOLDEN=write and look at it"
    assert text == path.read_text()
