"""clawtop.values against the standard decorator: whatever a caller can see is the same."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any, ClassVar

import pytest

from clawtop import values
from clawtop.values import dataclass


@dataclass(frozen=True, slots=True)
class Mixed:
    """Every kind of field."""

    name: str
    count: int = 3
    parts: tuple[int, ...] = ()
    rest: Mapping[str, int] = field(default_factory=dict)
    unseen: str | None = field(default=None, compare=False, repr=False)
    fixed: int = field(default=7, init=False)
    made: list[int] = field(default_factory=list, init=False, hash=False, compare=False)
    last: int = field(default=1, kw_only=True)
    shared: ClassVar[int] = 5


@dataclasses.dataclass(frozen=True, slots=True)
class Standard:
    """The same."""

    name: str
    count: int = 3
    parts: tuple[int, ...] = ()
    rest: Mapping[str, int] = field(default_factory=dict)
    unseen: str | None = field(default=None, compare=False, repr=False)
    fixed: int = field(default=7, init=False)
    made: list[int] = field(default_factory=list, init=False, hash=False, compare=False)
    last: int = field(default=1, kw_only=True)
    shared: ClassVar[int] = 5


@dataclass(frozen=True, slots=True)
class Nothing:
    """No field."""


@dataclass(frozen=True, slots=True)
class Single:
    value: float


@dataclass(frozen=True, slots=True)
class Derived(Single):
    """With what it inherits."""

    more: int = 2


@dataclass(frozen=True, slots=True)
class Checked:
    """With code of its own."""

    value: int
    twice: int = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "twice", 2 * self.value)

    def __repr__(self) -> str:
        return f"<{self.value}>"


@dataclass(frozen=True, slots=True, eq=False)
class Itself:
    """Equal to itself alone."""

    value: int


DO: dict[str, Callable[[Any], object]] = {
    "shown": lambda cls: repr(cls("a", 2, last=5)).partition("(")[2],
    "as a dict": lambda cls: dataclasses.asdict(cls("a", rest={"x": 1}, unseen="u")),
    "equal": lambda cls: cls("a", unseen="b") == cls("a", 3, (), {}, "c", last=1),
    "unequal": lambda cls: cls("a", last=2) == cls("a"),
    "not another class": lambda cls: (cls("a") == "a", cls("a") != 3),
    "own default": lambda cls: cls("a").rest is cls("a").rest,
    "replaced": lambda cls: dataclasses.asdict(dataclasses.replace(cls("a", 9, unseen="u"), name="b", last=4)),
    "copied": lambda cls: dataclasses.asdict(copy.deepcopy(cls("a", rest={"x": 1}, unseen="u"))),
    "pickled": lambda cls: dataclasses.asdict(pickle.loads(pickle.dumps(cls("a", unseen="u")))),
    "unhashable inside": lambda cls: hash(cls("a")),
    "missing": lambda cls: cls(),
    "too many": lambda cls: cls("a", 1, (), {}, None, 1),
    "unknown": lambda cls: cls("a", other=1),
    "not of init": lambda cls: cls("a", fixed=1),
    "assigned": lambda cls: setattr(cls("a"), "name", "b"),
    "deleted": lambda cls: delattr(cls("a"), "name"),
    "slots": lambda cls: hasattr(cls("a"), "__dict__"),
    "places": lambda cls: cls.__match_args__,
    "fields": lambda cls: [(each.name, each.type, each.compare, each.repr) for each in dataclasses.fields(cls)],
}


@pytest.mark.parametrize("init", [values._first_init, values._init_of], ids=["first", "later"])
@pytest.mark.parametrize("what", DO)
def test_what_a_caller_sees_is_the_standard_decorators(
    what: str, init: Callable[[type], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the first instances, whose fields are set one by one, and of those for which the class compiles a method."""
    monkeypatch.setattr(Mixed, "__init__", init(Mixed))
    assert _outcome(DO[what], Mixed) == _outcome(DO[what], Standard)


def _outcome(do: Callable[[Any], object], cls: type) -> object:
    try:
        return do(cls)
    except (TypeError, AttributeError) as error:
        return type(error), str(error).replace(cls.__name__, "Name")


def test_equal_values_are_one_key() -> None:
    nan = float("nan")
    assert len({Single(1), Single(1.0), Single(2), Nothing(), Nothing(), Single(nan), Single(nan)}) == 4
    assert Single(1) != Derived(1)
    assert Derived(1) == Derived(1, 2)
    assert len({Itself(1), Itself(1)}) == 2


@dataclass(frozen=True, slots=True)
class Apart:
    """A value with a part that is compared, and that no hash can be made of."""

    name: str
    parts: dict[str, int] = field(default_factory=dict, hash=False)


def test_a_part_that_is_left_out_of_the_hash_is_compared_all_the_same() -> None:
    assert hash(Apart("a", {"x": 1})) == hash(Apart("a", {"x": 2}))
    assert Apart("a", {"x": 1}) != Apart("a", {"x": 2})
    assert {Apart("a", {"x": 1}): 1}[Apart("a", {"x": 1})] == 1


def test_no_name_can_be_added() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(Single(1), "other", 2)  # noqa: B010 - a name that type checkers refuse


def test_what_a_class_writes_itself_stays() -> None:
    assert (repr(Checked(2)), Checked(2).twice, Checked(2) == Checked(2)) == ("<2>", 4, True)
    assert Single.__doc__


def test_a_class_compiles_nothing_for_its_first_instances() -> None:
    @dataclass(frozen=True, slots=True)
    class Late:
        """Defined here."""

        one: int
        two: int = 2

    methods = ("__init__", "__repr__", "__eq__", "__hash__", "__setattr__", "__delattr__")

    def compiled() -> list[str]:
        return [name for name in methods if getattr(Late, name).__code__.co_filename == "<string>"]

    assert compiled() == []
    assert (Late(1).one, Late(one=3).two) == (1, 2)
    assert compiled() == []
    assert [Late(number).one for number in range(100)] == list(range(100))
    assert Late.__init__.__code__.co_filename == "<string>"
