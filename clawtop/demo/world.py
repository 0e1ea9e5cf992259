"""A small OpenClaw state directory of generation B: three agents, six profiles of two providers, a reef of sessions.

Its files are real, so that every key and verb of clawtop really works on them; every
credential is made up, and both providers are the scripted one on loopback.
"""

from __future__ import annotations

import json
import random
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from clawtop.clock import Clock
from clawtop.core.model import ModelRef
from clawtop.core.session.key import key_of
from clawtop.store.sessions.conversation import Conversation
from clawtop.store.sessions.entry import entry_for
from clawtop.store.sessions.transcript_write import EntryChain, TranscriptReply, encoded, header
from clawtop.values import dataclass

OPENCLAW_VERSION = "2026.5.20"
NOBODY_LISTENS = 9
"""The discard port, so that this machine's own gateway is not found. `remote` says that none is expected here."""

APIS: Mapping[str, str] = {"coral": "anthropic-messages", "kelp": "openai-completions"}
MODELS: Mapping[str, str] = {"coral": "great-claw-1", "kelp": "hermit-mini"}
PROFILES: Mapping[str, tuple[str, ...]] = {
    "coral": ("clawdia", "larry", "pinchy"),
    "kelp": ("barnaby", "shelly", "tidewell"),
}
PRIMARY = ModelRef("coral", MODELS["coral"])
SECONDARY = ModelRef("kelp", MODELS["kelp"])


@dataclass(frozen=True, slots=True)
class Character:
    """A session: its agent, who talks there, and how a conversation may begin."""

    agent: str
    rest: str
    lane: str
    opening: str
    answer: str

    @property
    def key(self) -> str:
        return key_of(self.agent, self.rest)


CAST: tuple[Character, ...] = (
    Character("main", "main", "main", "Lighthouse to reef: all lamps lit?", "All lamps lit, claws crossed."),
    Character(
        "main", "discord:channel:tidepool", "channel", "Who ate the anemone?", "The clownfish is suspiciously quiet."
    ),
    Character("sebastian", "main", "heartbeat", "Heartbeat: anything under the sea?", "Steady as a metronome."),
    Character(
        "sebastian", "telegram:direct:ariel", "direct", "Is it a fork or a dinglehopper?", "Do not comb with it."
    ),
    Character(
        "scuttle", "cron:molt-report", "cron", "Nightly molt report, please.", "Three shells shed, none missing."
    ),
    Character("scuttle", "slack:channel:harbour", "channel", "When is high tide?", "Quarter past six. Bring a bucket."),
)
AGENTS = ("main", "sebastian", "scuttle")


@dataclass(frozen=True, slots=True)
class World:
    """A world on disk.

    Attributes:
        keys: profile id -> its credential, which tells the scripted provider who asks.
    """

    state_dir: Path
    seed: int
    keys: Mapping[str, str]
    models: tuple[ModelRef, ...] = (PRIMARY, SECONDARY)

    def connect(self, base_url: Callable[[str], str]) -> None:
        """Point both providers at a running one; `base_url` gives the address for an api."""
        _write(self.state_dir / "openclaw.json", _config(self, base_url))

    def sessions_dir(self, agent: str) -> Path:
        return self.state_dir / "agents" / agent / "sessions"

    def agent_dir(self, agent: str = "main") -> Path:
        return self.state_dir / "agents" / agent / "agent"

    def transcript(self, character: Character) -> Path:
        """The file of a session of the cast."""
        return self.sessions_dir(character.agent) / f"{_session_id(self.seed, character)}.jsonl"


def build_world(
    root: Path,
    *,
    seed: int,
    clock: Clock,
    profiles: Mapping[str, Sequence[str]] = PROFILES,
    models: Sequence[ModelRef] = (PRIMARY, SECONDARY),
) -> World:
    """Make a world in `root/.openclaw`, which must not exist. The same seed gives the same names and talks.

    Args:
        profiles: the names of each provider's profiles.
        models: what every agent asks, in order.
    """
    state_dir = root / ".openclaw"
    state_dir.mkdir(mode=0o700)
    chance = random.Random(seed)  # noqa: S311 - a story, not a secret
    keys = {
        f"{provider}:{name}": f"sk-demo-{name}-{chance.getrandbits(48):012x}"
        for provider, names in profiles.items()
        for name in names
    }
    world = World(state_dir, seed, keys, tuple(models))
    for agent in AGENTS:
        world.agent_dir(agent).mkdir(parents=True)
        world.sessions_dir(agent).mkdir()
    world.connect(lambda _: "http://127.0.0.1:9")
    now = clock.now_ms()
    _write(world.agent_dir() / "auth-profiles.json", _credentials(keys))
    _write(world.agent_dir() / "auth-state.json", _state(keys, now, chance))
    for agent in AGENTS:
        _write(world.sessions_dir(agent) / "sessions.json", _sessions(world, agent, now, chance))
    return world


def _config(world: World, base_url: Callable[[str], str]) -> dict[str, Any]:
    providers = {
        name: {
            "baseUrl": base_url(api),
            "api": api,
            "models": [
                {"id": model.model, "name": model.model, "contextWindow": 64000, "maxTokens": 2048}
                for model in world.models
                if model.provider == name
            ],
        }
        for name, api in APIS.items()
    }
    profiles = {name: {"provider": name.partition(":")[0], "mode": "api_key"} for name in world.keys}
    defaults = {
        "model": {"primary": str(world.models[0]), "fallbacks": [str(model) for model in world.models[1:]]},
        "workspace": str(world.state_dir / "workspace"),
        "heartbeat": {"every": "30m", "isolatedSession": True},
    }
    agents = [
        {"id": "main", "default": True},
        {"id": "sebastian", "heartbeat": {"isolatedSession": False}},
        {"id": "scuttle"},
    ]
    return {
        "meta": {"lastTouchedVersion": OPENCLAW_VERSION},
        "gateway": {"mode": "remote", "port": NOBODY_LISTENS},
        "models": {"mode": "merge", "providers": providers},
        "auth": {"profiles": profiles},
        "agents": {"defaults": defaults, "list": agents},
    }


def _credentials(keys: Mapping[str, str]) -> dict[str, Any]:
    profiles = {name: {"type": "api_key", "provider": name.partition(":")[0], "key": key} for name, key in keys.items()}
    return {"version": 1, "profiles": profiles}


def _state(keys: Mapping[str, str], now: int, chance: random.Random) -> dict[str, Any]:
    """Every profile was used once in the last hours, and nothing is wrong yet."""
    used = {name: {"lastUsed": now - chance.randrange(600_000, 7_200_000), "errorCount": 0} for name in keys}
    return {"version": 1, "usageStats": used}


def _sessions(world: World, agent: str, now: int, chance: random.Random) -> dict[str, Any]:
    entries = {}
    for character in (one for one in CAST if one.agent == agent):
        file = world.transcript(character)
        at = now - chance.randrange(300_000, 3_600_000)
        file.write_bytes(_talk(world, character, at))
        entries[character.key] = entry_for(file.stem, file, PRIMARY, at, at + 1_800)
    return entries


def _talk(world: World, character: Character, at: int) -> bytes:
    ids = random.Random(f"{world.seed}{character.key}")  # noqa: S311 - a story, not a secret
    chain = EntryChain(Conversation(), new_id=lambda: f"{ids.getrandbits(32):08x}")
    reply = TranscriptReply(character.answer, APIS["coral"], PRIMARY.provider, PRIMARY.model, input=12, output=7)
    return encoded(
        [
            header(_session_id(world.seed, character), str(world.state_dir / "workspace"), at),
            chain.model_change(PRIMARY.provider, PRIMARY.model, at),
            chain.user(character.opening, at),
            chain.assistant(reply, at + 1_800),
        ]
    )


def _session_id(seed: int, character: Character) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"clawtop:demo:{seed}:{character.key}"))


def _write(path: Path, document: Mapping[str, Any]) -> None:
    """Replace the file in one step: a dashboard may be reading."""
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.touch(mode=0o600)
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.rename(path)
