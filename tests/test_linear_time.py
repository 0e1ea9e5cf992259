"""No word of a stranger makes clawtop stand still: every pattern and every scanner takes time linear in its input.

The patterns are found in the package's modules, the scanners are its pure functions of one text; nothing is listed
here. Ten times the input may take fifteen times as long: by the least processor time of several tries, which other
processes do not lengthen.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import inspect
import pkgutil
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

import clawtop
from clawtop.core.failure.phrases import OrderedPhrase, Pattern, compiled
from clawtop.patterns import LatePattern

pytestmark = pytest.mark.slow

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    import re._parser as sre  # type: ignore[import-not-found]

SMALL, LARGE = 600, 6_000
MOST = 15.0
NOISE_NS = 2_000_000
"""What takes less than this at the large size is fast enough, whatever the clock makes of it."""
TRIES = 4
GROWS = 7.0
"""Four times the text takes four times as long, or sixteen where the time is quadratic; this is between the two."""
ENOUGH_NS = 200_000_000
"""What takes this long is slow without a second try."""
SKIPPED_PACKAGES = ("clawtop.demo", "clawtop.__main__")
PURE = (
    "clawtop.core",
    "clawtop.text",
    "clawtop.redaction",
    "clawtop.secret_shapes",
    "clawtop.cells",
    "clawtop.view.humanize",
    "clawtop.view.line",
    "clawtop.store.gateway.log_",
)

UNITS = (
    "a",
    "A",
    "0",
    "_",
    "-",
    ".",
    "=",
    " ",
    "\t",
    "\n",
    '"',
    "'",
    "\\",
    "/",
    ":",
    "@",
    "{",
    "[",
    "(",
    ",",
    "%",
    "é",
    "\u0301",
    "\u200b",
    "漢",
    "a ",
    "a=",
    'a="',
    "a-",
    "0.",
    "://",
    "://a:",
    "-eyJaaaaaaaa",
    "sk-",
    "Bearer ",
    "key=",
    "secret: ",
    "\x1b[",
    "a\n",
    "{}",
    '{"a":',
    "%41",
    "429 ",
    "error: ",
)


def modules() -> list[Any]:
    names = [item.name for item in pkgutil.walk_packages(clawtop.__path__, "clawtop.")]
    return [importlib.import_module(name) for name in names if not name.startswith(SKIPPED_PACKAGES)]


def patterns_in(value: object, seen: set[int], depth: int = 0) -> Iterator[re.Pattern[Any]]:
    """The compiled patterns in a value: in containers, in the fields of objects, in the defaults of functions."""
    if isinstance(value, re.Pattern):
        yield value
        return
    if isinstance(value, LatePattern):
        yield value.compiled()
        return
    if isinstance(value, Pattern | OrderedPhrase):  # compiled when a text first asks for them
        yield from map(compiled, value.expressions)
        return
    if depth > 5 or id(value) in seen or isinstance(value, str | bytes | int | float | None):
        return
    seen.add(id(value))
    inner: list[object] = []
    if isinstance(value, Mapping):
        inner += [*value.keys(), *value.values()]
    elif isinstance(value, list | tuple | set | frozenset):
        inner += value
    elif inspect.isfunction(value) and value.__module__.startswith("clawtop"):
        inner += [*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()]
        inner += [cell.cell_contents for cell in value.__closure__ or () if _filled(cell)]
    elif type(value).__module__.startswith("clawtop") or (
        inspect.isclass(value) and value.__module__.startswith("clawtop")
    ):
        inner += list(getattr(value, "__dict__", {}).values())
        inner += [getattr(value, name) for name in getattr(type(value), "__slots__", ()) if hasattr(value, name)]
    for part in inner:
        yield from patterns_in(part, seen, depth + 1)


def _filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not None
    except ValueError:
        return False


@functools.cache
def all_patterns() -> dict[str, re.Pattern[Any]]:
    found: dict[str, re.Pattern[Any]] = {}
    seen: set[int] = set()
    for module in modules():
        for name, value in vars(module).items():
            for pattern in patterns_in(value, seen):
                found.setdefault(f"{module.__name__.removeprefix('clawtop.')}.{name}:{pattern.pattern!r:.60}", pattern)
    return found


def example(pattern: re.Pattern[Any]) -> str:
    """A text that the pattern matches, or nearly does: what stands in it, in order."""
    source = pattern.pattern
    text = source.decode("latin-1") if isinstance(source, bytes) else source
    return "".join(_of(sre.parse(text, pattern.flags & ~re.UNICODE if isinstance(source, bytes) else pattern.flags)))


def _of(tree: Any) -> Iterator[str]:
    for kind, argument in tree:
        match str(kind):
            case "LITERAL":
                yield chr(argument)
            case "NOT_LITERAL" | "ANY":
                yield "x"
            case "IN":
                yield _member(argument)
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most, inner = argument
                yield "".join(_of(inner)) * max(least, min(2, int(most)))
            case "SUBPATTERN":
                yield from _of(argument[3])
            case "ATOMIC_GROUP":
                yield from _of(argument)
            case "BRANCH":
                yield from _of(argument[1][0])
            case _:
                pass


def _member(items: Any) -> str:
    for kind, argument in items:
        if str(kind) == "LITERAL":
            return chr(argument)
        if str(kind) == "RANGE":
            return chr(argument[0])
        if str(kind) == "CATEGORY":
            return {"DIGIT": "0", "SPACE": " ", "WORD": "a"}.get(str(argument).rpartition("_")[2], "x")
    return "~"


def texts(units: tuple[str, ...], size: int) -> Iterator[tuple[str, str]]:
    """(how it is made, text) of a size: one unit again and again, alone and with an end that fits nowhere."""
    for unit in units:
        if unit:
            whole = (unit * (size // len(unit) + 1))[:size]
            yield f"{unit!r:.40} repeated", whole
            yield f"{unit!r:.40} repeated, then \\x00", whole[:-1] + "\x00"


def least_time(work: Callable[[], object]) -> int:
    best = 1 << 62
    for _ in range(TRIES):
        began = time.thread_time_ns()
        work()
        best = min(best, time.thread_time_ns() - began)
        if best > ENOUGH_NS or best < NOISE_NS // 100:
            break
    return best


def slow(work: Callable[[str], object], units: tuple[str, ...]) -> list[str]:
    """The first input for which ten times the text takes more than `MOST` times as long, and more of it still does."""
    sizes = (texts(units, SMALL), texts(units, LARGE), texts(units, 4 * LARGE))
    for (how, small), (_, large), (_, larger) in zip(*sizes, strict=True):
        after = least_time(functools.partial(work, large))
        if after < NOISE_NS:
            continue
        before = max(1, least_time(functools.partial(work, small)))
        if after / before > MOST and least_time(functools.partial(work, larger)) / after > GROWS:
            return [f"{how}: {before / 1e6:.2f} ms -> {after / 1e6:.2f} ms"]
    return []


ANYWHERE = re.compile(r"(\w+)\.(?:search|finditer|findall|sub|subn|split)\(")
"""How a pattern is tried at every place of a text; `match` and `fullmatch` try it at the first alone."""


@functools.cache
def tried_anywhere() -> frozenset[str]:
    """Names that some module looks for anywhere in a text."""
    root = Path(clawtop.__file__).parent
    return frozenset(name for path in root.rglob("*.py") for name in ANYWHERE.findall(path.read_text()))


@pytest.mark.parametrize("bad", [r"\w+=", r"\s+$", r"a.*b"])
def test_a_pattern_that_takes_the_square_of_its_text_is_found(bad: str) -> None:
    pattern = re.compile(bad)

    def work(text: str) -> None:
        for _ in pattern.finditer(text):
            pass

    assert slow(work, UNITS) != []


def test_a_pattern_is_found_wherever_it_stands() -> None:
    alone, in_table, of_bytes = re.compile("1"), {"x": (re.compile("2"),)}, [re.compile(b"3")]
    found = [pattern.pattern for value in (alone, in_table, of_bytes) for pattern in patterns_in(value, set())]
    assert found == ["1", "2", b"3"]


def test_the_package_has_patterns() -> None:
    assert len(all_patterns()) > 40


@pytest.mark.parametrize("name", sorted(all_patterns()))
def test_a_pattern_takes_linear_time(name: str) -> None:
    pattern = all_patterns()[name]
    sample = example(pattern)
    cuts = {sample[:end] for end in range(1, min(len(sample), 12) + 1)} | {sample, sample[:-1], sample[1:]}

    variable = name.split(":", maxsplit=1)[0].rpartition(".")[2]
    anywhere = variable in tried_anywhere() or not variable.isupper()  # in a table: nobody knows how it is tried

    def work(text: str) -> None:
        given: Any = text.encode() if isinstance(pattern.pattern, bytes) else text
        if anywhere:
            for _ in pattern.finditer(given):
                pass
        else:
            pattern.match(given)
            pattern.fullmatch(given)

    assert slow(work, (*UNITS, *sorted(cuts))) == []


@functools.cache
def scanners() -> dict[str, Callable[[str], object]]:
    """Functions of the pure rooms that take one text and nothing else that they need."""
    found: dict[str, Callable[[str], object]] = {}
    for module in modules():
        if not module.__name__.startswith(PURE):
            continue
        for name, value in vars(module).items():
            if not inspect.isfunction(value) or value.__module__ != module.__name__:
                continue
            needed = [
                parameter
                for parameter in inspect.signature(value).parameters.values()
                if parameter.default is parameter.empty
                and parameter.kind in {parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD}
            ]
            if len(needed) == 1 and str(needed[0].annotation) in {"str", "object", "bytes"}:
                given = str(needed[0].annotation)
                found[f"{module.__name__.removeprefix('clawtop.')}.{name}"] = (
                    (lambda text, call=value: call(text.encode("utf-8", "replace")))  # type: ignore[misc]
                    if given == "bytes"
                    else value
                )
    return found


def test_the_pure_rooms_have_scanners() -> None:
    assert {"redaction.masked", "text.safe", "text.shown", "redaction.whole_words"} <= scanners().keys()


@pytest.mark.parametrize("name", sorted(scanners()))
def test_a_scanner_takes_linear_time(name: str) -> None:
    call = scanners()[name]

    def work(text: str) -> None:
        with contextlib.suppress(ValueError, TypeError, LookupError, AttributeError):
            call(text)

    assert slow(work, UNITS) == []
