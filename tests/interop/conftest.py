"""OpenClaw for the tests of this directory."""

from __future__ import annotations

import pytest

from tests.interop.openclaw_install import OpenClaw, installed_or_skip


@pytest.fixture(scope="session")
def openclaw() -> OpenClaw:
    """The real OpenClaw 2026.5.20."""
    return installed_or_skip()
