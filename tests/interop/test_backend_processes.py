"""Runs that work in a process of their own, beside live gateways: OpenClaw starts a stand-in command that hangs as a
command-line backend; it is seen with its session and its memory, holds the session, and is stopped as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.interop.gateways import KEY, START_S, GatewayLab, Holding, running
from tests.interop.openclaw_install import installed_or_skip
from tests.interop.test_gateway import free_port

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]

CLAUDE, GEMINI, CODEX, OWN = "claude-cli", "google-gemini-cli", "codex-cli", "my-cli"
MODELS = {
    CLAUDE: ("claude", "claude-sonnet-4-6"),
    GEMINI: ("gemini", "gemini-3.1-pro-preview"),
    CODEX: ("codex", "gpt-5.4"),
    OWN: ("claude", "any"),
}
"""What a backend starts, and a model of it."""

VERSIONS = (
    ("2026.5.20", CLAUDE),
    ("2026.5.20", GEMINI),
    ("2026.5.20", CODEX),
    ("2026.5.20", OWN),
    ("2026.6.11", CLAUDE),
    ("2026.9.6", CLAUDE),
    ("2026.9.6", GEMINI),
)
"""`codex-cli` comes with 2026.3.28 alone; where `cliBackends` can be configured, it is added as one of one's own."""
LOGIN = {"loggedIn": True, "authMethod": "claude.ai", "apiProvider": "firstParty", "subscriptionType": "max"}
STANDS_IN = """#!/bin/bash
echo "$0 $@" | cut -c1-300 >> {calls}
case "$1" in
auth) echo '{login}'; exit 0;;
--version) echo '2.1.0 (Claude Code)'; exit 0;;
esac
trap '' TERM
bash -c "trap '' TERM; while :; do sleep 600; done" &
echo $$ $! >> {pids}
while :; do wait; sleep 600; done
"""


@dataclass
class BackendLab(GatewayLab):
    """A gateway whose only model is one of a command that hangs and does not obey SIGTERM."""

    backend: str = CLAUDE
    started: list[int] = field(default_factory=list)

    @property
    def env(self) -> dict[str, str]:
        env = super().env
        return {**env, "PATH": f"{self.home / 'bin'}:{env['PATH']}"}

    def prepare(self) -> None:
        super().prepare()
        name, model = MODELS[self.backend]
        program = self.home / "bin" / name
        program.parent.mkdir()
        files = {"pids": self.home / "pids", "calls": self.home / "calls"}
        program.write_text(STANDS_IN.format(login=json.dumps(LOGIN), **files))
        program.chmod(0o755)
        path = self.directory / "openclaw.json"
        config = json.loads(path.read_text())
        defaults = config["agents"]["defaults"]
        defaults["model"]["primary"] = f"{self.backend}/{model}"
        if self.backend in {OWN, CODEX}:
            call = {"output": "json", "input": "arg", "modelArg": "--model", "sessionArg": "--id"}
            args = ["exec", "--json"] if self.backend == CODEX else ["--json"]
            defaults["cliBackends"] = {
                self.backend: {"command": str(program), "args": args, "sessionMode": "always", **call}
            }
        path.write_text(json.dumps(config))

    def hang(self, message: str = "ping") -> Any:
        turn = self.begin("drive", "--session", KEY, "--message", message, "--through", "gateway")
        pids = self.home / "pids"
        self.wait(lambda: pids.exists() and pids.read_text().endswith("\n"), 3 * START_S)
        self.started += [int(word) for word in pids.read_text().split()]
        return turn

    def stop(self) -> None:
        super().stop()
        for pid in self.started:
            if psutil.pid_exists(pid) and "sleep 600" in " ".join(psutil.Process(pid).cmdline()):
                psutil.Process(pid).kill()


@pytest.fixture
def lab(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[BackendLab]:
    version, backend = request.param
    with Holding() as provider:
        made = BackendLab(installed_or_skip(version), tmp_path, provider, free_port(), backend=backend)
        with running(made):
            yield made


def lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize("lab", VERSIONS, indirect=True, ids="-".join)
def test_a_hung_command_is_a_witness_and_is_stopped_as_a_whole(lab: BackendLab) -> None:
    lab.hang()
    top, child = lab.started
    status = lab.clawtop("status", codes=(0, 1, 2))
    (process,) = status["gateway"]["backends"]
    assert (process["pid"], process["backend"]) == (top, lab.backend)
    assert process["memory"] >= psutil.Process(top).memory_info().rss
    (row,) = [one for one in status["sessions"] if one["key"] == KEY]
    own = [witness for witness in row["witnesses"] if witness["kind"] == "process"]
    assert row["active"] is True, row
    assert [witness["pid"] for witness in own] == [top]
    assert [holder["pid"] for holder in status["holders"] if holder["session_key"] == KEY] == [top]

    left = lab.clawtop("drain", KEY, "--yes", "--no-gateway", "--deadline", "3", "--still", "0.5", codes=(2,))
    assert left["outcome"] == "not-released"
    assert any(f"its own process {top} under the gateway" in line for line in left["remedies"]), left
    assert lives(top)

    stop = ("--stop-processes", "--stop-after", "0", "--deadline", "120", "--no-gateway")
    drained = lab.clawtop("drain", KEY, "--yes", *stop)
    assert drained["outcome"] == "drained", drained
    done = f"process {top} and its children are gone (SIGKILL)"
    assert done in json.dumps(drained["steps"], ensure_ascii=False), drained
    assert not lives(top)
    assert not lives(child)
    assert lab.process is not None
    assert lab.process.poll() is None, "the gateway lives on"
