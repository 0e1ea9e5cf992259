"""The known name that a mistyped one probably stands for."""

from __future__ import annotations

from collections.abc import Iterable

from clawtop.text import safe


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`: did you mean X?`, or an empty text if no name is close."""
    import difflib  # only needed after a mistake

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f": did you mean {safe(near[0], 80)}?" if near else ""
