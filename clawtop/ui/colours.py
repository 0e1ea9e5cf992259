"""The SGR codes of a palette's colours on a terminal with 16 colours, 256, or true colour."""

from __future__ import annotations

from collections.abc import Mapping
from colorsys import rgb_to_hls
from enum import IntEnum

from clawtop.ui.palettes import Paint, Palette
from clawtop.ui.pen import Looks

NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
GREY_BELOW = 0.15
"""Saturation below which a colour is drawn as a grey."""


class Depth(IntEnum):
    """How many colours a terminal has."""

    FEW = 16
    SOME = 256
    ALL = 1 << 24


def depth_of(environment: Mapping[str, str]) -> Depth:
    """The depth by the environment's names of the terminal, as terminal libraries judge it."""
    if environment.get("COLORTERM", "").strip().lower() in {"truecolor", "24bit"}:
        return Depth.ALL
    last = environment.get("TERM", "").strip().lower().rpartition("-")[2]
    return Depth.SOME if last in {"256color", "kitty"} else Depth.FEW


def is_drawn_exactly(palette: Palette, depth: Depth) -> bool:
    """Whether the terminal has every colour of the palette exactly."""
    return palette.ansi or depth is not Depth.FEW


def looks_of_paint(look: Paint, depth: Depth) -> Looks:
    """The codes of a paint. ValueError for a colour that the terminal does not have."""
    attributes = {code for code, has in (("1", look.bold), ("2", look.dim), ("7", look.reverse)) if has}
    foreground, background = _code(look.foreground, depth, 30), _code(look.background, depth, 40)
    return Looks(frozenset(attributes), foreground, background)


def _code(colour: str | None, depth: Depth, first: int) -> str:
    """`first`: the code of black in the foreground, or in the background."""
    if colour is None or colour == "ansi_default":
        return ""
    if colour.startswith("ansi_"):
        return str(first + NAMES.index(colour.removeprefix("ansi_")))
    red, green, blue = bytes.fromhex(colour.removeprefix("#"))
    if depth is Depth.ALL:
        return f"{first + 8};2;{red};{green};{blue}"
    return f"{first + 8};5;{_of_256(red, green, blue)}"


def _of_256(red: int, green: int, blue: int) -> int:
    """The nearest of the 256, as Rich picks it: it has to be the one that Textual draws."""
    _, lightness, saturation = rgb_to_hls(red / 255, green / 255, blue / 255)
    if saturation < GREY_BELOW:
        step = round(lightness * 25)
        return {0: 16, 25: 231}.get(step, 231 + step)
    steps = (round(part / 95 if part < 95 else 1 + (part - 95) / 40) for part in (red, green, blue))
    return 16 + sum(step * scale for step, scale in zip(steps, (36, 6, 1), strict=True))
