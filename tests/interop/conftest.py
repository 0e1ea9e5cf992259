"""OpenClaw for the tests of this directory."""

from __future__ import annotations

from pathlib import Path

import pytest

from clawtop.store.place import temporary
from tests.interop.openclaw_install import OpenClaw, installed_or_skip


@pytest.fixture(autouse=True)
def _real_system_tmp(monkeypatch: pytest.MonkeyPatch) -> None:
    """Real gateways lock and log where they always do."""
    monkeypatch.setattr(temporary, "SYSTEM", Path("/tmp"))


@pytest.fixture(scope="session")
def openclaw() -> OpenClaw:
    """The real OpenClaw 2026.5.20."""
    return installed_or_skip()
