"""Fixtures that every room's tests share."""

from __future__ import annotations

import os

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("steady"), derandomize=False)
settings.load_profile(os.environ.get("CLAWTOP_HYPOTHESIS", "steady"))


@pytest.fixture
def anyio_backend() -> str:
    """clawtop runs on asyncio alone."""
    return "asyncio"
