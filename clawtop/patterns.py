"""Regular expressions that are compiled when they are first used: a start imports four times as many as it uses."""

from __future__ import annotations

import re
from typing import Any, AnyStr, cast

_METHODS = ("match", "fullmatch", "search", "finditer", "findall", "split", "sub", "subn")


def regex(expression: AnyStr, flags: re.RegexFlag = re.NOFLAG) -> re.Pattern[AnyStr]:
    """As `re.compile`, for whoever calls its methods; a mistake in the expression shows with the first call."""
    return cast("re.Pattern[AnyStr]", LatePattern(expression, flags))


class LatePattern:
    """An expression and, once it was used, the methods of the compiled one. `pattern` is the expression."""

    def __init__(self, expression: str | bytes, flags: re.RegexFlag) -> None:
        self.pattern = expression
        self._flags = flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        compiled = self.compiled()
        for each in _METHODS:
            setattr(self, each, getattr(compiled, each))
        return getattr(compiled, name)

    def compiled(self) -> re.Pattern[Any]:
        """The compiled expression."""
        return re.compile(self.pattern, self._flags)
