"""`clawtop bundle`: one file with everything about an incident, to paste into an issue or to replay."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, datetime
from pathlib import Path


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the verb."""
    parser.add_argument("--out", metavar="FILE", help="where to (default: clawtop-incident-TIME.md here); - is stdout")
    parser.add_argument("--json", action="store_true", help="print what was written as JSON")


def run(args: argparse.Namespace) -> int:
    """Write the file and say where. Exit 0; 3 when the state cannot be read or the file not written."""
    from clawtop import __version__
    from clawtop.cli.common import judged_at, load_incident
    from clawtop.store.bundle import bundle_text, versions, write_bundle
    from clawtop.view.incident_text import incident_lines

    snapshot = load_incident(args)
    now = judged_at(snapshot)
    text = bundle_text(incident_lines(snapshot, now, versions(snapshot, __version__)), snapshot, __version__)
    if args.out == "-":
        sys.stdout.write(text.encode("utf-8", "backslashreplace").decode("utf-8"))
        return 0
    path = Path(args.out) if args.out else Path(default_name(now))
    write_bundle(path, text)
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
