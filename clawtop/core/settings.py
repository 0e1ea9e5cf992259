"""Settings that an operator saves instead of repeating them: the table, its defaults, and how it is read.

A setting comes from the command line, else from its environment variable, else from the file, else from here. Invalid
values are reported and left at their default: a typo must not keep the dashboard from starting.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from clawtop.core.nearest import did_you_mean
from clawtop.text import safe
from clawtop.values import dataclass

VIEWS = ("overview", "tree", "lanes", "timeline", "forecast", "warnings")
"""The dashboard's views, in the order of their tabs; each is a command of `commands.table`."""
THEMES = ("lobster", "paper", "contrast", "ansi", "plain")
ENVIRONMENT_PREFIX = "CLAWTOP_"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: as in the file; `section` is its table there, "" for none.
        default: also gives the type of value: bool, float, str, a list of strings or a table of them. A setting that
            is unset by default has `kind` str.
        allowed: the only values, where there are few.
        help: one line, for the file and the man page.
    """

    name: str
    default: Any
    help: str
    section: str = ""
    allowed: tuple[str, ...] = ()

    @property
    def path(self) -> str:
        return f"{self.section}.{self.name}" if self.section else self.name

    @property
    def variable(self) -> str | None:
        """The environment variable; a table has none."""
        return None if isinstance(self.default, dict) else ENVIRONMENT_PREFIX + self.name.upper()


SETTINGS: tuple[Setting, ...] = (
    Setting("state_dir", None, "OpenClaw's state directory; unset: as OpenClaw finds it"),
    Setting("agent", None, "only this agent; unset: all"),
    Setting("theme", None, "colour theme; unset: the best that the terminal supports", allowed=THEMES),
    Setting("view", None, "the view that opens first; unset: the tree when something is blocked", allowed=VIEWS),
    Setting("read_only", False, "operations cannot be armed"),
    Setting("mouse", True, "false leaves the mouse to the terminal"),
    Setting("bell", False, "ring the terminal bell on a notice"),
    Setting("notify", False, "send notices to the terminal (OSC 9)"),
    Setting(
        "on_notice",
        None,
        "a command to run on a notice (dashboard, fleet, status --watch, export --listen); the notice"
        " is its last argument and CLAWTOP_NOTICE",
    ),
    Setting("blocked_minutes", 5.0, "give notice when a session has been blocked this long", "limits"),
    Setting("lock_wait_seconds", 15.0, "how long an operation waits for a lock", "limits"),
    Setting("verify_seconds", 10.0, "how long an operation watches how a live gateway reacts", "limits"),
    Setting(
        "registry", None, "etcd://HOST:2379[,..][/PREFIX]: coordinate engines on several hosts there; unset: in files"
    ),
    Setting(
        "registry_mounts", [], "/DIRECTORY=NAME: a common name for a directory that hosts mount at different paths"
    ),
    Setting("hosts", [], "hosts that clawtop fleet watches, as ssh knows them", "fleet"),
    Setting("labels", {}, "session key = the label to show for it"),
    Setting("sort", {}, "table = the column it is sorted by; -column reverses the order"),
    Setting("columns", {}, "table = [columns in order]: profiles, sessions, locks, warnings"),
)

Settings = Mapping[str, Any]
"""Path -> value: `limits.blocked_minutes`, `theme`. Every setting is there."""


@dataclass(frozen=True, slots=True)
class LoadedSettings:
    """Settings, and messages about values that could not be used."""

    values: Settings
    problems: tuple[str, ...] = ()


def defaults() -> dict[str, Any]:
    return {setting.path: setting.default for setting in SETTINGS}


def read_settings(
    document: Mapping[str, Any], environment: Mapping[str, str], source: str = "the config"
) -> LoadedSettings:
    """Settings from a parsed file and the environment."""
    values, problems = defaults(), list[str]()
    for path, raw in _flat(document):
        setting = _BY_PATH.get(path)
        if setting is None:
            problems.append(f"{source}: {_unknown(path)}; it is ignored")
        elif (why := _why_not(setting, raw)) is not None:
            problems.append(f"{source}: {path} {why}; it is ignored")
        else:
            values[path] = _as(setting, raw)
    for setting in SETTINGS:
        if setting.variable is None or (text := environment.get(setting.variable)) in {None, ""}:
            continue
        raw = _from_text(setting, text or "")
        if (why := _why_not(setting, raw)) is not None:
            problems.append(f"{setting.variable} {why}; it is ignored")
        else:
            values[setting.path] = _as(setting, raw)
    return LoadedSettings(values, tuple(problems))


def value_from_text(path: str, text: str) -> Any:
    """A setting's value from typed text. Raises ValueError with a message for people."""
    table, _, entry = path.partition(".")
    if entry and table in TEXT_TABLES:
        return text
    setting = _BY_PATH.get(path)
    if setting is None:
        raise ValueError(_unknown(path))
    if isinstance(setting.default, dict):
        how = f"set {path}.NAME=VALUE" if path in TEXT_TABLES else "edit the file"
        raise ValueError(f"{path} is a table: {how}")  # noqa: TRY004 - what was typed is wrong
    raw = _from_text(setting, text)
    if (why := _why_not(setting, raw)) is not None:
        raise ValueError(f"{path} {why}")
    return _as(setting, raw)


def toml_of(values: Settings) -> str:
    """The whole file: every setting with its help; what is unset is commented out. Reads back as `values`."""
    lines: list[str] = []
    tables = [setting for setting in SETTINGS if isinstance(setting.default, dict)]
    plain = [setting for setting in SETTINGS if setting not in tables]
    for section in dict.fromkeys(setting.section for setting in plain):
        lines += [f"[{section}]"] if section else []
        lines += [_line(setting, values[setting.path]) for setting in plain if setting.section == section]
        lines.append("")
    for setting in tables:
        lines += [f"[{setting.name}]  # {setting.help}"]
        lines += [f"{_key(key)} = {_literal(value)}" for key, value in values[setting.path].items()]
        lines.append("")
    return "\n".join(lines)


def with_value(text: str, path: str, value: Any) -> str:
    """The file's text with one setting changed and every other line as it was.

    Raises KeyError if the setting is written in a form that should be edited by hand (such as over several lines).
    """
    section, _, name = path.rpartition(".")
    return _with_line(text, section, name, value)


def with_entry(text: str, table: str, key: str, value: str) -> str:
    """The same for one entry of a table, such as a session's label."""
    return _with_line(text, table, _key(key), value)


def _with_line(text: str, section: str, name: str, value: Any) -> str:
    line = f"{name} = {_literal(value)}"
    lines = text.splitlines()
    here, at = "", -1 if section else 0
    for number, old in enumerate(lines):
        told = old.strip()
        if told.startswith("["):
            here = told.partition("]")[0].strip("[ ")
            at = number + 1 if here == section else at
            continue
        if here == section:
            at = number + 1 if told and not told.startswith("#") else at
            if told.startswith(name) and told[len(name) :].lstrip().startswith("="):
                if told.endswith(("[", "{", '"""', "'''")):
                    raise KeyError(name)
                return "\n".join([*lines[:number], line, *lines[number + 1 :], ""])
    if at < 0:
        return "\n".join([*lines, *([""] if lines and lines[-1].strip() else []), f"[{section}]", line, ""])
    return "\n".join([*lines[:at], line, *lines[at:], ""])


# --- values -------------------------------------------------------------------------------------------------------


_BY_PATH = {setting.path: setting for setting in SETTINGS}


def _unknown(path: str) -> str:
    return f"there is no setting {safe(path, 80)}{did_you_mean(path, _BY_PATH)}"


def _flat(document: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in document.items():
        path = f"{prefix}{key}"
        if isinstance(value, dict) and path not in _BY_PATH:
            yield from _flat(value, f"{path}.")
        else:
            yield path, value


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_seconds(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e6


TEXT_TABLES = ("labels", "sort")
"""Tables of texts, whose entries are set one at a time."""
_KINDS: Mapping[type, tuple[Callable[[Any], bool], str]] = {
    bool: (lambda value: isinstance(value, bool), "true or false"),
    float: (_is_seconds, "a number, 0 or more"),
    list: (_is_strings, "a list of strings"),
    type(None): (_is_text, "a string"),
}
_OF_TABLES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "sort": (lambda value: all(map(_is_text, value.values())), "a table of strings"),
    "labels": (lambda value: all(map(_is_text, value.values())), "a table of strings"),
    "columns": (lambda value: all(map(_is_strings, value.values())), "a table of lists of column names"),
}


def _why_not(setting: Setting, value: Any) -> str | None:
    if isinstance(setting.default, dict):
        fits, what = _OF_TABLES[setting.name]
        return None if isinstance(value, dict) and fits(value) else f"must be {what}"
    fits, what = _KINDS[type(setting.default)]
    if not fits(value):
        return f"must be {what}, not {safe(json.dumps(value, default=str), 40)}"
    if setting.allowed and value not in setting.allowed:
        return f"must be one of {', '.join(setting.allowed)}{did_you_mean(value, setting.allowed)}"
    return None


def _as(setting: Setting, value: Any) -> Any:
    return float(value) if isinstance(setting.default, float) else value


_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def _from_text(setting: Setting, text: str) -> Any:
    if isinstance(setting.default, bool):
        return _WORDS.get(text.strip().lower(), text)
    if isinstance(setting.default, float):
        try:
            return float(text)
        except ValueError:
            return text
    if isinstance(setting.default, list):
        return [part for part in text.replace(",", " ").split() if part]
    return text


def _line(setting: Setting, value: Any) -> str:
    unset = value is None
    shown = f"{setting.name} = {_literal(setting.allowed[0] if setting.allowed else '') if unset else _literal(value)}"
    return f"{'# ' if unset else ''}{shown}  # {setting.help}"


def _literal(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(map(_literal, value))}]"
    return repr(value) if isinstance(value, float) else _quoted(str(value))


def _quoted(text: str) -> str:
    """A basic string: TOML's escapes are JSON's; DEL must be escaped too, and lone surrogates cannot be written."""
    clean = text.encode("utf-8", "replace").decode()
    return json.dumps(clean, ensure_ascii=False).replace("\x7f", "\\u007f")


def _key(key: str) -> str:
    bare = key and all(char.isascii() and (char.isalnum() or char in "-_") for char in key)
    return key if bare else _quoted(key)
