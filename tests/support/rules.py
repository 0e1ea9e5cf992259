"""The rows of the tables of versions, under short names."""

from __future__ import annotations

from clawtop.core.failure.dialect import DIALECTS, Dialect
from clawtop.core.generations import SEMANTICS, Semantics, semantics_of
from clawtop.core.rules import ErrorDialect, Schedule
from tests.conformance.openclaw_only import WITHOUT_PLUGINS

OLD, B, C, D8, D = (SEMANTICS[name].cooling for name in ("3.28", "5.x", "6.11", "8.x", "9.x"))
SCHEDULES = {name: row.cooling for name, row in SEMANTICS.items()}


def semantics(version: str) -> Semantics:
    """What this version does."""
    return semantics_of(version, None).row


def schedule(version: str) -> Schedule:
    """How profiles cool under this version, with nothing configured."""
    return semantics(version).cooling


def dialect(version: str) -> Dialect:
    """How this version reads errors with no provider's plugin loaded, which is how the vectors were made."""
    row = semantics(version)
    return WITHOUT_PLUGINS.get(row.name) or DIALECTS[row.reading]


def reads_as_the_engine(version: str) -> bool:
    """Whether clawtop's own engine reads errors as this version does, its deliberate differences aside."""
    return semantics(version).reading is ErrorDialect.V5_20
