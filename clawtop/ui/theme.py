"""Themes: how each tone of the views looks. The first three use exact colours from the 256.

`ansi` leaves the colours to the terminal (16 of them); `plain` uses none and is chosen for NO_COLOR.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from rich.style import Style as RichStyle
from textual.color import Color
from textual.style import Style
from textual.theme import BUILTIN_THEMES, Theme

from clawtop.view.line import Tone


class Palette(NamedTuple):
    """The colours of a theme, in Textual's notation. `attributes` are marks a tone carries besides its colour."""

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
_BY_NAME: Mapping[str, Palette] = {palette.name: palette for palette in PALETTES}


def choose(wanted: str | None, environment: Mapping[str, str]) -> str:
    """The theme to start with: NO_COLOR decides first, then the setting, then what the terminal can do."""
    if environment.get("NO_COLOR"):
        return "plain"
    if wanted is not None and wanted in _BY_NAME:
        return wanted
    few_colours = environment.get("TERM", "") in ("ansi", "linux", "vt100", "vt220", "xterm", "screen", "cons25")
    return "ansi" if few_colours and not environment.get("COLORTERM") else DEFAULT


def textual_theme(name: str) -> Theme:
    """The palette as a Textual theme, for what Textual draws itself."""
    palette = _BY_NAME[name]
    return Theme(
        name=name,
        primary=palette.accent,
        secondary=palette.info,
        warning=palette.warn,
        error=palette.bad,
        success=palette.ok,
        accent=palette.accent,
        foreground=palette.text,
        background=palette.background,
        surface=palette.raised,
        panel=palette.raised,
        dark=palette.dark,
        ansi=palette.ansi,
        variables={
            **(BUILTIN_THEMES["ansi-dark"].variables if palette.ansi else {}),
            "scrollbar": palette.faint,
            "scrollbar-hover": palette.dim,
            "scrollbar-active": palette.accent,
            "scrollbar-background": palette.background,
            "scrollbar-background-hover": palette.background,
            "scrollbar-background-active": palette.background,
            "scrollbar-corner-color": palette.background,
            "cursor-line": palette.cursor,
            "dim": palette.dim,
            "faint": palette.faint,
        },
    )


class ToneStyles(dict[Tone, RichStyle]):
    """How each tone looks on one background; computed when a tone is first drawn there.

    Args:
        tones: the styles of the theme.
        under: the style below every piece.
        over: the style on top of every piece: the cursor's.
    """

    def __init__(self, tones: Mapping[Tone, Style], under: Style, over: Style | None = None) -> None:
        super().__init__()
        self._tones = tones
        self._under = under
        self._over = over
        reverses = bool(over is not None and over.reverse)
        self._transparent = frozenset() if reverses else frozenset(tones) - BADGES

    def __missing__(self, tone: Tone) -> RichStyle:
        style = self._under + self._tones[tone]
        if self._over is not None:
            style += self._over
        found = self[tone] = style.rich_style
        return found

    def looks_alike(self, text: str, tone: Tone, other: Tone) -> bool:
        """Whether a text looks the same in both tones: it is blank, and neither tone is visible in blanks."""
        return tone in self._transparent and other in self._transparent and text.isspace()


BADGES = frozenset({Tone.BADGE_OK, Tone.BADGE_WARN, Tone.BADGE_BAD, Tone.BADGE_CALM})
"""Tones with a background of their own."""


class ThemeStyles:
    """The surfaces of one theme, each for whole lines."""

    def __init__(self, name: str) -> None:
        palette = _BY_NAME[name]
        self.ansi = palette.ansi
        base = _style(palette.text, palette.background)
        cursor, idle = Color.parse(palette.cursor), Color.parse(palette.cursor_idle)
        tones: Mapping[Tone, Style] = {
            Tone.PLAIN: Style(),
            Tone.STRONG: _style(palette.strong, bold=True),
            Tone.DIM: _style(palette.dim, dim=palette.ansi or None),
            Tone.FAINT: _style(palette.faint, dim=palette.ansi or None),
            Tone.HEAD: _style(palette.dim),
            Tone.TITLE: _style(palette.strong, bold=True),
            Tone.BAND: _style(palette.info, bold=True),
            Tone.ACCENT: _style(palette.accent, bold=True),
            Tone.KEY: _style(palette.accent, bold=True),
            Tone.OK: _style(palette.ok),
            Tone.WARN: _style(palette.warn),
            Tone.BAD: _style(palette.bad, bold=True),
            Tone.INFO: _style(palette.info),
            Tone.NOTE: _style(palette.note),
            Tone.BADGE_OK: _badge(palette, palette.ok),
            Tone.BADGE_WARN: _badge(palette, palette.warn),
            Tone.BADGE_BAD: _badge(palette, palette.bad),
            Tone.BADGE_CALM: _badge(palette, palette.calm_badge),
        }
        self.base = ToneStyles(tones, base)
        self.raised = ToneStyles(tones, _style(palette.text, palette.raised))
        self.head = ToneStyles(tones, _style(palette.dim, palette.raised, bold=palette.reverse_cursor))
        self.head_focused = ToneStyles(tones, _style(palette.accent, palette.raised, bold=True))
        reverse = palette.reverse_cursor
        self.cursor = ToneStyles(tones, base, Style(reverse=True) if reverse else Style(background=cursor))
        self.cursor_idle = ToneStyles(tones, base, Style(bold=True) if reverse else Style(background=idle))


def _style(foreground: str, background: str | None = None, *, bold: bool = False, dim: bool | None = None) -> Style:
    return Style(
        foreground=Color.parse(foreground),
        background=Color.parse(background) if background else None,
        bold=bold or None,
        dim=dim,
    )


def _badge(palette: Palette, colour: str) -> Style:
    if palette.name == "plain":
        return Style(reverse=True, bold=True)
    return Style(foreground=Color.parse(palette.on_badge), background=Color.parse(colour), bold=True)
