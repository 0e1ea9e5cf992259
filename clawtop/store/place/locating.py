"""Finds the state directory, its agents and its locks by OpenClaw's own rules (docs/formats.md 1)."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clawtop.clock import SystemClock
from clawtop.core.generations import newest_version
from clawtop.core.model import AGENTS_UNREAD, Problem
from clawtop.errors import StateUnreadableError
from clawtop.store import config as config_file
from clawtop.store.config import ConfigRead, read_config
from clawtop.store.json_text import Stamp, stamp_of
from clawtop.store.place import temporary
from clawtop.store.place.copies import FORMER_NAMES, copied_tmp, directories, foreign_roots, former_names
from clawtop.store.place.databases import AGENT_DATABASE, STATE_DATABASE, written_by
from clawtop.store.place.generation import Detected, detect, recorded_version
from clawtop.store.place.layout import MAIN_AGENT, AgentPaths, Layout
from clawtop.store.sqlite.pool import Databases
from clawtop.store.ways import NotAllowedError, check_way, named_by
from clawtop.text import safe

CONFIG_NAMES = ("openclaw.json", "clawdbot.json", "moldbot.json")


def locate(
    state_dir: str | Path | None = None,
    *,
    env: Mapping[str, str],
    home: Path,
    uids: tuple[int, ...] | None = None,
    last_config: ConfigRead | None = None,
    databases: Databases | None = None,
) -> Layout:
    """Find the state directory and what belongs to it.

    Args:
        state_dir: named by the operator; else the environment and OpenClaw's defaults decide.
        env: the environment that OpenClaw is assumed to run in.
        last_config: the last reading of the configuration, which stays in force while the file cannot be read.
        databases: the open ones to use; None: they are opened and closed again.
        uids: users whose gateway may serve the directory; default: the owner of the directory and this user.

    Raises:
        StateUnreadableError: there is none, or it is not a readable directory; names what was tried.
    """
    base_home = _home(env, home)
    automatic = _automatic(env, base_home)
    chosen = automatic if state_dir is None else Path(os.path.abspath(Path(state_dir).expanduser()))  # noqa: PTH100
    own = _listing(chosen, automatic if state_dir is None else None)
    follows_env = state_dir is None or os.path.realpath(chosen) == os.path.realpath(automatic)
    path = _config_path(chosen, env, base_home, follows_env=follows_env)
    roots = tuple(
        _user_path(part, base_home) for part in env.get("OPENCLAW_INCLUDE_ROOTS", "").split(os.pathsep) if part
    )
    config = _config_in_force(read_config(path, include_roots=roots), last_config)
    agents_root = chosen / "agents"
    names = directories(agents_root) if "agents" in own and _closed_way(agents_root) is None else ()
    foreign = foreign_roots(chosen, path, names)
    draft = Layout(chosen, path, config, foreign_roots=foreign)
    agents = _agents(draft, names, env, base_home, follows_env=follows_env)
    main_dir = next((agent.agent_dir for agent in agents if agent.id == MAIN_AGENT), agents_root / MAIN_AGENT / "agent")
    agent_dirs = list(dict.fromkeys((main_dir, *(agent.agent_dir for agent in agents))))
    found, version = _proof(chosen, agent_dirs, config, _seen_version(agents), databases)
    return Layout(
        state_dir=chosen,
        config_path=path,
        config=config,
        agents=agents,
        main_agent_dir=main_dir,
        lock_dirs=_lock_dirs(chosen, env, foreign, uids),
        gateway_lock_names=_lock_names(path, foreign),
        foreign_roots=foreign,
        generation=found.generation,
        version=version,
        generation_how=found.how,
        writable_generation=found.proven,
        problems=tuple(_problems(chosen, config, agents, found)),
    )


def _config_in_force(read: ConfigRead, last: ConfigRead | None) -> ConfigRead:
    """What was read; the last reading while the same file cannot be read."""
    if read.raw is None and read.problems and last is not None and last.path == read.path:
        return replace(last, problems=read.problems, stamps=read.stamps)
    return read


def _proof(
    state_dir: Path, agent_dirs: Sequence[Path], config: ConfigRead, seen: str | None, databases: Databases | None
) -> tuple[Detected, str | None]:
    """The generation, and the newest version that configuration, databases or else what was `seen` tell of."""
    pool = Databases(SystemClock()) if databases is None else databases
    try:
        found = detect(state_dir, agent_dirs, config.last_touched_version, seen, pool)
        return found, newest_version(config.last_touched_version, written_by(state_dir, agent_dirs, pool)) or seen
    finally:
        if databases is None:
            pool.close()


def _problems(state_dir: Path, config: ConfigRead, agents: Sequence[AgentPaths], found: Detected) -> Iterator[Problem]:
    yield from config.problems
    place = state_dir / "agents"
    if os.path.lexists(place) and not place.is_dir():
        yield Problem(AGENTS_UNREAD, str(place), "is not a directory: agents, accounts and sessions are not seen")
    elif (closed := _closed_way(place)) is not None:
        yield Problem(AGENTS_UNREAD, str(place), f"{closed}: agents, accounts and sessions are not seen")
    if not agents and not config.exists:
        yield Problem("empty-state-dir", str(state_dir), "holds neither openclaw.json nor agents")
    elif found.generation is None or not found.proven:
        yield Problem("generation-guessed", str(state_dir), f"{found.how}; clawtop writes nothing there")


def _closed_way(directory: Path) -> str | None:
    """Why nothing in a directory may be read: for root, where another user's link leads to what is closed to them."""
    try:
        check_way(directory / "anything")
    except NotAllowedError as error:
        return error.strerror
    return None


def layout_stamps(layout: Layout) -> dict[Path | str, Stamp | None]:
    """What must be unchanged for a layout to stay valid."""
    watched: tuple[Path | str, ...] = (layout.state_dir, layout.state_dir / "agents", *layout.config.stamps)
    stamps = {path: stamp_of(path) for path in watched}
    stores = [layout.state_dir / STATE_DATABASE]
    stores += (
        agent.agent_dir / name
        for agent in layout.agents
        for name in ("auth-profiles.json", "auth-state.json", AGENT_DATABASE)
    )
    for path in stores:
        # A proven generation changes with the files that are there, a guessed one with what they hold.
        stamp = stamp_of(path)
        stamps[path] = stamp and (_THERE if layout.writable_generation else stamp)
    return stamps


_THERE = Stamp(0, 0, 0)


# --- the state directory and the configuration -------------------------------------------------------------------


def _home(env: Mapping[str, str], home: Path) -> Path:
    explicit = env.get("OPENCLAW_HOME", "").strip()
    if explicit in {"", "undefined", "null"}:
        return home
    return _user_path(explicit, home)


def expanded(path: str, env: Mapping[str, str], home: Path) -> str:
    """A path of the configuration with `~` as OpenClaw reads it."""
    return str(_user_path(path, _home(env, home))) if path.startswith("~") else path


def _user_path(value: str, home: Path) -> Path:
    word = value.strip()
    if word == "~" or word.startswith("~/"):
        word = str(home) + word[1:]
    return Path(os.path.abspath(word))  # noqa: PTH100 - lexical, as OpenClaw resolves it


def _automatic(env: Mapping[str, str], home: Path) -> Path:
    """The directory that OpenClaw takes. `OPENCLAW_PROFILE` alone moves none (2026.3.28 to 2026.9.6): its `--profile`
    option does, by setting `OPENCLAW_STATE_DIR`.
    """
    override = env.get("OPENCLAW_STATE_DIR", "").strip()
    if override:
        return _user_path(override, home)
    usual = home / ".openclaw"
    legacy = next((home / name for name in FORMER_NAMES if _is_there(home / name)), None)
    return legacy if legacy is not None and not _is_there(usual) else usual


def _is_there(path: Path) -> bool:
    """Whether the path exists; an inaccessible one does not (Path.exists would raise)."""
    return os.path.exists(path)  # noqa: PTH110


def _listing(state_dir: Path, automatic: Path | None) -> set[str]:
    try:
        return set(os.listdir(state_dir))  # noqa: PTH208 - names only
    except FileNotFoundError:
        title = f"there is no state directory {safe(state_dir)}"
    except NotADirectoryError:
        title = f"{safe(state_dir)} is not a directory"
    except PermissionError:
        title = f"the state directory {safe(state_dir)} cannot be read by this user"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "not a usable path"
        title = f"the state directory {safe(state_dir)} cannot be read ({reason})"
    tried = "tried OPENCLAW_STATE_DIR, ~/.openclaw, ~/.clawdbot and ~/.moldbot; " if automatic else ""
    raise StateUnreadableError(title, hint=f"{tried}name {'one' if tried else 'another one'} with --state-dir")


def _config_path(state_dir: Path, env: Mapping[str, str], home: Path, *, follows_env: bool) -> Path:
    override = env.get("OPENCLAW_CONFIG_PATH", "").strip()
    existing = next((state_dir / name for name in CONFIG_NAMES if _is_there(state_dir / name)), None)
    if override and (follows_env or existing is None):
        return _user_path(override, home)
    return existing or state_dir / CONFIG_NAMES[0]


# --- agents ------------------------------------------------------------------------------------------------------


def _agents(
    draft: Layout, names: tuple[str, ...], env: Mapping[str, str], home: Path, *, follows_env: bool
) -> tuple[AgentPaths, ...]:
    """Configured agents first, in their order; then every other one that has a directory."""
    configured = config_file.agents(draft.config)
    models = config_file.default_models(draft.config)
    known = {agent.id for agent in configured}
    others = [name for name in names if name not in known]
    if draft.config.exists and not known and MAIN_AGENT not in names:
        others.insert(0, MAIN_AGENT)
    override = env.get("OPENCLAW_AGENT_DIR", "").strip() or env.get("PI_CODING_AGENT_DIR", "").strip()
    main_override = _user_path(override, home) if override and follows_env else None
    agents = [
        replace(
            _placed(draft, agent.id, agent.agent_dir, home, main_override),
            is_default=agent.is_default,
            models=agent.models,
            heartbeat_isolated=agent.heartbeat_isolated,
            name=agent.name,
        )
        for agent in configured
    ]
    agents += [
        replace(
            _placed(draft, name, None, home, main_override),
            is_default=not known and name == MAIN_AGENT,
            configured=not known,
            models=models,
        )
        for name in others
    ]
    return tuple(agents)


def _placed(
    draft: Layout, agent: str, configured_dir: str | None, home: Path, main_override: Path | None
) -> AgentPaths:
    own = draft.state_dir / "agents" / agent
    agent_dir = own / "agent"
    if configured_dir is not None:
        wanted = _user_path(configured_dir, home)
        agent_dir = draft.map_path(str(wanted)) or agent_dir
    elif agent == MAIN_AGENT and main_override is not None:
        agent_dir = main_override
    store = own / "sessions" / "sessions.json"
    if draft.config.session_store is not None:
        wanted = _user_path(draft.config.session_store.replace("{agentId}", agent), home)
        store = draft.map_path(str(wanted)) or store
    for place in (agent_dir, store.parent):
        if not place.is_relative_to(draft.state_dir):
            named_by(place, draft.state_dir.stat().st_uid)
    older = tuple(
        draft.state_dir.parent / name / "agents" / agent / "sessions" for name in former_names(draft.state_dir)
    )
    return AgentPaths(agent, agent_dir, store.parent, store, older_sessions=older)


def _seen_version(agents: tuple[AgentPaths, ...]) -> str | None:
    """The version in the newest trajectory of the first agent that has one."""
    for agent in agents:
        newest: tuple[int, str] | None = None
        try:
            with os.scandir(agent.sessions_dir) as entries:
                for entry in entries:
                    if entry.name.endswith(".trajectory.jsonl") and entry.is_file(follow_symlinks=False):
                        candidate = (entry.stat(follow_symlinks=False).st_mtime_ns, entry.path)
                        newest = max(newest, candidate) if newest else candidate
        except OSError:
            continue
        version = recorded_version(Path(newest[1])) if newest else None
        if version:
            return version
    return None


# --- gateway locks -----------------------------------------------------------------------------------------------


def _lock_dirs(
    state_dir: Path, env: Mapping[str, str], foreign: tuple[str, ...], uids: tuple[int, ...] | None
) -> tuple[Path, ...]:
    if uids is None:
        try:
            uids = (state_dir.stat().st_uid, os.getuid())
        except OSError:
            uids = (os.getuid(),)
    # The service may have no TMPDIR where the operator's shell has one, and vice versa.
    roots = [temporary.node_temporary(env), state_dir / "tmp", temporary.SYSTEM]
    places = [root / f"openclaw-{uid}" for root in roots for uid in uids]
    if foreign:
        for root in (state_dir / "tmp", copied_tmp(state_dir)):
            if root is not None:
                places += [root / name for name in directories(root) if name.startswith("openclaw-")]
    return tuple(dict.fromkeys(places))


def _lock_names(config_path: Path, foreign: tuple[str, ...]) -> tuple[str, ...]:
    """`gateway.<first 8 hex digits of the config path's SHA-256>.lock`, for every way to write the path."""
    paths = [str(config_path), os.path.realpath(config_path), *(f"{root}/{config_path.name}" for root in foreign)]
    hashes = (hashlib.sha256(os.fsencode(path)).hexdigest()[:8] for path in paths)
    return tuple(dict.fromkeys(f"gateway.{digest}.lock" for digest in hashes))
