"""Our data classes beside the standard library's: whatever can be done with both comes out the same."""

from __future__ import annotations

import copy
import dataclasses
import inspect
import pickle
import typing
from collections.abc import Callable
from dataclasses import FrozenInstanceError, field
from pathlib import Path
from typing import Any, Generic, TypeVar

import pytest

from clawtop import values

T = TypeVar("T")
Decorator = Callable[..., Any]
PACKAGE = Path(values.__file__).parent


def family(decorate: Decorator) -> dict[str, Any]:
    """The same classes by either decorator; `made_by` tells them apart."""

    @decorate(frozen=True, slots=True)
    class Point:
        """Has a place."""

        x: int
        y: float = 0.5
        tags: tuple[str, ...] = ()
        seen: dict[str, int] = field(default_factory=dict, compare=False)
        secret: str = field(default="s", repr=False)

    @decorate(frozen=True, slots=True)
    class Named(Point):
        name: str = "n"

        @property
        def loud(self) -> str:
            return self.name.upper()

    @decorate(slots=True)
    class Counter:
        count: int = 0
        parts: list[int] = field(default_factory=list)
        first: int = field(default=7, init=False)

    @decorate(frozen=True)
    class Box(Generic[T]):
        content: T

    @decorate(frozen=True, slots=True, eq=False)
    class Token:
        text: str

    @decorate
    class Plain:
        name: str
        other: Any = None

    @decorate(frozen=True, slots=True)
    class Shown:
        text: str

        def __repr__(self) -> str:
            return "shown"

        def __eq__(self, other: object) -> bool:
            return True

        def __hash__(self) -> int:
            return 1

    @decorate(frozen=True, slots=True)
    class Empty:
        pass

    return {made.__name__: made for made in (Point, Named, Counter, Box, Token, Plain, Shown, Empty)}


OURS, THEIRS = family(values.dataclass), family(dataclasses.dataclass)
CALLS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (1,), {}),
    ("Point", (1, 0.5), {"tags": ("a",)}),
    ("Point", (2, float("nan")), {"seen": {"a": 1}}),
    ("Named", (1, 2.0), {"name": "x"}),
    ("Counter", (), {}),
    ("Counter", (3, [1]), {}),
    ("Box", ([1],), {}),
    ("Box", ("text",), {}),
    ("Token", ("t",), {}),
    ("Plain", ("p",), {"other": (1, 2)}),
    ("Shown", ("a",), {}),
    ("Empty", (), {}),
]
WRONG: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("Point", (), {}),
    ("Point", (1,), {"z": 3}),
    ("Counter", (), {"first": 1}),
    ("Empty", (1,), {}),
]


def outcome(act: Callable[[], Any]) -> Any:
    try:
        return act()
    except Exception as error:  # noqa: BLE001 - to be compared
        return type(error), str(error)


@pytest.mark.parametrize(("name", "words", "named"), CALLS)
def test_instances_are_the_same(name: str, words: tuple[Any, ...], named: dict[str, Any]) -> None:
    ours, theirs = OURS[name](*words, **named), THEIRS[name](*words, **named)
    assert repr(ours) == repr(theirs)
    assert dataclasses.asdict(ours).keys() == dataclasses.asdict(theirs).keys()
    assert repr(dataclasses.astuple(ours)) == repr(dataclasses.astuple(theirs))
    assert outcome(lambda: hash(ours) == hash(ours)) == outcome(lambda: hash(theirs) == hash(theirs))
    assert hasattr(ours, "__dict__") == hasattr(theirs, "__dict__")
    for again in (copy.copy, copy.deepcopy, dataclasses.replace):
        assert (again(ours) == ours, again(ours) != ours) == (again(theirs) == theirs, again(theirs) != theirs)
    assert (ours == 1, ours != 1) == (theirs == 1, theirs != 1)
    for item in dataclasses.fields(ours):
        assert outcome(lambda: setattr(ours, item.name, 1)) == outcome(lambda: setattr(theirs, item.name, 1))  # noqa: B023
        assert outcome(lambda: delattr(ours, item.name)) == outcome(lambda: delattr(theirs, item.name))  # noqa: B023


@pytest.mark.parametrize(("name", "words", "named"), WRONG)
def test_wrong_calls_are_refused_in_the_same_words(name: str, words: tuple[Any, ...], named: dict[str, Any]) -> None:
    assert outcome(lambda: OURS[name](*words, **named)) == outcome(lambda: THEIRS[name](*words, **named))


@pytest.mark.parametrize("name", OURS)
def test_classes_look_the_same(name: str) -> None:
    ours, theirs = OURS[name], THEIRS[name]
    assert str(inspect.signature(ours)) == str(inspect.signature(theirs))
    assert typing.get_type_hints(ours.__init__) == typing.get_type_hints(theirs.__init__)
    assert ours.__match_args__ == theirs.__match_args__
    assert ours.__dict__.get("__slots__") == theirs.__dict__.get("__slots__")
    assert ours.__qualname__ == theirs.__qualname__
    shown = [(item.name, item.type, item.repr, item.compare, item.init) for item in dataclasses.fields(theirs)]
    assert [(item.name, item.type, item.repr, item.compare, item.init) for item in dataclasses.fields(ours)] == shown


def test_what_is_compared_and_what_is_not() -> None:
    point = OURS["Point"]
    assert point(1, seen={"a": 1}) == point(1)
    assert hash(point(1, seen={"a": 1})) == hash(point(1))
    assert point(1) != point(2)
    assert point(1) != OURS["Named"](1)
    assert {point(1), point(1), point(2)} == {point(1), point(2)}
    assert OURS["Token"]("a") != OURS["Token"]("a")


def test_a_class_that_is_inherited_from_before_it_was_called() -> None:
    @values.dataclass(frozen=True, slots=True)
    class Base:
        a: int

    class Sub(Base):
        pass

    assert Sub(1).a == 1
    assert Base(2).a == 2
    with pytest.raises(FrozenInstanceError):
        Base(2).a = 3  # type: ignore[misc]


def test_pickling() -> None:
    from clawtop.core.model import Problem

    problem = Problem("code", "where", "text")
    assert pickle.loads(pickle.dumps(problem)) == problem


def test_every_data_class_of_the_package_is_one_of_these() -> None:
    wrong = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if path.name != "values.py"
        for line in path.read_text().splitlines()
        if line.lstrip().startswith(("from dataclasses import", "import dataclasses"))
        and (
            "dataclass" in line.partition(" import ")[2].replace(" ", "").split(",")
            or line.lstrip().startswith("import")
        )
    ]
    assert wrong == []
