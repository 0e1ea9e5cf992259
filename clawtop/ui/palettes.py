"""Themes as data: the colours of each, and what each tone of the views looks like. The first three use exact colours
from the 256.

`ansi` leaves the colours to the terminal (16 of them); `plain` uses none and is chosen for NO_COLOR.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from clawtop.view.line import Tone


class Palette(NamedTuple):
    """The colours of a theme, in Textual's notation. With `reverse_cursor`, the cursor's row is drawn in reverse."""

    name: str
    dark: bool
    background: str
    raised: str
    cursor: str
    cursor_idle: str
    text: str
    strong: str
    dim: str
    faint: str
    accent: str
    ok: str
    warn: str
    bad: str
    info: str
    note: str
    on_badge: str
    calm_badge: str
    ansi: bool = False
    reverse_cursor: bool = False


PALETTES: tuple[Palette, ...] = (
    Palette(
        "lobster",
        dark=True,
        background="#121212",
        raised="#1c1c1c",
        cursor="#3a3a3a",
        cursor_idle="#262626",
        text="#d0d0d0",
        strong="#ffffff",
        dim="#8a8a8a",
        faint="#585858",
        accent="#ff5f5f",
        ok="#87d787",
        warn="#ffaf5f",
        bad="#ff5f5f",
        info="#87afd7",
        note="#d7afff",
        on_badge="#121212",
        calm_badge="#5f87af",
    ),
    Palette(
        "paper",
        dark=False,
        background="#eeeeee",
        raised="#e4e4e4",
        cursor="#c6c6c6",
        cursor_idle="#dadada",
        text="#303030",
        strong="#000000",
        dim="#626262",
        faint="#9e9e9e",
        accent="#af0000",
        ok="#005f00",
        warn="#875f00",
        bad="#af0000",
        info="#005f87",
        note="#5f00af",
        on_badge="#eeeeee",
        calm_badge="#005f87",
    ),
    Palette(
        "contrast",
        dark=True,
        background="#000000",
        raised="#262626",
        cursor="#0000af",
        cursor_idle="#303030",
        text="#ffffff",
        strong="#ffffff",
        dim="#dadada",
        faint="#a8a8a8",
        accent="#ffff00",
        ok="#00ff00",
        warn="#ffff00",
        bad="#ff8787",
        info="#00ffff",
        note="#ff87ff",
        on_badge="#000000",
        calm_badge="#ffffff",
    ),
    Palette(
        "ansi",
        dark=True,
        background="ansi_default",
        raised="ansi_default",
        cursor="ansi_default",
        cursor_idle="ansi_default",
        text="ansi_default",
        strong="ansi_default",
        dim="ansi_default",
        faint="ansi_default",
        accent="ansi_red",
        ok="ansi_green",
        warn="ansi_yellow",
        bad="ansi_red",
        info="ansi_cyan",
        note="ansi_magenta",
        on_badge="ansi_black",
        calm_badge="ansi_cyan",
        ansi=True,
        reverse_cursor=True,
    ),
    Palette(
        "plain",
        dark=True,
        background="ansi_default",
        raised="ansi_default",
        cursor="ansi_default",
        cursor_idle="ansi_default",
        text="ansi_default",
        strong="ansi_default",
        dim="ansi_default",
        faint="ansi_default",
        accent="ansi_default",
        ok="ansi_default",
        warn="ansi_default",
        bad="ansi_default",
        info="ansi_default",
        note="ansi_default",
        on_badge="ansi_default",
        calm_badge="ansi_default",
        ansi=True,
        reverse_cursor=True,
    ),
)
DEFAULT = "lobster"
THEMES: tuple[str, ...] = tuple(palette.name for palette in PALETTES)
BY_NAME: Mapping[str, Palette] = {palette.name: palette for palette in PALETTES}


def choose(wanted: str | None, environment: Mapping[str, str]) -> str:
    """The theme to start with: NO_COLOR decides first, then the setting, then what the terminal can do."""
    if environment.get("NO_COLOR"):
        return "plain"
    if wanted is not None and wanted in BY_NAME:
        return wanted
    few_colours = environment.get("TERM", "") in ("ansi", "linux", "vt100", "vt220", "xterm", "screen", "cons25")
    return "ansi" if few_colours and not environment.get("COLORTERM") else DEFAULT


BADGES = frozenset({Tone.BADGE_OK, Tone.BADGE_WARN, Tone.BADGE_BAD, Tone.BADGE_CALM})
"""Tones with a background of their own."""


class Paint(NamedTuple):
    """What something looks like: colours in Textual's notation, None for those of the surface below, and attributes."""

    foreground: str | None = None
    background: str | None = None
    bold: bool = False
    dim: bool = False
    reverse: bool = False

    def over(self, below: Paint) -> Paint:
        """This on top of another look."""
        return Paint(
            self.foreground or below.foreground,
            self.background or below.background,
            self.bold or below.bold,
            self.dim or below.dim,
            self.reverse or below.reverse,
        )


def tone_paints(palette: Palette) -> dict[Tone, Paint]:
    """What each tone looks like, on whatever surface."""
    return {
        Tone.PLAIN: Paint(),
        Tone.STRONG: Paint(palette.strong, bold=True),
        Tone.DIM: Paint(palette.dim, dim=palette.ansi),
        Tone.FAINT: Paint(palette.faint, dim=palette.ansi),
        Tone.HEAD: Paint(palette.dim),
        Tone.TITLE: Paint(palette.strong, bold=True),
        Tone.BAND: Paint(palette.info, bold=True),
        Tone.ACCENT: Paint(palette.accent, bold=True),
        Tone.KEY: Paint(palette.accent, bold=True),
        Tone.OK: Paint(palette.ok),
        Tone.WARN: Paint(palette.warn),
        Tone.BAD: Paint(palette.bad, bold=True),
        Tone.INFO: Paint(palette.info),
        Tone.NOTE: Paint(palette.note),
        Tone.BADGE_OK: _badge(palette, palette.ok),
        Tone.BADGE_WARN: _badge(palette, palette.warn),
        Tone.BADGE_BAD: _badge(palette, palette.bad),
        Tone.BADGE_CALM: _badge(palette, palette.calm_badge),
    }


def _badge(palette: Palette, colour: str) -> Paint:
    if palette.name == "plain":
        return Paint(reverse=True, bold=True)
    return Paint(palette.on_badge, colour, bold=True)


class SurfacePaint(NamedTuple):
    """The paint under the pieces of a line, and over them: the cursor."""

    under: Paint
    over: Paint | None = None


class Surfaces(NamedTuple):
    """The surfaces of a theme, each for whole lines."""

    base: SurfacePaint
    raised: SurfacePaint
    head: SurfacePaint
    head_focused: SurfacePaint
    cursor: SurfacePaint
    cursor_idle: SurfacePaint


def surfaces(palette: Palette) -> Surfaces:
    """The surfaces of a palette."""
    base, reverse = Paint(palette.text, palette.background), palette.reverse_cursor
    return Surfaces(
        base=SurfacePaint(base),
        raised=SurfacePaint(Paint(palette.text, palette.raised)),
        head=SurfacePaint(Paint(palette.dim, palette.raised, bold=reverse)),
        head_focused=SurfacePaint(Paint(palette.accent, palette.raised, bold=True)),
        cursor=SurfacePaint(base, Paint(reverse=True) if reverse else Paint(background=palette.cursor)),
        cursor_idle=SurfacePaint(base, Paint(bold=True) if reverse else Paint(background=palette.cursor_idle)),
    )
