"""A temporary home for a demo, and the process that plays in it; both are removed when the stage closes."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from clawtop.demo import child
from clawtop.errors import OperationFailedError

END_SECONDS = 6.0


class Stage:
    """Builds a world and plays a scenario in a process beside this one, for as long as the context lasts.

    The player ends when its standard input ends, so it does not outlive this process either, however that ends.

    Attributes:
        state_dir: the world's state directory, complete once the context is entered.
    """

    def __init__(self, scenario: str, seed: int) -> None:
        self._scenario = scenario
        self._seed = seed
        self._root = Path(tempfile.mkdtemp(prefix="clawtop-demo-"))
        self._player: subprocess.Popen[bytes] | None = None

    @property
    def state_dir(self) -> Path:
        return self._root / ".openclaw"

    @property
    def config_file(self) -> Path:
        """Where clawtop's settings are saved in this world; there is none at first."""
        return self._root / ".config" / "clawtop" / "config.toml"

    def __enter__(self) -> Self:
        """Raises OperationFailedError when the world cannot be built."""
        try:
            self._player = subprocess.Popen(
                child.command("clawtop.demo.story", str(self._root), str(self._seed), self._scenario),
                env=child.environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            if self._player.stdout is None or self._player.stdout.readline() != b"ready\n":
                raise OperationFailedError("the demo's world could not be built", unchanged="nothing else was touched")
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the player and remove the world. Does nothing the second time."""
        player, self._player = self._player, None
        if player is not None:
            for pipe in (player.stdin, player.stdout):
                if pipe is not None:
                    pipe.close()
            try:
                player.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                player.kill()
                player.wait()
        shutil.rmtree(self._root, ignore_errors=True)
