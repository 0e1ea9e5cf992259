"""Immutable values: `dataclasses.dataclass`, whose methods are made when they are first needed.

The standard decorator compiles six functions for each class, half a millisecond for one, and a third of what `clawtop
status` took. Here a class compiles its `__init__` when it has had a few instances, and the other methods are shared by
all. Type checkers see the standard decorator; `fields`, `replace`, `asdict` and matching work as with it.
"""

from __future__ import annotations

import dataclasses
from operator import attrgetter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from dataclasses import dataclass as dataclass  # noqa: PLC0414 - a name of this module
else:

    def dataclass(cls: type | None = None, /, *, eq: bool = True, **options: bool) -> type | Callable[[type], type]:
        """As `dataclasses.dataclass`, which it is for all but frozen classes with slots."""
        if cls is not None or options != {"frozen": True, "slots": True}:
            return dataclasses.dataclass(cls, eq=eq, **options)
        return lambda cls: _value(cls, eq)


def _value(cls: type[Any], eq: bool) -> type[Any]:
    cls.__doc__ = cls.__doc__ or cls.__name__  # else the standard decorator writes its signature
    own = dict(cls.__dict__)
    types = own.get("__annotations__", {})
    if not any(name in str(text) for text in types.values() for name in _NO_FIELD):
        cls.__annotations__ = dict.fromkeys(types, object)  # else each text is searched for what makes it no field
    made = dataclasses.dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    made.__annotations__ = types
    for each in dataclasses.fields(made):
        each.type = types.get(each.name, each.type)
    shared = dict(_SHARED)
    if eq:
        shared |= {"__eq__": _equal, "__hash__": _hash}
        known = dataclasses.fields(made)
        made._compared = _getter([each.name for each in known if each.compare])
        made._hashed = _getter([each.name for each in known if (each.compare if each.hash is None else each.hash)])
    for name, function in shared.items():
        if name not in own or (name == "__hash__" and own[name] is None):
            setattr(made, name, function)
    if "__init__" not in own:
        made.__init__ = _first_init(made)
    return made


_NO_FIELD = ("ClassVar", "InitVar", "KW_ONLY")
"""What in an annotation makes it none of a field."""


def _getter(names: list[str]) -> Callable[[Any], tuple[object, ...]]:
    """A getter for the values of these fields as a tuple; with fewer than two, the class completes it."""
    return attrgetter(*names, *["__class__"] * (2 - len(names)))


# --- the methods that all share ----------------------------------------------------------------------------------


def _equal(self: Any, other: Any) -> Any:
    if other.__class__ is not self.__class__:
        return NotImplemented
    values = self._compared
    return values(self) == values(other)


def _hash(self: Any) -> int:
    return hash(self._hashed(self))


def _repr(self: Any) -> str:
    shown = (f"{each.name}={getattr(self, each.name)!r}" for each in dataclasses.fields(self) if each.repr)
    return f"{self.__class__.__qualname__}({', '.join(shown)})"


def _assign(_self: object, name: str, _value: object) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot assign to field {name!r}")


def _delete(_self: object, name: str) -> None:
    raise dataclasses.FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[object]:
    return [getattr(self, each.name) for each in dataclasses.fields(self)]


def _with_state(self: Any, state: list[object]) -> None:
    for each, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, each.name, value)


_SHARED = {
    "__repr__": _repr,
    "__setattr__": _assign,
    "__delattr__": _delete,
    "__getstate__": _state,
    "__setstate__": _with_state,
}


# --- __init__ ----------------------------------------------------------------------------------------------------

_FEW = 16
"""A class compiles its `__init__` when it has had so many instances: to compile one takes as long as to set the fields
of twice as many one by one.
"""


def _first_init(cls: type[Any]) -> Callable[..., None]:
    """An `__init__` for the first instances, which then puts the class's own in its place."""
    left = _FEW
    assign: Callable[[object, tuple[object, ...], dict[str, object]], bool] | None = None

    def first(self: object, *args: object, **kwargs: object) -> None:
        nonlocal left, assign
        left -= 1
        assign = assign or _one_by_one(cls)
        if left < 0 or not assign(self, args, kwargs):
            made = _init_of(cls)
            cls.__init__ = made
            made(self, *args, **kwargs)

    return first


def _one_by_one(cls: type[Any]) -> Callable[[object, tuple[object, ...], dict[str, object]], bool]:
    """What sets an instance's fields without compiled code; False where the arguments do not fit the class."""
    known = dataclasses.fields(cls)
    places = [each.name for each in known if each.init and not each.kw_only]
    names = {each.name for each in known if each.init}
    puts = [(each.name, getattr(cls, each.name).__set__, each.default, each.default_factory) for each in known]
    finish = getattr(cls, "__post_init__", None)

    def assign(self: object, args: tuple[object, ...], kwargs: dict[str, object]) -> bool:
        given = dict(zip(places, args, strict=False))
        given.update(kwargs)
        if len(given) != len(args) + len(kwargs) or not names >= given.keys():
            return False
        for name, put, default, factory in puts:
            if name in given:
                put(self, given[name])
            elif default is not dataclasses.MISSING:
                put(self, default)
            elif factory is not dataclasses.MISSING:
                put(self, factory())
            elif name in names:
                return False
        if finish is not None:
            finish(self)
        return True

    return assign


def _init_of(cls: type[Any]) -> Callable[..., None]:
    """The `__init__` that the standard decorator would make. It sets the slots by their descriptors, which is faster
    than by `object.__setattr__`.
    """
    known: dict[str, Any] = {"__name__": cls.__module__, "_left_out": dataclasses.MISSING}
    places: list[str] = []
    words: list[str] = []
    lines: list[str] = []
    for each in dataclasses.fields(cls):
        name = value = each.name
        place = name
        if each.default is not dataclasses.MISSING:
            known[f"_default_{name}"] = each.default
            place, value = f"{name}=_default_{name}", name if each.init else f"_default_{name}"
        elif each.default_factory is not dataclasses.MISSING:
            known[f"_make_{name}"] = each.default_factory
            made = f"_make_{name}()"
            place, value = f"{name}=_left_out", f"{made} if {name} is _left_out else {name}" if each.init else made
        elif not each.init:
            continue
        if each.init:
            (words if each.kw_only else places).append(place)
        known[f"_put_{name}"] = getattr(cls, name).__set__
        lines.append(f"_put_{name}(self, {value})")
    if hasattr(cls, "__post_init__"):
        lines.append("self.__post_init__()")
    taken = ", ".join(["self", *places, *(["*", *words] if words else [])])
    exec(f"def __init__({taken}):\n " + "\n ".join(lines or ["pass"]), known)  # noqa: S102 - names of fields alone
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init
