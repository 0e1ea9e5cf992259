"""The prompt holders of clawtop's engines, as a snapshot has them."""

from __future__ import annotations

from pathlib import Path

from clawtop.core.model import PromptHolder
from clawtop.store.own.admissions import prompt_holder, read_admissions


def read_holders(state_dir: str | Path) -> tuple[PromptHolder, ...]:
    return tuple(prompt_holder(state) for state in read_admissions(state_dir) if state.holder is not None)
