"""Problems of this machine that keep clawtop from working properly. Read-only."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from pathlib import Path

from clawtop.core.model import OTHER_OWNER, GatewayState, Problem, Snapshot
from clawtop.store import door
from clawtop.store.place.layout import Layout
from clawtop.store.place.mounts import filesystem, mount_obstacles
from clawtop.text import safe

FEW_INSTANCES = 16


def environment_problems(
    layout: Layout, snapshot: Snapshot, watched: int, *, euid: int | None = None, proc: Path = Path("/proc")
) -> tuple[Problem, ...]:
    """Every finding, each with its place.

    Args:
        watched: how many directories the dashboard would watch.
        euid: the effective user; None: this process's.
        proc: where procfs is mounted.
    """
    return (
        *_other_user(layout.state_dir, os.geteuid() if euid is None else euid),
        *other_owners(layout),
        *_mount(layout.state_dir),
        *_links(layout),
        *_namespace(snapshot),
        *_distrust(snapshot),
        *_inotify(watched, proc / "sys/fs/inotify"),
    )


def foreign_commands(search_path: str) -> tuple[Problem, ...]:
    """Each `clawtop` on the search path that is another program: one on PyPI has the same name.

    A script that an installer made names the module it starts; one that names another module, or is not a script, is
    foreign.
    """
    found: list[Problem] = []
    for directory in dict.fromkeys(part for part in search_path.split(os.pathsep) if part):
        path = Path(directory) / "clawtop"
        if not os.path.isfile(path) or not os.access(path, os.X_OK):  # noqa: PTH113 - False where it may not be looked at
            continue
        head = door.read_head(path, 4096, follow=door.Follow.OPERATOR)
        if b"clawtop.__main__" not in head and b"-m clawtop" not in head:
            what = "is another program of that name; this one is installed as clawtop-tui"
            found.append(Problem("foreign-clawtop", str(path), what))
    return tuple(found)


def _other_user(state_dir: Path, euid: int) -> Iterator[Problem]:
    owner = state_dir.stat().st_uid
    if owner != euid:
        yield Problem(
            "other-user",
            str(state_dir),
            f"belongs to {_user(owner)}, and clawtop runs as {_user(euid)}: nothing is written, and OpenClaw treats"
            " another user's locks as dead",
        )


def other_owners(layout: Layout) -> Iterator[Problem]:
    """Files of the state that belong to another user than the directory: what `sudo openclaw` leaves behind."""
    owner = layout.state_dir.stat().st_uid
    names = ("auth-profiles.json", "auth-state.json", "openclaw-agent.sqlite")
    paths = [layout.config_path]
    for agent in layout.agents:
        paths += [*(agent.agent_dir / name for name in names), agent.sessions_store]
    for path in dict.fromkeys(paths):
        try:
            facts = path.lstat()
        except OSError:
            continue
        if facts.st_uid != owner and not stat.S_ISLNK(facts.st_mode):
            may_read = bool(facts.st_mode & stat.S_IROTH)
            effect = "its gateway cannot change it in place" if may_read else "its gateway cannot read it"
            yield Problem(
                OTHER_OWNER,
                str(path),
                f"belongs to {_user(facts.st_uid)}, while the directory is {_user(owner)}'s: {effect};"
                f" chown {owner} fixes it",
            )


def _user(uid: int) -> str:
    try:
        return f"{safe(pwd.getpwuid(uid).pw_name)} ({uid})"
    except KeyError:
        return f"user {uid}"


def _mount(state_dir: Path) -> Iterator[Problem]:
    for obstacle in mount_obstacles(state_dir):
        yield Problem(
            obstacle,
            str(state_dir),
            f"is on {safe(filesystem(state_dir), 40)}: processes of another host may hold its locks, so no lock is"
            " ever proven stale, and runs on two hosts are not coordinated",
        )


def _links(layout: Layout) -> Iterator[Problem]:
    for agent in layout.agents:
        for directory in (agent.agent_dir, agent.sessions_dir):
            try:
                links = os.pathconf(directory, "PC_LINK_MAX")
            except (OSError, ValueError):
                continue
            if 0 <= links <= 1:
                yield Problem(
                    "no-hard-links",
                    str(directory),
                    "has no hard links: a new lock is empty for a moment, and a crash in that moment jams OpenClaw",
                )


def _namespace(snapshot: Snapshot) -> Iterator[Problem]:
    gateway = snapshot.gateway
    if gateway.state is GatewayState.LIVE and gateway.pid is None:
        yield Problem(
            "other-namespace",
            snapshot.state_dir,
            "its gateway answers, but no visible process owns it: no lock can be proven stale from here",
        )


def _distrust(snapshot: Snapshot) -> Iterator[Problem]:
    why = snapshot.gateway.distrust
    if why is not None:
        text = f"its gateway is not trusted, and nothing is sent to it: {why}"
        yield Problem("gateway-distrusted", snapshot.state_dir, text)


def _inotify(watched: int, limits: Path) -> Iterator[Problem]:
    for name, needed in (("max_user_watches", 2 * watched), ("max_user_instances", FEW_INSTANCES)):
        try:
            limit = int((limits / name).read_text())
        except (OSError, ValueError):
            continue
        if limit < needed:
            yield Problem(
                "inotify-limit",
                f"fs.inotify.{name}",
                f"is {limit}; below {needed}, changes may be noticed late, by polling",
            )
