"""Fixtures that every room's tests share."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from clawtop import redaction
from clawtop.store.place import temporary
from tests.conformance.tally import (
    pytest_runtest_logreport,
    pytest_runtest_makereport,
    pytest_terminal_summary,
)

__all__ = ["pytest_runtest_logreport", "pytest_runtest_makereport", "pytest_terminal_summary"]

TESTS = Path(__file__).parent

settings.register_profile("steady", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", settings.get_profile("steady"), derandomize=False)
settings.load_profile(os.environ.get("CLAWTOP_HYPOTHESIS", "steady"))


LONG_TIMEOUT_S = 600
"""For one long test; a timeout of its own comes first."""

SLOW_ROOMS = frozenset(
    {"bench", "cli", "demo", "engine", "etcd", "export", "fleet", "fuzz", "interop", "sim", "soak", "ui"}
)
"""Folders whose tests run programs, servers, event loops or screens: all of them are slow."""


def pytest_configure() -> None:
    """Programs under test get their signals, also where the shell started us with some ignored (`nohup pytest &`).

    A handler of ours is the default again in whatever is executed, and an ignored signal is not.
    """
    os.environ["CLAWTOP_CONFIG"] = "/nonexistent/clawtop.toml"  # the tester's own settings stay out
    if "-B" not in sys.orig_argv:  # hundreds of processes are started: let only the first of them compile clawtop
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for number in (signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """`-n auto`: one process more than there are cores, since many tests wait for another process or a socket."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else (os.cpu_count() or 1) + 1


def pytest_itemcollected(item: pytest.Item) -> None:
    """What runs a real OpenClaw is long; what is long is slow, and has more time."""
    if item.get_closest_marker("interop"):
        item.add_marker("long")
    if item.get_closest_marker("long"):
        item.add_marker("slow")
        if not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_TIMEOUT_S))
    elif not SLOW_ROOMS.isdisjoint(item.path.relative_to(TESTS).parts):
        item.add_marker("slow")


@pytest.fixture(autouse=True)
def _secrets_of_one_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test makes known as a secret is unknown to the next one: words that begin like it would be held back."""
    monkeypatch.setattr(redaction, "_known_secrets", redaction._known_secrets)


@pytest.fixture(autouse=True, scope="session")
def _system_tmp(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A `/tmp` of the tests' own: locks and logs of gateways that live on this machine are none of their business."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        monkeypatch.setattr(temporary, "SYSTEM", tmp_path_factory.mktemp("system-tmp"))
        yield


@pytest.fixture
def anyio_backend() -> str:
    """clawtop runs on asyncio alone."""
    return "asyncio"
