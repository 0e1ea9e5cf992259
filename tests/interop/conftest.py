"""OpenClaw for the tests of this directory."""

from __future__ import annotations

import pytest

from tests.interop.openclaw_install import OpenClaw, installed, why_skipped


@pytest.fixture(scope="session")
def openclaw() -> OpenClaw:
    """The real OpenClaw 2026.5.20."""
    reason = why_skipped()
    if reason:
        pytest.skip(reason)
    return installed()
