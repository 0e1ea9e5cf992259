"""One name for one session file on all hosts that share it.

A path differs between hosts, so they use a common name: from a mapping that the operator configured, the source of
a network mount (`server:/export`), or else this machine's identity, which no other host shares.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from clawtop.store.place.mounts import mount_source


def shared_name(path: str, mapping: Mapping[str, str], machine: str) -> str:
    """The name of a canonical path among all hosts.

    Args:
        mapping: directory on this host -> the name that it has on all of them; the longest match counts.
        machine: what distinguishes this machine from others.
    """
    for directory in sorted(mapping, key=len, reverse=True):
        root = os.path.realpath(directory).rstrip("/")
        if path == root or path.startswith(root + "/"):
            return f"{mapping[directory]}:{path[len(root) :]}"
    mount = mount_source(Path(path))
    if mount is not None:
        source, point = mount
        return f"{source}:{path[len(point.rstrip('/')) :]}"
    return f"{machine}:{path}"
