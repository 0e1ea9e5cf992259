"""What sessions.json is validated with, from bytes, by pydantic's core.

Its entries carry kilobytes of skill snapshots each, which never become Python objects that way. The core alone, without
models, keeps 80 ms off the start of every command; where sessions are in databases it is not loaded at all.
"""

from __future__ import annotations

from pydantic_core import SchemaValidator, core_schema

from clawtop.core.javascript import MAX_SAFE_INTEGER
from clawtop.store.wire import MARK, SENSIBLE, SESSION_NUMBERS, SESSION_OTHERS, SESSION_TEXTS


def _fields(schema: core_schema.CoreSchema, names: tuple[str, ...]) -> dict[str, core_schema.TypedDictField]:
    return {name: core_schema.typed_dict_field(schema, required=False) for name in names}


_ANYTHING = core_schema.any_schema()
_TEXT = core_schema.nullable_schema(core_schema.str_schema(strict=True, pattern=r"[^\s\x1c-\x1f]"))
_NUMBER = core_schema.nullable_schema(core_schema.int_schema(strict=True, ge=-MAX_SAFE_INTEGER, le=MAX_SAFE_INTEGER))
_MARKED = core_schema.with_default_schema(core_schema.none_schema(), default=MARK)
_SENSIBLE_ENTRY = core_schema.typed_dict_schema(
    {
        **_fields(_TEXT, SESSION_TEXTS),
        **_fields(_NUMBER, SESSION_NUMBERS),
        **_fields(_ANYTHING, SESSION_OTHERS),
        SENSIBLE: core_schema.typed_dict_field(_MARKED),
    },
    extra_behavior="ignore",
)
_SOME_ENTRY = core_schema.typed_dict_schema(
    _fields(_ANYTHING, (*SESSION_TEXTS, *SESSION_NUMBERS, *SESSION_OTHERS)), extra_behavior="ignore"
)
SESSIONS = SchemaValidator(
    core_schema.dict_schema(
        core_schema.str_schema(),
        core_schema.union_schema([_SENSIBLE_ENTRY, _SOME_ENTRY, _ANYTHING], mode="left_to_right"),
    )
)
"""Validates sessions.json: key -> entry for `session_entry`, or whatever is there instead of an object."""
