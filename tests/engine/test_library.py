"""The example of docs/library.md runs, and the face is what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import clawtop
import clawtop.engine
from clawtop.core.model import EventKind
from clawtop.demo.provider import Respond, rate_limited
from clawtop.demo.threads import LIGHTHOUSE, TWO_AND_ONE, open_lab
from clawtop.engine import read_state
from clawtop.errors import StateUnreadableError

pytestmark = pytest.mark.anyio

PAGE = Path(clawtop.__file__).parent / "docs" / "library.md"


async def test_the_example_drives_watches_plans_and_executes(tmp_path: Path) -> None:
    (source,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(source, str(PAGE), "exec"), names)
    async with open_lab(tmp_path, profiles=TWO_AND_ONE) as lab:
        used = {profile.id: profile.stats.last_used or 0 for profile in lab.driver.resources.auth("main").profiles}
        limited = min((name for name in used if name.startswith("coral")), key=lambda name: used[name])
        lab.provider.standing[lab.key(limited)] = rate_limited()
        for name in used:
            if name != limited:
                lab.provider.standing[lab.key(name)] = Respond("High.", pieces=2)
        streamed, answer, cooling, receipt, state = await names["main"](lab.world.state_dir, LIGHTHOUSE.key, limited)
    assert streamed == answer.text == "High."
    assert answer.profile != limited
    assert cooling == {limited}
    assert receipt.undo == receipt.id
    stats = {p.id: p.stats for agent in state.agents if agent.store for p in agent.store.profiles}
    assert stats[limited].cooldown_until is None
    assert EventKind.ROTATE in {event.kind for event in state.events}


def test_every_name_is_there_and_nothing_is_loaded_before_it_is_asked_for() -> None:
    assert set(clawtop.engine.__all__) <= set(re.findall(r"\w+", clawtop.engine.__doc__ or ""))
    for name in clawtop.engine.__all__:
        assert getattr(clawtop.engine, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        getattr(clawtop.engine, "nothing")  # noqa: B009 - what a typing error does
    code = "import clawtop.engine, sys; print([m for m in sys.modules if m in ('httpx', 'pydantic', 'asyncio')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_state_that_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(StateUnreadableError):
        read_state(tmp_path / "nothing")
