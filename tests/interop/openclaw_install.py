"""OpenClaw from npm, with its own Node, in a cache directory outside the checkout.

`CLAWTOP_INTEROP_CACHE` names the directory (default: ~/.cache/clawtop-interop). What is there is used as it is; what is
not is installed, and said so. `CLAWTOP_SKIP_INTEROP=1` skips these tests, counted as skips, except in CI.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "2026.5.20"
NODE = "24"
INSTALL_TIMEOUT_S = 900
SCRIPTS = Path(__file__).parent / "node"


@dataclass(frozen=True, slots=True)
class OpenClaw:
    """An installed OpenClaw."""

    directory: Path
    version: str = VERSION

    @property
    def node(self) -> str:
        return str(self.directory / "node_modules/.bin/node")

    def command(self, *words: str) -> list[str]:
        """OpenClaw's command line."""
        return [self.node, str(self.directory / "node_modules/openclaw/openclaw.mjs"), *words]

    def script(self, name: str, *words: str) -> list[str]:
        """One of our scripts, which imports OpenClaw's public modules."""
        return [self.node, str(SCRIPTS / name), str(self.directory), *words]

    def environment(self, home: Path, state_dir: Path, **more: str) -> dict[str, str]:
        """A clean environment that knows only this home and state directory."""
        return {
            "PATH": f"{self.directory / 'node_modules/.bin'}:{os.environ['PATH']}",
            "HOME": str(home),
            "TMPDIR": str(home),
            "OPENCLAW_STATE_DIR": str(state_dir),
            "OPENCLAW_CONFIG_PATH": str(state_dir / "openclaw.json"),
            "NO_COLOR": "1",
            **more,
        }

    def run(self, words: Sequence[str], env: Mapping[str, str], *, timeout: float = 120) -> str:
        """The standard output of one command; the test fails with everything it said when it fails."""
        done = subprocess.run(
            self.command(*words), env=dict(env), capture_output=True, text=True, timeout=timeout, check=False
        )
        assert done.returncode == 0, f"{words}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout


def why_skipped() -> str | None:
    """Why these tests are not run here, or None."""
    if os.environ.get("CLAWTOP_SKIP_INTEROP") == "1" and not os.environ.get("CI"):
        return "CLAWTOP_SKIP_INTEROP=1"
    return None


def why_not_here(version: str) -> str | None:
    """Why nobody should wait for this version here, or None: it is not installed, and only tests install it."""
    if why_skipped() is not None:
        return why_skipped()
    if _version_in(_cache() / f"openclaw-{version}") == version:
        return None
    return f"OpenClaw {version} is not installed; python -m tests.interop.openclaw_install {version} does it by npm"


def _cache() -> Path:
    return Path(os.environ.get("CLAWTOP_INTEROP_CACHE") or Path.home() / ".cache/clawtop-interop")


def installed(version: str = VERSION) -> OpenClaw:
    """OpenClaw of this version, installed first where it is not there yet."""
    home = _cache()
    home.mkdir(parents=True, exist_ok=True)
    with (home / f"{version}.installing").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        directory = home / f"openclaw-{version}"
        if _version_in(directory) != version:
            _install(directory, version)
    return OpenClaw(directory, version)


def installed_or_skip(version: str = VERSION) -> OpenClaw:
    """The same, for a test: it is skipped where these tests are not run."""
    skip_unless_wanted()
    return installed(version)


def skip_unless_wanted() -> None:
    """Skip the test that asks, where tests beside other people's programs are not run."""
    import pytest  # benchmarks and the command line work without it

    if reason := why_skipped():
        pytest.skip(reason)


def _version_in(directory: Path) -> str | None:
    package = directory / "node_modules/openclaw/package.json"
    if not package.exists() or not (directory / "node_modules/.bin/node").exists():
        return None
    found = json.loads(package.read_text())["version"]
    return found if isinstance(found, str) else None


def _install(directory: Path, version: str) -> None:
    _npm_install(directory, f"openclaw@{version}")
    assert _version_in(directory) == version


def npm_program(name: str, package: str) -> tuple[Path, Path]:
    """(Node, the program `name`) of another package from npm, installed first where it is not there yet."""
    home = _cache()
    home.mkdir(parents=True, exist_ok=True)
    directory = home / package.strip("@").replace("/", "-")
    program = directory / "node_modules/.bin" / name
    with (home / f"{directory.name}.installing").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not program.exists():
            _npm_install(directory, package)
    return directory / "node_modules/.bin/node", program


def _npm_install(directory: Path, package: str) -> None:
    """Node first: since 2026.8 OpenClaw's preinstall script refuses the machine's own where that is too old."""
    npm = shutil.which("npm")
    assert npm, "npm is needed to install the peers of the interop tests (or set CLAWTOP_SKIP_INTEROP=1)"
    directory.mkdir(exist_ok=True)
    (directory / "package.json").write_text('{"private": true}\n')
    print(f"installing {package} and node@{NODE} into {directory}", flush=True)
    path = os.pathsep.join((str(directory / "node_modules/.bin"), os.environ.get("PATH", os.defpath)))
    for wanted in (f"node@{NODE}", package):
        command = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(directory), wanted]
        subprocess.run(command, check=True, timeout=INSTALL_TIMEOUT_S, env=os.environ | {"PATH": path})


if __name__ == "__main__":
    for wanted in sys.argv[1:] or [VERSION]:
        print(installed(wanted).directory)
