"""Three tables: places that clawtop reads or writes, what a stranger may put there, and what an operator then does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from clawtop.store.place.locating import locate
from tests.fuzz.made import state_with_everything
from tests.support.samples import unpacked

PRECIOUS = "precious-content-of-another-file-5d1f"
OTHER_USER = 65534
MANY = 3_000

# --- the world -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class World:
    """What one process sees. `root`: all that it may use; `outside`: what it must neither read nor change."""

    root: Path
    outside: Path

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def state(self) -> Path:
        return self.home / ".openclaw"

    def environment(self) -> dict[str, str]:
        return {"HOME": str(self.home), "TMPDIR": str(self.root / "tmp"), "PATH": os.environ["PATH"], "LANG": "C.UTF-8"}


def made_of_files(world: World) -> None:
    """A state directory of 2026.5.20, with everything around it."""
    world.home.mkdir(parents=True)
    state = state_with_everything(world.home)
    config = json.loads((state / "openclaw.json").read_text())
    config["secrets"] = {"providers": {"vault": {"source": "file", "path": str(state / "vault.json")}}}
    config["models"] = {"providers": {"backupai": {"baseUrl": "http://127.0.0.1:1", "apiKey": _reference("/key")}}}
    (state / "openclaw.json").write_text(json.dumps(config))
    part = json.loads((state / "part.json").read_text())
    part["models"]["providers"]["fakeai"] |= {
        "baseUrl": "https://127.0.0.1:1",
        "request": {"tls": {"ca": str(state / "ca.pem")}},
        "models": [{"id": "m"}],
    }
    (state / "part.json").write_text(json.dumps(part))
    (state / "vault.json").write_text(json.dumps({"key": "sk-vault-0123456789"}))
    (state / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (state / ".env").write_text("FAKEAI_API_KEY=sk-environment-0123456789\n")
    (state / "agents/main/agent/models.json").write_text(json.dumps({"providers": {}}))
    (state / "agents/main/sessions/x.jsonl").write_text('{"type": "session", "id": "x"}\n')
    (state / "credentials").mkdir()
    _around(world)


def made_of_databases(world: World) -> None:
    """A state directory of 2026.9.6, as it was while its gateway ran."""
    found = unpacked("2026.9.6", "running", world.root / "unpacked")
    world.home.mkdir()
    found.state_dir.rename(world.state)
    shutil.rmtree(world.root / "unpacked")
    _around(world)


def _reference(pointer: str) -> dict[str, str]:
    return {"source": "file", "provider": "vault", "id": pointer}


def _around(world: World) -> None:
    uid = os.getuid()
    own = world.home / ".config/clawtop"
    own.mkdir(parents=True)
    (own / "config.toml").write_text('theme = "lobster"\n')
    (own / "hosts.toml").write_text('[hosts.a]\nssh = "a.invalid"\n')
    for name in (
        f"tmp/openclaw-{uid}",
        f"system/openclaw-{uid}",
        "system/openclaw",
        f"system/openclaw-state-locks-{uid}",
    ):
        (world.root / name).mkdir(parents=True)
    layout = locate(world.state, env=world.environment(), home=world.home)
    lock = {"pid": os.getpid(), "createdAt": "2026-11-20T00:00:00.000Z", "configPath": str(layout.config_path)}
    (world.root / f"tmp/openclaw-{uid}" / layout.gateway_lock_names[0]).write_text(json.dumps(lock))
    (world.root / "system/openclaw/openclaw-2026-11-20.log").write_text("{}\n")
    (world.root / "named").mkdir()
    (world.root / "named/it").write_text("a file\n")


def outside_made(outside: Path) -> None:
    """What no link and no name may lead to."""
    (outside / "folder").mkdir(parents=True)
    for path in (outside / "precious", outside / "folder/precious"):
        path.write_text(f"{PRECIOUS}\n")


# --- places ----------------------------------------------------------------------------------------------------------

LINKED = frozenset(
    {
        "state directory",
        "configuration",
        "included configuration",
        "agents",
        "agent",
        "agent directory",
        "sessions",
        "credentials of accounts",
        "state of accounts",
        "session list",
        "logs",
        "gateway locks",
        "system's gateway locks",
        "lifecycle locks",
        "environment file",
        "vault",
        "authority",
        "model list",
        "log",
        "settings",
        "own settings",
        "hosts",
        "argument",
    }
)
"""Places that an operator may link on purpose: what stands there may be read, and nothing else."""

FILES: Mapping[str, str] = {
    "state directory": "home/.openclaw",
    "configuration": "home/.openclaw/openclaw.json",
    "included configuration": "home/.openclaw/part.json",
    "environment file": "home/.openclaw/.env",
    "vault": "home/.openclaw/vault.json",
    "authority": "home/.openclaw/ca.pem",
    "oauth": "home/.openclaw/credentials",
    "agents": "home/.openclaw/agents",
    "agent": "home/.openclaw/agents/main",
    "agent directory": "home/.openclaw/agents/main/agent",
    "credentials of accounts": "home/.openclaw/agents/main/agent/auth-profiles.json",
    "state of accounts": "home/.openclaw/agents/main/agent/auth-state.json",
    "store's lock": "home/.openclaw/agents/main/agent/auth-profiles.json.lock",
    "model list": "home/.openclaw/agents/main/agent/models.json",
    "sessions": "home/.openclaw/agents/main/sessions",
    "session list": "home/.openclaw/agents/main/sessions/sessions.json",
    "session list's lock": "home/.openclaw/agents/main/sessions/sessions.json.lock",
    "transcript": "home/.openclaw/agents/main/sessions/x.jsonl",
    "held transcript": "home/.openclaw/agents/main/sessions/main.jsonl",
    "session lock": "home/.openclaw/agents/main/sessions/main.jsonl.lock",
    "another session lock": "home/.openclaw/agents/main/sessions/x.jsonl.lock",
    "trajectory": "home/.openclaw/agents/main/sessions/main.trajectory.jsonl",
    "log": "home/.openclaw/gateway.log",
    "logs": "home/.openclaw/logs",
    "configuration's health": "home/.openclaw/logs/config-health.json",
    "clawtop": "home/.openclaw/clawtop",
    "journal": "home/.openclaw/clawtop/journal.jsonl",
    "journal's lock": "home/.openclaw/clawtop/journal.lock",
    "marks": "home/.openclaw/clawtop/marks",
    "a mark": "home/.openclaw/clawtop/marks/*.json",
    "holders": "home/.openclaw/clawtop/holders",
    "a holder": "home/.openclaw/clawtop/holders/*.json",
    "a holder's lock": "home/.openclaw/clawtop/holders/*.lock",
    "processes": "home/.openclaw/clawtop/holders/processes",
    "a process": "home/.openclaw/clawtop/holders/processes/*.lock",
    "accounts": "home/.openclaw/clawtop/accounts.json",
    "accounts' lock": "home/.openclaw/clawtop/accounts.lock",
    "session entries' lock": "home/.openclaw/clawtop/sessions.lock",
    "recordings": "home/.openclaw/clawtop/recordings",
    "settings": "home/.config/clawtop/config.toml",
    "own settings": "home/.config/clawtop",
    "hosts": "home/.config/clawtop/hosts.toml",
    "argument": "named/it",
    "gateway locks": "tmp/openclaw-*",
    "gateway lock": "tmp/openclaw-*/gateway.*.lock",
    "system's gateway locks": "system/openclaw-[0-9]*",
    "system's logs": "system/openclaw",
    "a daily log": "system/openclaw/openclaw-2026-11-20.log",
    "lifecycle locks": "system/openclaw-state-locks-*",
}
"""Where things are put, below `World.root`."""

DATABASES: Mapping[str, str] = {
    "state database": "home/.openclaw/state/openclaw.sqlite",
    "its log": "home/.openclaw/state/openclaw.sqlite-wal",
    "its index": "home/.openclaw/state/openclaw.sqlite-shm",
    "its journal": "home/.openclaw/state/openclaw.sqlite-journal",
    "databases": "home/.openclaw/state",
    "agent's database": "home/.openclaw/agents/main/agent/openclaw-agent.sqlite",
    "agent's log": "home/.openclaw/agents/main/agent/openclaw-agent.sqlite-wal",
    "agent's index": "home/.openclaw/agents/main/agent/openclaw-agent.sqlite-shm",
    "own temporary files": "home/.openclaw/tmp",
    "state lock": "home/.openclaw/tmp/openclaw-*/gateway.state.lock",
    "kernel lock": "home/.openclaw/tmp/openclaw-*/gateway.state.lock.sqlite",
}
MAY_LINK_DATABASES = frozenset({"state database", "agent's database", "databases", "own temporary files"})

# --- things ----------------------------------------------------------------------------------------------------------

Put = Callable[[Path, World], None]


def pipe(path: Path, _world: World) -> None:
    os.mkfifo(path)


def a_socket(path: Path, _world: World) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket may have 107 bytes
        server.bind(path.name)
        os.chdir(here)


def device(path: Path, _world: World) -> None:
    """Endless zeros; PermissionError without root."""
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(1, 5))


def link_to_zeros(path: Path, _world: World) -> None:
    path.symlink_to("/dev/zero")


def link_to_full(path: Path, _world: World) -> None:
    path.symlink_to("/dev/full")


def link_to_terminal(path: Path, _world: World) -> None:
    path.symlink_to("/dev/tty")


def link_to_nowhere(path: Path, world: World) -> None:
    path.symlink_to(world.outside / "made")


def link_to_a_file(path: Path, world: World) -> None:
    path.symlink_to(world.outside / "precious")


def link_to_a_folder(path: Path, world: World) -> None:
    path.symlink_to(world.outside / "folder")


def ring(path: Path, _world: World) -> None:
    path.symlink_to(path)


def ring_of_two(path: Path, _world: World) -> None:
    other = path.with_name(f"{path.name}.other")
    path.symlink_to(other)
    other.symlink_to(path)


def chain_of_links(path: Path, _world: World) -> None:
    names = [path, *(path.with_name(f"{path.name}.{number}") for number in range(60))]
    for name, following in pairwise(names):
        name.symlink_to(following)


def second_name(path: Path, world: World) -> None:
    os.link(world.outside / "precious", path)


def folder(path: Path, _world: World) -> None:
    path.mkdir()


def crowd(path: Path, _world: World) -> None:
    path.mkdir()
    for number in range(MANY):
        (path / f"{number}{path.suffix or '.jsonl'}").touch()


def nested_folders(path: Path, _world: World) -> None:
    path.joinpath(*["d"] * 300).mkdir(parents=True)


def empty(path: Path, _world: World) -> None:
    path.touch()


def huge(path: Path, _world: World) -> None:
    with path.open("wb") as file:
        file.truncate(5 << 30)


def long_line(path: Path, _world: World) -> None:
    path.write_bytes(b'{"a": "' + b"x" * (8 << 20))


def deep(path: Path, _world: World) -> None:
    path.write_bytes(b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}\n")


def nonsense(path: Path, _world: World) -> None:
    path.write_bytes(b"\x1b[2J\x00\xff\x9b31m\r\n{[\n" * 100)


def anothers(path: Path, _world: World) -> None:
    """Another user's file; PermissionError without root."""
    path.write_text("{}\n")
    os.chown(path, OTHER_USER, OTHER_USER)


def closed(path: Path, _world: World) -> None:
    path.write_text("{}\n")
    path.chmod(0)


THINGS: tuple[Put, ...] = (
    pipe,
    a_socket,
    device,
    link_to_zeros,
    link_to_full,
    link_to_terminal,
    link_to_nowhere,
    link_to_a_file,
    link_to_a_folder,
    ring,
    ring_of_two,
    chain_of_links,
    second_name,
    folder,
    crowd,
    nested_folders,
    empty,
    huge,
    long_line,
    deep,
    nonsense,
    anothers,
    closed,
)
FOLLOWED = frozenset({"link_to_a_file", "link_to_a_folder", "link_to_nowhere", "second_name"})
"""They lead outside."""

READABLE_FOLDERS = frozenset({"folder", "crowd", "nested_folders", "link_to_a_folder"})
"""Where a folder is expected, nothing is wrong with them but that other things are in them."""

NEEDS_ROOT = frozenset({"device", "anothers"})


def put(thing: Put, path: Path, world: World) -> None:
    """Replace what stands at `path`."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    thing(path, world)


# --- verbs -----------------------------------------------------------------------------------------------------------

_CHANGES = ("--yes", "--wait", "1", "--verify", "0")
"""A second is enough to remove the lock of a store whose owner is dead."""

VERBS: Mapping[str, tuple[str, ...]] = {
    "status": ("status",),
    "status --json": ("status", "--json"),
    "doctor": ("doctor",),
    "bundle": ("bundle", "--out", "-"),
    "clear": ("clear", "PROFILE", *_CHANGES),
    "rotate": ("rotate", "PROVIDER", *_CHANGES),
    "order": ("order", "PROVIDER", "--reset", *_CHANGES),
    "undo": ("undo", *_CHANGES),
    "unlock": ("unlock", "SESSION", *_CHANGES),
    "unlock a path": ("unlock", "PLACE", *_CHANGES),
    "drain": ("drain", "SESSION", "--yes", "--deadline", "0.2", "--still", "0.1"),
    "drain --fresh": ("drain", "FREE", "--yes", "--fresh", "--deadline", "0.2", "--still", "0.1"),
    "drain --resume": ("drain", "--resume", "1", "--yes"),
    "recover": ("recover", "SESSION", "--yes", "--wait", "0"),
    "drive": ("drive", "--session", "FREE", "--message", "x", "--timeout", "2", "--on-contention", "raise"),
    "drive a path": ("drive", "--session", "PLACE", "--message", "x", "--timeout", "2", "--on-contention", "raise"),
    "drive --new": ("drive", "--session", "agent:main:n", "--new", "--message", "x", "--timeout", "2"),
    "drive --list": ("drive", "--list"),
    "batch": ("drive", "--batch", "PLACE"),
    "probe": ("probe", "--provider", "PROVIDER"),
    "explain": ("explain", "profile", "PROFILE"),
    "export": ("export", "--once", "--textfile", "ROOT/tmp/clawtop.prom"),
    "record": ("record", "--out", "ROOT/tmp/r.clawtop", "--seconds", "0.01"),
    "record to a path": ("record", "--out", "PLACE", "--seconds", "0.01"),
    "replay": ("replay", "PLACE", "--plain"),
    "receipt": ("receipt", "1"),
    "config": ("config",),
    "config --set": ("config", "--set", "theme=plain"),
    "unpin": ("unpin", "SESSION", "--yes"),
    "fleet": ("fleet", "status", "--hosts", "ROOT/home/.config/clawtop/hosts.toml", "--wait", "0"),
}
"""PLACE: where the thing stands. PROFILE, PROVIDER, SESSION (held), FREE: of the state directory."""

WRITES_THERE = frozenset({"record to a path", "batch", "replay", "drive a path", "unlock a path"})
"""Here PLACE is what the operator names, who may name a link."""
