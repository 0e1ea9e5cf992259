"""Themes for Textual: the styles of each tone on each surface of a palette."""

from __future__ import annotations

from collections.abc import Mapping

from rich.style import Style as RichStyle
from textual.color import Color
from textual.style import Style
from textual.theme import BUILTIN_THEMES, Theme

from clawtop.ui.palettes import BADGES, BY_NAME, Paint, SurfacePaint, surfaces, tone_paints
from clawtop.view.line import Tone


def textual_theme(name: str) -> Theme:
    """The palette as a Textual theme, for what Textual draws itself."""
    palette = BY_NAME[name]
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


class ThemeStyles:
    """The surfaces of one theme, each for whole lines."""

    def __init__(self, name: str) -> None:
        palette = BY_NAME[name]
        self.ansi = palette.ansi
        tones = {tone: _style(look) for tone, look in tone_paints(palette).items()}
        found = surfaces(palette)
        self.base = _surface(tones, found.base)
        self.raised = _surface(tones, found.raised)
        self.head = _surface(tones, found.head)
        self.head_focused = _surface(tones, found.head_focused)
        self.cursor = _surface(tones, found.cursor)
        self.cursor_idle = _surface(tones, found.cursor_idle)


def _surface(tones: Mapping[Tone, Style], look: SurfacePaint) -> ToneStyles:
    return ToneStyles(tones, _style(look.under), None if look.over is None else _style(look.over))


def _style(look: Paint) -> Style:
    return Style(
        foreground=Color.parse(look.foreground) if look.foreground else None,
        background=Color.parse(look.background) if look.background else None,
        bold=look.bold or None,
        dim=look.dim or None,
        reverse=look.reverse or None,
    )
