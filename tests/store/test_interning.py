"""Equal values stay the same objects from one time to the next."""

from __future__ import annotations

from dataclasses import dataclass

from clawtop.store.interning import Interned


@dataclass(frozen=True)
class Value:
    text: str


def test_equal_values_are_the_same_object_and_changed_ones_are_new() -> None:
    values: Interned[str, Value] = Interned()
    one, two = values.interned([("a", Value("1")), ("b", Value("2"))])
    again, changed, new = values.interned([("a", Value("1")), ("b", Value("3")), ("c", Value("4"))])
    assert again is one
    assert changed == Value("3")
    assert new == Value("4")
    assert two == Value("2")


def test_what_was_gone_for_a_while_is_not_remembered() -> None:
    values: Interned[str, Value] = Interned()
    (one,) = values.interned([("a", Value("1"))])
    assert values.interned([]) == ()
    (back,) = values.interned([("a", Value("1"))])
    assert back == one
    assert back is not one


def test_of_a_long_list_only_what_was_altered_is_compared() -> None:
    interned: Interned[str, Value] = Interned()
    one, two, three = (Value(text) for text in ("1", "2", "3"))
    _, first, _ = interned.altered((one, two, three), (one, Value("b"), three), lambda value: "the second")
    again = interned.altered((one, two, three), (one, Value("b"), three), lambda value: "the second")
    assert again == (one, Value("b"), three)
    assert all(item is known for item, known in zip(again, (one, first, three), strict=True))
