"""How keys are written for people."""

from __future__ import annotations

_KEY_LABELS = {
    "colon": ":",
    "question_mark": "?",
    "slash": "/",
    "enter": "⏎",
    "tab": "Tab",
    "shift+tab": "⇧Tab",
    "space": "Space",
    "up": "↑",
    "down": "↓",
    "pageup": "PgUp",
    "pagedown": "PgDn",
    "home": "Home",
    "end": "End",
    "plus": "+",
    "escape": "Esc",
    "f5": "F5",
    "less_than_sign": "<",
    "greater_than_sign": ">",
    "full_stop": ".",
    "comma": ",",
    "left": "←",
    "right": "→",
    "left_square_bracket": "[",
    "right_square_bracket": "]",
}


def key_label(key: str) -> str:
    """How to show a key that is written in Textual's notation."""
    if key in _KEY_LABELS:
        return _KEY_LABELS[key]
    return "^" + key.removeprefix("ctrl+").upper() if key.startswith("ctrl+") else key
