"""When the lock of an auth store is left to OpenClaw."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clawtop.core.locks.sharing import SEEN, UNBROKEN_S, WANTED_S, left_free_s

FIRST_REPETITION_S = (0.1, 0.2)
"""How long OpenClaw waits after the first refusal, by its options: 100 ms, lengthened by up to its own length."""

LONGEST_LAST_HOLD_S = 0.02


@pytest.mark.parametrize(
    ("now", "wanted_at", "pressing_since", "left_free"),
    [
        (32.00, None, None, 0),
        (32.00, None, 31.0, 0),
        (32.20, None, 31.0, 0),
        (32.05, 32.0, 31.0, 0),
        (32.099, 32.0, 31.0, 0),
        (32.10, 32.0, 31.0, 0.22),
        (32.20, 32.0, 31.0, 0.12),
        (32.31, 32.0, 31.0, 0.01),
        (32.33, 32.0, 31.0, 0),
        (32.20, 32.2 - WANTED_S + 0.01, 31.0, 0.12),
        (32.20, 32.2 - WANTED_S - 0.01, 31.0, 0),
        (32.20, 32.0, None, 0),
        (32.90, None, 32.9 - UNBROKEN_S + 0.01, 0),
        (32.90, None, 32.9 - UNBROKEN_S, 0.1),
        (32.50, None, 0.0, 0),
        (32.81, 20.0, 0.0, 0.19),
    ],
)
def test_what_is_left_free(now: float, wanted_at: float | None, pressing_since: float | None, left_free: float) -> None:
    assert left_free_s(now, wanted_at=wanted_at, pressing_since=pressing_since) == pytest.approx(left_free, abs=1e-6)


@given(
    cycle=st.integers(0, 1_000_000),
    refused=st.floats(0.0001, SEEN.ours_s + LONGEST_LAST_HOLD_S - 0.0001),
    pause=st.floats(*FIRST_REPETITION_S),
)
def test_whoever_was_refused_finds_it_free_at_the_first_repetition(cycle: int, refused: float, pause: float) -> None:
    """Refused while clawtop held it: a hold begins in clawtop's part and ends soon after."""
    assert SEEN.left_free_s(cycle * SEEN.cycle_s + refused + pause) > 0
