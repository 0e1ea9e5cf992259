"""`clawtop bundle`: one file with everything about an incident, to paste into an issue or to replay."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from clawtop.core.model import Snapshot


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument(
        "--out", metavar="FILE", help="the file to write (default: clawtop-incident-TIME.md here); - is stdout"
    )
    parser.add_argument("--json", action="store_true", help="print the file's path and size as JSON")


def save(snapshot: Snapshot, now: int) -> str:
    """Write an incident file into the current directory, else the home directory; its path.

    Raises:
        OperationFailedError: neither takes it.
    """
    from clawtop.errors import OperationFailedError

    text = incident_file(snapshot, now)
    name = default_name(now)
    try:
        return str(_written(Path.cwd() / name, text))
    except OperationFailedError:
        return str(_written(Path.home() / name, text))


def incident_file(snapshot: Snapshot, now: int) -> str:
    """The text of an incident file. `now` (ms since the epoch): what the state is judged by."""
    from clawtop import __version__
    from clawtop.store.own.bundle import bundle_text, versions
    from clawtop.view.incident_text import incident_text

    return bundle_text(incident_text(snapshot, now, versions(snapshot, __version__)), snapshot, __version__)


def _written(path: Path, text: str) -> Path:
    from clawtop.store.own.bundle import write_bundle

    write_bundle(path, text)
    return path


def run(args: argparse.Namespace) -> int:
    """Write the file and say where. Exit 0; 3 when the state cannot be read or the file not written."""
    from clawtop.cli.common import load_whole_incident

    snapshot = load_whole_incident(args)
    now = snapshot.as_of
    text = incident_file(snapshot, now)
    if args.out == "-":
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        return 0
    path = _written(Path(args.out or default_name(now)), text)
    if args.json:
        import json

        print(json.dumps({"schema": 1, "file": str(path.absolute()), "bytes": path.stat().st_size, "at": now}))
    else:
        from clawtop.text import safe

        print(f"wrote {safe(str(path))}: paste it into an issue, or open it with clawtop replay")
    return 0


def default_name(now: int) -> str:
    """The file's name for an incident at `now` (ms since epoch)."""
    return f"clawtop-incident-{datetime.fromtimestamp(now / 1000, UTC):%Y%m%dT%H%M%SZ}.md"
