"""Where OpenClaw keeps locks and logs outside its state directory: Node's temporary directory, and `/tmp` itself."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

SYSTEM = Path("/tmp")  # noqa: S108 - OpenClaw's own place for logs and lifecycle locks, and Node's default
"""Read by the module's name wherever it is needed, so that tests have one of their own."""


def node_temporary(environ: Mapping[str, str]) -> Path:
    """Node's `os.tmpdir()` in this environment."""
    named = next((environ[name] for name in ("TMPDIR", "TMP", "TEMP") if environ.get(name)), None)
    return SYSTEM if named is None else Path(named.rstrip("/") or "/")
