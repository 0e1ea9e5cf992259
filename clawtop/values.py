"""Data classes as the standard library has them, made in a fraction of its time.

The standard library writes six methods of each class as text and compiles them, half a millisecond for a class, and
some hundred classes stand between the command line and the first screen. Here comparing, hashing and showing go by the
names of the fields, and `__init__`, whose parameters they are, is compiled when a class is first called or looked at.
`fields`, `replace`, `asdict`, matching, copying and pickling work as ever. Not offered, since nothing needs them:
ordering, keyword-only fields, `InitVar`, `weakref_slot`, and classes that inherit from those of the standard library.
"""

from __future__ import annotations

import dataclasses
import reprlib
import sys
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NoReturn

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls: type | None = None, /, *, frozen: bool = False, slots: bool = False, eq: bool = True) -> Any:
        """As `dataclasses.dataclass`."""
        if cls is None:
            return lambda given: _made(given, frozen=frozen, slots=slots, eq=eq)
        return _made(cls, frozen=frozen, slots=slots, eq=eq)


def _made(cls: type[Any], *, frozen: bool, slots: bool, eq: bool) -> type[Any]:
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else the standard library looks its signature up, to write it there
    dataclasses.dataclass(init=False, repr=False, eq=False)(cls)
    later = {"__init__": _Later("__init__", _frozen_init if frozen else _init)}
    methods: dict[str, Any] = {"__repr__": _repr}
    if eq:
        later["__eq__"] = _Later("__eq__", _eq)
        if frozen:
            later["__hash__"] = _Later("__hash__", _hash)
        else:
            methods["__hash__"] = None
    if frozen and slots:
        methods |= {"__getstate__": _getstate, "__setstate__": _setstate}
    methods = {name: method for name, method in (methods | later).items() if name not in cls.__dict__}
    if frozen:
        methods |= {"__setattr__": _no_setattr, "__delattr__": _no_delattr}
    if slots:
        cls = _slotted(cls, methods)
    else:
        for name, method in methods.items():
            setattr(cls, name, method)
    for method in later.values():
        method.of = cls
    return cls


def _slotted(cls: type[Any], methods: dict[str, Any]) -> type[Any]:
    """The class again: slots cannot be given to one that is there."""
    names = [field.name for field in dataclasses.fields(cls)]
    inherited = {name for base in cls.__mro__[1:-1] for name in getattr(base, "__slots__", ())}
    gone = {*names, "__dict__", "__weakref__"}
    content = {name: value for name, value in cls.__dict__.items() if name not in gone} | methods
    content["__slots__"] = tuple(name for name in names if name not in inherited)
    kind: Any = type(cls)
    made: type[Any] = kind(cls.__name__, cls.__bases__, content)
    made.__qualname__ = cls.__qualname__
    return made


class _NotGiven:
    def __repr__(self) -> str:
        return "<factory>"


_MISSING = _NotGiven()


class _Later:
    """Stands for a method until somebody asks for it."""

    of: type[Any]

    def __init__(self, name: str, make: Callable[[type[Any]], Any]) -> None:
        self._name = name
        self._make = make

    def __get__(self, instance: object, _owner: type[Any] | None = None) -> Any:
        function = self.of.__dict__[self._name]
        if function is self:
            function = self._make(self.of)
            setattr(self.of, self._name, function)
        return function if instance is None else function.__get__(instance)


def _frozen_init(cls: type[Any]) -> Any:
    return _init(cls, frozen=True)


def _init(cls: type[Any], *, frozen: bool = False) -> Any:
    given: dict[str, Any] = {"_missing": _MISSING, "_set": object.__setattr__}
    parameters, lines = ["self"], []
    fields = dataclasses.fields(cls)
    for field in fields:
        name = value = field.name
        if field.default is not dataclasses.MISSING:
            given[f"_default_{name}"] = field.default
        factory = field.default_factory is not dataclasses.MISSING
        if factory:
            given[f"_new_{name}"] = field.default_factory
            value = f"_new_{name}() if {name} is _missing else {name}" if field.init else f"_new_{name}()"
        elif not field.init:
            if field.default is dataclasses.MISSING:
                continue
            value = f"_default_{name}"
        if field.init:
            default = "=_missing" if factory else f"=_default_{name}" if f"_default_{name}" in given else ""
            parameters.append(name + default)
        lines.append(_assignment(cls, name, value, given) if frozen else f"self.{name} = {value}")
    function = _compiled(cls, f"__init__({', '.join(parameters)})", lines or ["pass"], given)
    function.__annotations__ = {field.name: field.type for field in fields if field.init} | {"return": None}
    return function


def _compiled(cls: type[Any], head: str, lines: Sequence[str], given: Mapping[str, Any] = MappingProxyType({})) -> Any:
    """A method of the class from its text; `given`: names that it uses besides those of the module."""
    text = f"def make({', '.join(given)}):\n def {head}:\n  " + "\n  ".join(lines)
    made: dict[str, Any] = {}
    name = head.partition("(")[0]
    exec(f"{text}\n return {name}", vars(sys.modules[cls.__module__]), made)  # noqa: S102 - names of fields, no data
    function = made["make"](**given)
    function.__qualname__ = f"{cls.__qualname__}.{name}"
    return function


def _assignment(cls: type[Any], name: str, value: str, given: dict[str, Any]) -> str:
    """Sets a field of a frozen instance: through its slot, where it has one, which is quickest."""
    slot = getattr(cls, name, None)
    if slot is not None and hasattr(type(slot), "__set__"):
        given[f"_set_{name}"] = slot.__set__
        return f"_set_{name}(self, {value})"
    return f"_set(self, {name!r}, {value})"


def _eq(cls: type[Any]) -> Any:
    same = f"return {_values_of(cls, 'self')} == {_values_of(cls, 'other')}"
    return _compiled(
        cls, "__eq__(self, other)", ["if other.__class__ is self.__class__:", f" {same}", "return NotImplemented"]
    )


def _hash(cls: type[Any]) -> Any:
    return _compiled(cls, "__hash__(self)", [f"return hash({_values_of(cls, 'self')})"])


def _values_of(cls: type[Any], which: str) -> str:
    return "(" + "".join(f"{which}.{field.name}," for field in dataclasses.fields(cls) if field.compare) + ")"


@reprlib.recursive_repr()
def _repr(self: Any) -> str:
    shown = (f"{field.name}={getattr(self, field.name)!r}" for field in dataclasses.fields(self) if field.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _no_setattr(_self: Any, name: str, _value: Any) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _no_delattr(_self: Any, name: str) -> NoReturn:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _getstate(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _setstate(self: Any, state: Sequence[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
