"""The short form of the soak, and that a leak is noticed."""

from __future__ import annotations

import sys

import pytest

from tests.soak.__main__ import SHORT, soak
from tests.soak.samples import Sample, growth, judged, last_hour

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="samples come from procfs")


def test_a_leak_is_noticed_and_noise_is_not() -> None:
    noise = [Sample(50_000 + (number * 37) % 900, 20, 5, 9) for number in range(50)]
    assert all(verdict.flat for verdict in judged(noise))
    leaks = [Sample(50_000 + number * 200, 20 + number // 4, 5, 9 + number // 3) for number in range(50)]
    assert [verdict.what for verdict in judged(leaks) if not verdict.flat] == ["rss_kb", "descriptors", "tasks"]
    assert last_hour(noise).flat
    assert not last_hour(leaks).flat
    assert growth([0.0, 1.0, 2.0, 3.0, 4.0]) == pytest.approx(2.0)


@pytest.mark.long
def test_nothing_grows() -> None:
    assert [verdict.line() for verdict in soak(*SHORT) if not verdict.flat] == []
