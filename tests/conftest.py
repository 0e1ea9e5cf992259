"""Fixtures that every room's tests share."""

from __future__ import annotations

import pytest


@pytest.fixture
def anyio_backend() -> str:
    """clawtop runs on asyncio alone."""
    return "asyncio"
