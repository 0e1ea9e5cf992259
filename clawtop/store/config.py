"""openclaw.json: JSON5 with `$include`, summarised; the parsed original never leaves the store."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any

from clawtop.core.generations import semantics_of, storage_of
from clawtop.core.locks.limits import lock_limits
from clawtop.core.model import (
    AuthConfig,
    ConfigProfile,
    ConfigSummary,
    CooldownConfig,
    Generation,
    ModelRef,
    Problem,
)
from clawtop.core.session.attention import thresholds
from clawtop.nested import mapping
from clawtop.patterns import regex
from clawtop.redaction import remember_secrets
from clawtop.store.door import is_path
from clawtop.store.json_text import MEGABYTE, Stamp, UnreadableError, parse_json5, read_bytes, stamp_of
from clawtop.store.runtimes import backends
from clawtop.store.wire import milliseconds, text
from clawtop.values import dataclass

MAX_CONFIG_BYTES = 8 * MEGABYTE
MAX_INCLUDE_BYTES = 2 * MEGABYTE
MAX_INCLUDE_DEPTH = 10
DEFAULT_GATEWAY_PORT = 18789

_INCLUDE = "$include"
_BLOCKED_KEYS = frozenset({"__proto__", "constructor", "prototype"})
_SECRET_NAMES = regex(
    r"(?<!main)(?<!session)(?<!public)(?:key|token|secret|password|passphrase|credential|authorization)s?$",
    re.IGNORECASE,
)
_HEADERS, _SECRET_HEADER = "headers", "header-secret"
_PLAIN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "content-type", "user-agent", "anthropic-version"}
    | {"anthropic-beta", "http-referer", "x-title", "openai-organization", "openai-project"}
)
"""Headers whose configured values are not secrets; those of any other header may be."""
_REFERENCE = regex(r"\$\{?[A-Z][A-Z0-9_]*\}?")


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """An agent as configured; paths as written there."""

    id: str
    agent_dir: str | None
    is_default: bool
    models: tuple[ModelRef, ...]
    heartbeat_isolated: bool | None
    name: str | None = None


@dataclass(frozen=True, slots=True)
class ConfigRead:
    """One reading of openclaw.json.

    Attributes:
        raw: parsed, includes resolved; for the store and for checks that report findings, never for a snapshot.
        problems: what could not be read; the rest of the configuration is valid.
        stamps: the files it came from, as they were.
    """

    path: Path
    raw: Mapping[str, Any] | None = field(default=None, repr=False)
    problems: tuple[Problem, ...] = ()
    stamps: Mapping[str, Stamp | None] = field(default_factory=dict)

    @property
    def exists(self) -> bool:
        return self.raw is not None or bool(self.problems)

    @property
    def unread(self) -> bool:
        """Whether it exists but is unusable: it cannot be read, and no good copy of it is known."""
        return self.raw is None and bool(self.problems)

    @property
    def last_touched_version(self) -> str | None:
        return text(mapping((self.raw or {}).get("meta")).get("lastTouchedVersion"))

    @property
    def session_store(self) -> str | None:
        return _path_text(mapping((self.raw or {}).get("session")).get("store"))

    def is_current(self) -> bool:
        """Whether the files still are as they were."""
        return all(stamp_of(path) == stamp for path, stamp in self.stamps.items())


LAST_GOOD = ".last-good"
"""What OpenClaw appends to the name of the copy of the configuration that it started with (2026.6.11 to 2026.9.6)."""


def read_config(path: Path, *, include_roots: tuple[Path, ...] = ()) -> ConfigRead:
    """Read the configuration at `path`; what is wrong with it is in `problems`. An absent file is an empty reading.

    If it cannot be read as a whole, a gateway continues with the last good one, so that one is read instead.
    Every secret in it goes to `clawtop.redaction.remember_secrets` before anything else happens.
    """
    found = _read(path, include_roots)
    if found.raw is not None or not found.problems:
        return found
    good = _read(path.with_name(path.name + LAST_GOOD), include_roots)
    stamps = {**found.stamps, **good.stamps}
    if good.raw is None:
        return replace(found, stamps=stamps)
    problems = (replace(p, text=f"{p.text}; judged by {path.name}{LAST_GOOD}") for p in found.problems)
    return ConfigRead(path, good.raw, (*problems, *good.problems), stamps)


def _read(path: Path, include_roots: tuple[Path, ...]) -> ConfigRead:
    includer = _Includer(path, (path.parent, *include_roots))
    try:
        content, _stamp = read_bytes(path, MAX_CONFIG_BYTES)
        raw = parse_json5(content, str(path))
    except FileNotFoundError:
        return ConfigRead(path, stamps={str(path): None})
    except UnreadableError as error:
        return ConfigRead(path, problems=(error.problem,), stamps={str(path): stamp_of(path)})
    merged = includer.resolve(raw, str(path), ())
    if not isinstance(merged, dict):
        includer.problems.append(Problem("wrong-type", str(path), "is not an object"))
        merged = None
    remember_secrets(_secrets(merged))
    return ConfigRead(path, merged, tuple(includer.problems), {str(path): _stamp, **includer.stamps})


class _Includer:
    """Resolves `$include` as OpenClaw does: relative to the including file, inside the config's directory, 10 levels
    deep, arrays joined, objects merged, siblings taking precedence over included values (2026.5.20).
    """

    def __init__(self, config: Path, roots: tuple[Path, ...]) -> None:
        self._config = config
        self._roots = roots
        self.problems: list[Problem] = []
        self.stamps: dict[str, Stamp | None] = {}

    def resolve(self, node: Any, base: str, chain: tuple[str, ...]) -> Any:
        if isinstance(node, list):
            return [self.resolve(item, base, chain) for item in node]
        if not isinstance(node, dict):
            return node
        rest = {key: self.resolve(value, base, chain) for key, value in node.items() if key != _INCLUDE}
        if _INCLUDE not in node:
            return rest
        wanted = node[_INCLUDE]
        names = wanted if isinstance(wanted, list) else [wanted]
        included: Any = {}
        for name in names:
            part = self._load(name, base, chain)
            included = part if not isinstance(wanted, list) else _merged(included, part)
        return _merged(included, rest) if rest or not isinstance(included, dict) else included

    def _load(self, name: Any, base: str, chain: tuple[str, ...]) -> Any:
        if not isinstance(name, str) or not is_path(name):
            return self._failed(base, "$include names something that is not a file")
        target = os.path.normpath(os.path.join(os.path.dirname(base), name))  # noqa: PTH118, PTH120 - lexical, as OpenClaw
        if len(chain) >= MAX_INCLUDE_DEPTH:
            return self._failed(target, f"is included more than {MAX_INCLUDE_DEPTH} levels deep")
        if target in chain or target == str(self._config):
            return self._failed(target, "includes itself")
        if not self._is_inside(target):
            return self._failed(target, "is included from outside the configuration's directory")
        self.stamps[target] = stamp_of(target)
        try:
            content, _stamp = read_bytes(target, MAX_INCLUDE_BYTES)
            return self.resolve(parse_json5(content, target), target, (*chain, target))
        except FileNotFoundError:
            return self._failed(target, "is included, but does not exist")
        except UnreadableError as error:
            self.problems.append(error.problem)
            return {}

    def _is_inside(self, target: str) -> bool:
        real = os.path.realpath(target)
        for root in self._roots:
            in_name = os.path.commonpath([os.path.normpath(root), target]) == os.path.normpath(root)
            real_root = os.path.realpath(root)
            if in_name and os.path.commonpath([real_root, real]) == real_root:
                return True
        return False

    def _failed(self, where: str, why: str) -> dict[str, Any]:
        self.problems.append(Problem("bad-include", where, why))
        return {}


def _merged(under: Any, over: Any) -> Any:
    if isinstance(under, list) and isinstance(over, list):
        return [*under, *over]
    if isinstance(under, dict) and isinstance(over, dict):
        result = dict(under)
        for key, value in over.items():
            if key not in _BLOCKED_KEYS:
                result[key] = _merged(result[key], value) if key in result else value
        return result
    return over


def _secrets(node: Any, name: str = "") -> Iterator[str]:
    """Texts under a name that means a secret."""
    if isinstance(node, dict):
        for key, value in node.items():
            yield from _secrets(value, key if name != _HEADERS or key.lower() in _PLAIN_HEADERS else _SECRET_HEADER)
    elif isinstance(node, list):
        for item in node:
            yield from _secrets(item, name)
    elif isinstance(node, str) and _SECRET_NAMES.search(name) and not _REFERENCE.fullmatch(node):
        yield node


# --- what the program needs to know of it ------------------------------------------------------------------------


def summarise(
    read: ConfigRead, generation: Generation | None, version: str | None, env: Mapping[str, str]
) -> ConfigSummary:
    """The configuration without raw text and without secrets; invalid values count as not set."""
    raw = read.raw or {}
    semantics = semantics_of(version, generation).row
    auth = mapping(raw.get("auth"))
    defaults = mapping(mapping(raw.get("agents")).get("defaults"))
    configured_lanes = {
        "main": defaults.get("maxConcurrent"),
        "subagent": mapping(defaults.get("subagents")).get("maxConcurrent"),
        "cron": mapping(raw.get("cron")).get("maxConcurrentRuns"),
    }
    lanes = {lane: limit for lane, value in configured_lanes.items() if (limit := milliseconds(value)) and limit > 0}
    if "cron" in lanes:
        lanes["cron-nested"] = lanes["cron"]
    return ConfigSummary(
        path=str(read.path),
        last_touched_version=read.last_touched_version,
        auth=AuthConfig(
            profiles=_config_profiles(mapping(auth.get("profiles"))),
            order=orders(auth.get("order")),
            cooldowns=_cooldowns(mapping(auth.get("cooldowns"))),
        ),
        gateway_port=_gateway_port(raw, env, None if read.unread else DEFAULT_GATEWAY_PORT),
        lock_limits=lock_limits(
            storage_of(generation).write_lock, mapping(mapping(raw.get("session")).get("writeLock")), env
        ),
        attention=thresholds(mapping(raw.get("diagnostics")) if semantics.attention.configurable else None),
        lane_limits={**semantics.lane_limits, **lanes},
        log_file=_path_text(mapping(raw.get("logging")).get("file")),
        gateway_wanted=_wants_gateway(mapping(raw.get("gateway"))),
        unread=read.unread,
        backends=backends(raw),
        changed_at=max(
            (stamp.mtime_ns // 1_000_000 for stamp in read.stamps.values() if stamp is not None), default=None
        ),
    )


def orders(raw: Any) -> dict[str, tuple[str, ...]]:
    """A map of provider to profile ids; entries that are not a list of strings are left out."""
    found = {
        provider: tuple(item for item in ids if isinstance(item, str) and item.strip())
        for provider, ids in mapping(raw).items()
        if isinstance(ids, list)
    }
    return {provider: ids for provider, ids in found.items() if ids}


def _path_text(value: Any) -> str | None:
    """A path of the configuration; None if it is not a path."""
    found = text(value)
    return found if found is not None and is_path(found) else None


def _config_profiles(raw: Mapping[str, Any]) -> dict[str, ConfigProfile]:
    return {
        profile_id: ConfigProfile(provider, text(entry.get("mode")) or "", text(entry.get("email")))
        for profile_id, entry in raw.items()
        if isinstance(entry, dict) and (provider := text(entry.get("provider"))) is not None
    }


def _cooldowns(raw: Mapping[str, Any]) -> CooldownConfig:
    values: dict[str, Any] = {}
    for item in fields(CooldownConfig):
        head, *rest = item.name.split("_")
        given = raw.get(head + "".join(word.capitalize() for word in rest))
        if item.name == "billing_backoff_hours_by_provider":
            values[item.name] = {k: float(v) for k, v in mapping(given).items() if _is_amount(v)}
        elif isinstance(given, int | float) and _is_amount(given):
            whole = item.name.endswith(("rotations", "_ms"))
            values[item.name] = int(given) if whole else float(given)
    return CooldownConfig(**values)


def _is_amount(value: Any) -> bool:
    return milliseconds(value) is not None and value >= 0


def _wants_gateway(section: Mapping[str, Any]) -> bool:
    return bool(section) and section.get("mode", "local") != "remote"


MAX_RUN_S = 7 * 24 * 3600.0


def run_limit_s(raw: Mapping[str, Any] | None) -> float | None:
    """`agents.defaults.timeoutSeconds`: how long OpenClaw lets a run last, in seconds; None if unset."""
    value = mapping(mapping(mapping(raw).get("agents")).get("defaults")).get("timeoutSeconds")
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 < value < MAX_RUN_S:
        return None
    return float(value)


_PORT_TEXT = regex(r"(?:[^:]+:|\[[^\]]+\]:)?(\d+)")


def _gateway_port(raw: Mapping[str, Any], env: Mapping[str, str], default: int | None) -> int | None:
    """`OPENCLAW_GATEWAY_PORT` (a port, or host:port) over `gateway.port` over OpenClaw's default."""
    match = _PORT_TEXT.fullmatch(env.get("OPENCLAW_GATEWAY_PORT", "").strip())
    candidates = (int(match[1]) if match else None, milliseconds(mapping(raw.get("gateway")).get("port")))
    return next((port for port in candidates if port is not None and 0 < port < 65536), default)


# --- agents ------------------------------------------------------------------------------------------------------

_AGENT_ID = regex(r"[a-z0-9][a-z0-9_-]{0,63}", re.IGNORECASE)


def agent_id(raw: Any) -> str:
    """The id that OpenClaw derives from an agent's configured name."""
    name = raw.strip() if isinstance(raw, str) else ""
    if _AGENT_ID.fullmatch(name):
        return name.lower()
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-")[:64] or "main"


def agents(read: ConfigRead) -> tuple[AgentConfig, ...]:
    """The configured agents in their order, without repetition; none if the configuration names none."""
    section = mapping((read.raw or {}).get("agents"))
    defaults = mapping(section.get("defaults"))
    listed = section.get("list")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    entries += [{"id": name, **mapping(entry)} for name, entry in mapping(section.get("entries")).items()]
    unique = {agent_id(entry.get("id")): entry for entry in reversed(entries)}
    ids = list(dict.fromkeys(agent_id(entry.get("id")) for entry in entries))
    default = next((agent_id(entry.get("id")) for entry in entries if entry.get("default")), ids[0] if ids else None)
    return tuple(_agent(name, unique[name], defaults, name == default) for name in ids)


def default_models(read: ConfigRead) -> tuple[ModelRef, ...]:
    """`agents.defaults.model`, for agents that the configuration does not name."""
    return _models(mapping(mapping((read.raw or {}).get("agents")).get("defaults")).get("model"))


def _agent(name: str, entry: Mapping[str, Any], defaults: Mapping[str, Any], is_default: bool) -> AgentConfig:
    heartbeats = (mapping(entry.get("heartbeat")), mapping(defaults.get("heartbeat")))
    isolated = next(
        (beat["isolatedSession"] for beat in heartbeats if isinstance(beat.get("isolatedSession"), bool)), None
    )
    return AgentConfig(
        id=name,
        agent_dir=_path_text(entry.get("agentDir")),
        is_default=is_default,
        models=_models(entry.get("model"), defaults.get("model")),
        heartbeat_isolated=isolated,
        name=text(entry.get("name")) or text(mapping(entry.get("identity")).get("name")),
    )


def _models(own: Any, inherited: Any = None) -> tuple[ModelRef, ...]:
    """The primary model and its fallbacks. An agent that names only a primary keeps the inherited fallbacks."""
    primary = _primary(own) or _primary(inherited)
    given: list[Any] = next(
        (spec["fallbacks"] for spec in (own, inherited) if isinstance(mapping(spec).get("fallbacks"), list)), []
    )
    names = [name for name in (primary, *given) if isinstance(name, str)]
    refs = (
        ModelRef(provider, model) for provider, _, model in (name.strip().partition("/") for name in names) if model
    )
    return tuple(dict.fromkeys(refs))


def _primary(spec: Any) -> str | None:
    return text(spec) or text(mapping(spec).get("primary"))
