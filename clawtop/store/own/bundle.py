"""The incident file: text for people with a recording embedded, which `clawtop replay` can open."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from clawtop.core.model import Snapshot
from clawtop.errors import OperationFailedError
from clawtop.redaction import masked
from clawtop.store import door
from clawtop.store.own.recording import Encoder, embedding
from clawtop.text import safe

LIBRARIES = ("textual", "httpx", "watchfiles", "filelock", "pydantic", "psutil")


def versions(snapshot: Snapshot, clawtop_version: str) -> tuple[tuple[str, str], ...]:
    """What ran where: clawtop, OpenClaw, Python, the system, the libraries."""
    installed = []
    for library in LIBRARIES:
        try:
            installed.append((library, metadata.version(library)))
        except metadata.PackageNotFoundError:
            installed.append((library, "not installed"))
    generation = f" (generation {snapshot.generation})" if snapshot.generation else ""
    return (
        ("clawtop", clawtop_version),
        ("openclaw", (snapshot.openclaw_version or "unknown") + generation),
        ("python", platform.python_version()),
        ("system", f"{platform.system()} {platform.release()} {platform.machine()}"),
        *installed,
    )


def bundle_text(text: str, snapshot: Snapshot, clawtop_version: str) -> str:
    """The whole file: `text` for people, then the recording of `snapshot` and its events."""
    encoder = Encoder(started_at=snapshot.taken_at, clawtop_version=clawtop_version)
    content = encoder.add(snapshot) + encoder.finished()
    return (
        f"{masked(text)}\n## Recording\n\n<details><summary>Open it with <code>clawtop replay FILE</code></summary>\n\n"
        f"~~~~text\n{embedding(content)}\n~~~~\n\n</details>\n"
    )


def write_bundle(path: Path, text: str) -> None:
    """Write a new file, mode 0600. Raises OperationFailedError when it exists or cannot be written."""
    name = safe(str(path), 200)
    try:
        with door.closing(door.create(path)) as descriptor:
            door.write_all(descriptor, text.encode("utf-8", "backslashreplace"))
    except FileExistsError as error:
        raise OperationFailedError(f"{name} exists already", unchanged="it was left unchanged") from error
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise OperationFailedError(f"cannot write {name}: {why}", unchanged="the incident was not saved") from error
