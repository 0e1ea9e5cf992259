"""The processes below another one, and what they take."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from clawtop.store.locks.processes import psutil_module
from clawtop.store.locks.procfs import PARENT, RSS_PAGES, kernel_bytes, stat_fields
from clawtop.values import dataclass

_MOST = 2_000
"""A process with more descendants than this is not one whose children say anything."""


@dataclass(frozen=True, slots=True)
class Descendant:
    """A process below another one. `memory`: resident bytes."""

    pid: int
    parent: int
    memory: int


def descendants(pid: int, proc: Path | None) -> tuple[Descendant, ...]:
    """Every process below `pid`, each after its parent. `proc`: where procfs is mounted; None: ask psutil.

    Raises OSError if the process cannot be seen.
    """
    if proc is None:
        return _by_psutil(pid)
    os.stat(f"{proc}/{pid}")  # noqa: PTH116 - raises where it is gone
    page = os.sysconf("SC_PAGE_SIZE")
    try:
        children = _by_lists(pid, proc)
    except FileNotFoundError:  # a kernel without CONFIG_PROC_CHILDREN
        children = _by_search(proc)
    found: list[Descendant] = []
    waiting = [pid]
    while waiting and len(found) < _MOST:
        parent = waiting.pop(0)
        for child in children.get(parent, ()):
            try:
                fields = stat_fields(f"{proc}/{child}")
                found.append(Descendant(child, parent, int(fields[RSS_PAGES]) * page))
            except (OSError, ValueError, IndexError):
                continue  # gone
            waiting.append(child)
    return tuple(found)


def _by_lists(pid: int, proc: Path) -> dict[int, list[int]]:
    """Parent -> children, of everything below `pid`. Raises FileNotFoundError if the kernel keeps no lists."""
    found: dict[int, list[int]] = {}
    waiting = [pid]
    while waiting and len(found) < _MOST:
        parent = waiting.pop()
        words: list[bytes] = []
        threads = os.listdir(f"{proc}/{parent}/task") if parent == pid else _threads(parent, proc)  # noqa: PTH208
        for thread in threads:
            try:
                words += kernel_bytes(f"{proc}/{parent}/task/{thread}/children", 65_536).split()
            except FileNotFoundError:
                if parent == pid and os.path.exists(f"{proc}/{parent}/task/{thread}/stat"):  # noqa: PTH110 - a number
                    raise
            except OSError:
                continue
        found[parent] = [int(word) for word in words]
        waiting += found[parent]
    return found


def _threads(pid: int, proc: Path) -> list[str]:
    try:
        return os.listdir(f"{proc}/{pid}/task")  # noqa: PTH208 - names only
    except OSError:
        return []


def _by_search(proc: Path) -> dict[int, list[int]]:
    found: dict[int, list[int]] = {}
    for name in os.listdir(proc):  # noqa: PTH208 - thousands of names
        if not name.isdigit():
            continue
        try:
            found.setdefault(int(stat_fields(f"{proc}/{name}")[PARENT]), []).append(int(name))
        except (OSError, ValueError, IndexError):
            continue
    return found


def _by_psutil(pid: int) -> tuple[Descendant, ...]:
    psutil = psutil_module()
    try:
        return tuple(_below(psutil.Process(pid)))
    except psutil.Error as error:
        raise ProcessLookupError(pid) from error


def _below(process: object) -> Iterator[Descendant]:
    psutil = psutil_module()
    for child in process.children(recursive=True):  # type: ignore[attr-defined]
        try:
            yield Descendant(child.pid, child.ppid(), int(child.memory_info().rss))
        except psutil.Error:
            continue
