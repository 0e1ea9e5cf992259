"""Other people's servers of the same apis, from the `peers` extra: what they stream is read, what they break is borne.

    pip install -e '.[peers]' && pytest tests/interop/test_peers.py

Each server that is not installed is a skip that is counted. aimock comes from npm, as OpenClaw does.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from clawtop.clock import SystemClock
from clawtop.core.model import FailureReason
from clawtop.core.session.turn_request import TurnRequest
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE, open_lab
from clawtop.demo.world import PRIMARY, SECONDARY
from clawtop.engine.drive.driver import Driver, EngineSettings
from clawtop.engine.providers.base import Endpoint, Finished, Message, Prompt, ReplyPart, TextDelta, Timeouts
from clawtop.engine.providers.errors import ErrorKind, ProviderError
from clawtop.engine.providers.http import ProviderClient
from clawtop.store.provider.secrets import Secret
from tests.interop.openclaw_install import npm_program, skip_unless_wanted

pytestmark = [pytest.mark.anyio, pytest.mark.interop]
UP_S = 30.0
AIMOCK = "@copilotkit/aimock@1.43.0"
BIN = Path(sys.executable).parent


def _command(server: str) -> Path:
    found = BIN / server
    if not found.exists() or os.environ.get("CLAWTOP_SKIP_INTEROP") == "1":
        pytest.skip(f"{server} is not installed: pip install -e '.[peers]'")
    return found


@asynccontextmanager
async def serving(server: str, directory: Path, *options: str) -> AsyncIterator[str]:
    """The address of a peer's server, once it answers."""
    async with running(directory, [str(_command(server)), "serve", *options]) as url:
        yield url


@asynccontextmanager
async def running(directory: Path, command: list[str]) -> AsyncIterator[str]:
    """The address of a server that takes `--host` and `--port`, once it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    quiet = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *command, "--host", "127.0.0.1", "--port", str(port), cwd=directory, stdout=quiet, stderr=quiet
    )
    try:
        async with asyncio.timeout(UP_S), httpx.AsyncClient() as client:
            while True:
                try:
                    await client.get(f"http://127.0.0.1:{port}/")
                except httpx.HTTPError:
                    await asyncio.sleep(0.05)
                else:
                    break
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


@pytest.mark.parametrize(
    ("api", "path"),
    [
        ("openai-completions", "/v1"),
        ("openai-completions", "/groq/openai/v1"),
        ("openai-completions", "/mistral/v1"),
        ("openai-completions", "/ai21/v1"),
        ("anthropic-messages", "/anthropic"),
        ("google-generative-ai", "/gemini/v1beta"),
    ],
)
async def test_llmocks_streams_are_read(tmp_path: Path, api: str, path: str) -> None:
    async with serving("llmock", tmp_path, "--response-style", "hello") as url:
        client = ProviderClient(SystemClock())
        prompt = Prompt("gpt-4o", (Message("user", "hello"),), max_tokens=64)
        where = Endpoint("peer", api, url + path, Secret("sk-peer-1234567"))
        parts = [part async for part in client.stream(where, prompt, Timeouts())]
        await client.aclose()
    assert "".join(part.text for part in parts if isinstance(part, TextDelta)).strip()
    end = parts[-1]
    assert isinstance(end, Finished)
    assert end.stop_reason in {"stop", "length"}
    assert end.usage.total > 0


@pytest.mark.parametrize(("model", "path"), [(PRIMARY, "/anthropic"), (SECONDARY, "/v1")], ids=["anthropic", "openai"])
async def test_every_turn_is_answered_while_llmock_breaks_four_in_ten(tmp_path: Path, model: object, path: str) -> None:
    faults = ("--error-rate", "500=0.15", "--error-rate", "502=0.15", "--stream-fault", "disconnect=0.1")
    async with serving("llmock", tmp_path, *faults) as url, open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        lab.world.connect(lambda api: url + ("/anthropic" if api == "anthropic-messages" else "/v1"))
        settings = EngineSettings(pause_s=0.01)
        async with Driver(lab.world.state_dir, environ={}, home=tmp_path, settings=settings) as driver:
            for _ in range(30):
                answer = await driver.drive(TurnRequest(LIGHTHOUSE.key, "hello", model=model)).result()  # type: ignore[arg-type]
                assert answer.text.strip()
    assert path


async def test_llmocks_limit_by_key_rotates_and_is_kept(tmp_path: Path) -> None:
    async with serving("llmock", tmp_path, "--rpm", "2") as url, open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        lab.world.connect(lambda api: url + ("/anthropic" if api == "anthropic-messages" else "/v1"))
        async with Driver(lab.world.state_dir, environ={}, home=tmp_path) as driver:
            answers = [await driver.drive(TurnRequest(LIGHTHOUSE.key, f"turn {n}")).result() for n in range(6)]
            await driver.resources.marks.drained()
            notes = driver.resources.accounts.read().notes
    assert [answer.model for answer in answers] == [PRIMARY] * 4 + [SECONDARY] * 2
    assert {profile for _, profile in notes} == {"coral:clawdia", "coral:larry"}


async def test_fakellms_streams_are_read(tmp_path: Path) -> None:
    (tmp_path / "fakellm.yaml").write_text(
        "version: 1\nrules:\n  - name: greeting\n    when:\n      messages_contain: hello\n"
        "    respond:\n      content: Hi from the fake.\n"
    )
    async with serving("fakellm", tmp_path) as url:
        client = ProviderClient(SystemClock())
        for api, path in (("openai-completions", "/v1"), ("anthropic-messages", "")):
            where = Endpoint("peer", api, url + path, Secret("sk-peer-1234567"))
            prompt = Prompt("gpt-4o", (Message("user", "hello"),), max_tokens=64)
            parts = [part async for part in client.stream(where, prompt, Timeouts())]
            assert "".join(part.text for part in parts if isinstance(part, TextDelta)) == "Hi from the fake."
        await client.aclose()


AIMOCK_FIXTURES = {
    "fixtures": [
        {"match": {"userMessage": "hello"}, "response": {"content": "Hi from aimock."}},
        {
            "match": {"userMessage": "weather"},
            "response": {"toolCalls": [{"name": "get_weather", "arguments": '{"city": "Bremen"}'}]},
        },
        {
            "match": {"userMessage": "limit"},
            "response": {"error": {"message": "Rate limited", "type": "rate_limit_error"}, "status": 429},
        },
    ]
}
AIMOCK_APIS = [
    ("openai-completions", "/v1", "gpt-4o"),
    ("openai-responses", "/v1", "gpt-4o"),
    ("azure-openai-responses", "/openai/v1", "gpt-4o"),
    ("anthropic-messages", "", "claude-sonnet-4"),
    ("google-generative-ai", "/v1beta", "gemini-2.0-flash"),
    ("ollama", "", "llama3"),
    ("bedrock-converse-stream", "", "anthropic.claude-3"),
]


async def test_aimocks_streams_tools_and_limits_are_read_in_seven_apis(tmp_path: Path) -> None:
    skip_unless_wanted()
    node, program = await asyncio.to_thread(npm_program, "llmock", AIMOCK)
    (tmp_path / "fixtures").mkdir()
    (tmp_path / "fixtures/all.json").write_text(json.dumps(AIMOCK_FIXTURES))
    async with running(tmp_path, [str(node), str(program), "--log-level", "silent"]) as url:
        client = ProviderClient(SystemClock())
        for api, path, model in AIMOCK_APIS:
            where = Endpoint("peer", api, url + path, Secret("sk-peer-1234567"))

            async def parts(word: str, where: Endpoint = where, model: str = model) -> list[ReplyPart]:
                prompt = Prompt(model, (Message("user", word),), max_tokens=64)
                return [part async for part in client.stream(where, prompt, Timeouts())]

            said = await parts("hello")
            assert "".join(part.text for part in said if isinstance(part, TextDelta)) == "Hi from aimock.", api
            assert isinstance(said[-1], Finished), api
            with pytest.raises(ProviderError) as tools:
                await parts("weather")
            assert (tools.value.kind, "get_weather" in str(tools.value)) == (ErrorKind.TOOLS, True), api
            with pytest.raises(ProviderError) as limit:
                await parts("limit")
            assert (limit.value.status, limit.value.reason) == (429, FailureReason.RATE_LIMIT), api
        await client.aclose()
