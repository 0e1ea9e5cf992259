"""The settings of a session that a prompt needs, as OpenClaw stores them: its model, thinking level and system prompt.

The settings are in sessions.json (generations A to C); the system prompt of the last run is in the trajectory beside
the transcript, as `context.compiled`, with the tools that the run had.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from clawtop.core.model import ModelRef
from clawtop.nested import mapping
from clawtop.store import door
from clawtop.store.json_text import MEGABYTE, Stamp, UnreadableError, parse, read_bytes, stamp_of
from clawtop.store.place.layout import AgentPaths
from clawtop.store.sessions.index import MAX_SESSIONS_BYTES
from clawtop.store.sessions.trajectory import trajectory_path
from clawtop.store.wire import text
from clawtop.values import dataclass

CONTEXT = b'"context.compiled"'
MAX_CONTEXT_BYTES = 16 * MEGABYTE
"""How far back from its end a trajectory is searched, in bytes."""
MOST_CONTEXTS = 64
"""How many contexts are kept: system prompts are long."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """One session's settings.

    Attributes:
        model: the model that the session was switched to, by its user or by a fallback.
        thinking: its level of thinking.
    """

    model: ModelRef | None = None
    thinking: str | None = None


NO_SETTINGS = SessionSettings()


@dataclass(frozen=True, slots=True)
class RunContext:
    """What OpenClaw sent in the session's last run besides the conversation. `tools`: their names."""

    system: str | None = None
    tools: tuple[str, ...] = ()
    at: str | None = None


def list_settings(agent: AgentPaths) -> dict[str, SessionSettings]:
    """The settings in sessions.json, by session key. Sessions without settings are left out; an unreadable list gives
    none.
    """
    try:
        content, _ = read_bytes(str(agent.sessions_store), MAX_SESSIONS_BYTES)
        document = parse(content, str(agent.sessions_store))
    except (FileNotFoundError, UnreadableError):
        return {}
    found = {key: _settings(mapping(entry)) for key, entry in mapping(document).items()}
    return {key: settings for key, settings in found.items() if settings != NO_SETTINGS}


def _settings(entry: Mapping[str, Any]) -> SessionSettings:
    model = text(entry.get("modelOverride"))
    provider = text(entry.get("providerOverride"))
    if model and not provider and "/" in model:
        provider, _, model = model.partition("/")
    override = ModelRef(provider, model) if provider and model else None
    return SessionSettings(override, text(entry.get("thinkingLevel")))


class RunContexts:
    """Caches `run_context` as long as the trajectory is unchanged. Safe to use from any thread."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Stamp, RunContext]] = {}  # items are replaced as a whole, so no lock is needed

    def known(self, session_file: str) -> RunContext | None:
        """The context if nothing must be read for it; else None."""
        return self._known_at(session_file, stamp_of(trajectory_path(session_file)))

    def of(self, session_file: str) -> RunContext:
        """The context as it is now."""
        stamp = stamp_of(trajectory_path(session_file))
        known = self._known_at(session_file, stamp)
        if known is not None:
            return known
        context = run_context(session_file)
        if stamp is not None:
            if len(self._known) >= MOST_CONTEXTS:
                self._known.clear()
            self._known[session_file] = (stamp, context)
        return context

    def _known_at(self, session_file: str, stamp: Stamp | None) -> RunContext | None:
        if stamp is None:
            return RunContext()
        known = self._known.get(session_file)
        return known[1] if known is not None and known[0] == stamp else None


def run_context(session_file: str) -> RunContext:
    """The last `context.compiled` of the trajectory beside a transcript; an empty one if there is none."""
    line = _last_line_with(trajectory_path(session_file), CONTEXT)
    if line is None:
        return RunContext()
    try:
        event = mapping(parse(line, session_file))
    except UnreadableError:
        return RunContext()
    data = mapping(event.get("data"))
    tools = data.get("tools")
    names = (text(mapping(tool).get("name")) for tool in tools) if isinstance(tools, list) else ()
    return RunContext(text(data.get("systemPrompt")), tuple(name for name in names if name), text(event.get("ts")))


def _last_line_with(path: str, word: bytes) -> bytes | None:
    """The last complete line of a file that holds `word`, within its last `MAX_CONTEXT_BYTES`."""
    try:
        descriptor = door.open_file(path)
    except (OSError, ValueError):
        return None
    try:
        size = os.fstat(descriptor).st_size
        want = MEGABYTE
        while True:
            start = max(0, size - want)
            block = os.pread(descriptor, size - start, start)
            found = _line_around(block, block.rfind(word), whole=start == 0)
            if found is not None or start == 0 or want >= MAX_CONTEXT_BYTES:
                return found
            want = min(want * 4, MAX_CONTEXT_BYTES)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _line_around(block: bytes, at: int, *, whole: bool) -> bytes | None:
    if at < 0:
        return None
    begin = block.rfind(b"\n", 0, at)
    end = block.find(b"\n", at)
    if end < 0 or (begin < 0 and not whole):
        return None
    return block[begin + 1 : end]


def raw_settings(config: Mapping[str, Any], agent: str, model: ModelRef) -> dict[str, Any]:
    """The parameters for a model as openclaw.json gives them, the more specific place winning.

    `agents.defaults.params`, `agents.defaults.models["provider/model"].params`, then the agent's own `params`.
    """
    agents = mapping(config.get("agents"))
    defaults = mapping(agents.get("defaults"))
    entry = mapping(mapping(defaults.get("models")).get(str(model)))
    found = {**mapping(defaults.get("params")), **mapping(entry.get("params"))}
    return {**found, **mapping(agent_entry(config, agent).get("params"))}


def agent_entry(config: Mapping[str, Any], agent: str) -> Mapping[str, Any]:
    """What openclaw.json says of one agent: its member of `agents.list`, or of `agents.entries` (2026.9)."""
    agents = mapping(config.get("agents"))
    listed = agents.get("list")
    for item in listed if isinstance(listed, list) else ():
        if mapping(item).get("id") == agent:
            return mapping(item)
    return mapping(mapping(agents.get("entries")).get(agent))


def default_thinking(config: Mapping[str, Any], agent: str, model: ModelRef) -> str | None:
    """The thinking level from openclaw.json, for sessions without their own."""
    defaults = mapping(mapping(config.get("agents")).get("defaults"))
    entry = mapping(mapping(defaults.get("models")).get(str(model)))
    places = (
        agent_entry(config, agent).get("thinkingDefault"),
        mapping(entry.get("params")).get("thinking"),
        defaults.get("thinkingDefault"),
    )
    return next((level for place in places if (level := text(place))), None)
