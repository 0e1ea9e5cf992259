"""Writes the commit that a wheel or an sdist is built from into the package."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CommitHook(BuildHookInterface):  # type: ignore[type-arg]
    """clawtop/commit.txt: the commit, with `+` where the checkout had changes, and its day. Nothing without git."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable" or not (Path(self.root) / ".git").exists():
            return
        try:
            commit = self._git("describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*")
            day = self._git("log", "-1", "--format=%cs")
        except (OSError, subprocess.SubprocessError):
            return
        self._file = Path(tempfile.mkdtemp()) / "commit.txt"
        self._file.write_text(f"{commit} {day}\n")
        build_data["force_include"][str(self._file)] = "clawtop/commit.txt"

    def _git(self, *words: str) -> str:
        command = ["git", "-C", self.root, *words]
        return subprocess.run(command, capture_output=True, text=True, timeout=20, check=True).stdout.strip()

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:  # noqa: ARG002
        file: Path | None = getattr(self, "_file", None)
        if file is not None:
            file.unlink()
            file.parent.rmdir()
