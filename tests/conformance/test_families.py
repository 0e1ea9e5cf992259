"""Every family of vectors is replayed by some test: none is carried along unread."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.conformance.harness import BUNDLED

HERE = Path(__file__).parent
_REPLAYED = re.compile(r'@replay(?:_one_by_one)?\(\s*"([\w-]+)"')


@pytest.mark.parametrize("family", sorted({path.stem for path in BUNDLED.glob("*/*.json")}))
def test_each_family_is_replayed(family: str) -> None:
    replayed = {name for test in HERE.glob("test_*.py") for name in _REPLAYED.findall(test.read_text("utf-8"))}
    assert family in replayed
