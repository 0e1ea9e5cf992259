"""Replays vectors: rows of input and output that the real OpenClaw produced.

Vectors come from the directory in `CLAWTOP_VECTORS` if that is set (layout `<version>/<family>.json`), else from the
copy beside this file. A family that has no rows is a failure. With an external directory, a family file that is not
there is one visible skip, as long as the directory holds a family file at all.

One test replays many rows, since 17,000 tests would spend their time on being reported. Its failure names every row
that is wrong.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import pytest

from clawtop.core.failure.record import ErrorRecord, ErrorValue, from_mapping

BUNDLED = Path(__file__).resolve().parent / "vectors"


class NoVectorsError(Exception):
    """A replayed family has no rows: collection fails, so that nothing passes by being absent."""


@dataclass(frozen=True)
class Row:
    """One vector. `raw` is the whole row; `input` and `expected` are its usual parts (None where it has none)."""

    id: str
    family: str
    version: str
    raw: Any

    @property
    def input(self) -> Any:
        return self.raw["input"]

    @property
    def expected(self) -> Any:
        return self.raw["expected"]


@dataclass
class Rows:
    """The rows of one version that one test replays."""

    family: str
    version: str
    rows: list[Row]
    wrong: int = 0
    """How many of them were not as expected, once they were replayed."""


TOGETHER = 250
"""Rows in one test: a second or less, and enough tests for every core."""
SHOWN = 20
"""Wrong rows that a failure explains; the others are named."""


def directory() -> Path:
    """The root of the vectors that this run replays."""
    external = os.environ.get("CLAWTOP_VECTORS")
    return Path(external) if external else BUNDLED


def is_external() -> bool:
    return bool(os.environ.get("CLAWTOP_VECTORS"))


@cache
def document(family: str, version: str) -> Mapping[str, Any] | None:
    """The parsed family file; None when an external directory does not hold it.

    Raises:
        NoVectorsError: the file is missing from the bundled vectors, or the external directory holds none at all.
    """
    root = directory()
    path = root / version / f"{family}.json"
    if path.is_file():
        parsed: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return parsed
    if is_external() and any(root.glob("*/*.json")):
        return None
    raise NoVectorsError(f"no vectors for {family} of {version} in {root}")


def rows(family: str, version: str, *, part: str = "vectors", where: Callable[[Any], bool] | None = None) -> list[Row]:
    """The rows of one family, in file order.

    Args:
        part: dotted path to the list inside the file, such as `meta.thresholds` or `tables`.
        where: keeps some of the rows, for files that serve several functions (`lambda raw: raw["fn"] == ...`).

    A missing file, part or function is an empty list.

    Raises:
        NoVectorsError: the whole family has none.
    """
    parsed = document(family, version)
    if parsed is None:
        return []
    if not _holds_rows(parsed):
        raise NoVectorsError(f"{family} of {version} in {directory()} has no rows")
    node: Any = parsed
    for name in part.split("."):
        node = node.get(name, []) if isinstance(node, Mapping) else []
    found = [raw for raw in node if where is None or where(raw)]
    return [Row(_identity(raw, part, number), family, version, raw) for number, raw in enumerate(found)]


def _holds_rows(parsed: Mapping[str, Any]) -> bool:
    return any(isinstance(value, list) and value for name, value in parsed.items() if name != "meta")


def _identity(raw: Any, part: str, number: int) -> str:
    if isinstance(raw, Mapping) and "id" in raw:
        return str(raw["id"])
    return f"{part}-{number}"


def versions(family: str) -> tuple[str, ...]:
    """Every version whose directory holds the family, in order of their names.

    Raises:
        NoVectorsError: none does, among the bundled vectors; or an external directory holds no family at all.
    """
    root = directory()
    found = tuple(sorted(path.parent.name for path in root.glob(f"*/{family}.json")))
    if found or (is_external() and any(root.glob("*/*.json"))):
        return found
    raise NoVectorsError(f"no vectors for {family} in {root}")


def replay(
    family: str,
    *,
    part: str = "vectors",
    of: Callable[[str], bool] | None = None,
    where: Callable[[Any], bool] | None = None,
    split: Callable[[Row], Iterable[Row]] | None = None,
) -> Callable[[Callable[[Row], None]], Callable[[Rows], None]]:
    """Turn a test of one row into tests of all rows of every version that has the family, `TOGETHER` in each.

    `of` keeps some of the versions. `split` turns a file's row into several (the tables of failover-decision hold a
    list of rows each). Where an external directory has nothing of the kind, the test is one skip that says so. A part
    that a version's own bundled file lacks is no row of that version; some version must have it.

    Raises:
        NoVectorsError: no version has such rows, among the bundled vectors.
    """
    found = _rows_of_versions(family, part, of, where, split)
    parameters: list[Any] = []
    for version, own in found.items():
        for start in range(0, len(own), TOGETHER):
            some = Rows(family, version, own[start : start + TOGETHER])
            parameters.append(pytest.param(some, id=f"{version}-{start + 1}-to-{start + len(some.rows)}"))
    if not found:
        parameters.append(pytest.param(Rows(family, "none", []), id="absent", marks=_absent(family, part)))

    def of_all_rows(test: Callable[[Row], None]) -> Callable[[Rows], None]:
        def replayed(rows: Rows) -> None:
            wrong: list[tuple[Row, Exception]] = []
            for row in rows.rows:
                try:
                    test(row)
                except Exception as error:  # noqa: BLE001 - whatever a row raises is its failure, and the next is replayed
                    wrong.append((row, error))
            rows.wrong = len(wrong)
            if wrong:
                _fail(wrong, len(rows.rows))

        replayed.__name__, replayed.__module__, replayed.__doc__ = test.__name__, test.__module__, test.__doc__
        return pytest.mark.parametrize("rows", parameters)(replayed)

    return of_all_rows


def replay_one_by_one(family: str) -> pytest.MarkDecorator:
    """Parametrise a test over `row`, one test per row: for rows that need fixtures of their own.

    Raises:
        NoVectorsError: no version has such rows, among the bundled vectors.
    """
    found = _rows_of_versions(family, "vectors", None, None, None)
    parameters = [pytest.param(row, id=f"{row.version}-{row.id}") for own in found.values() for row in own]
    if not found:
        absent = Row("absent", family, "none", None)
        parameters.append(pytest.param(absent, id="absent", marks=_absent(family, "vectors")))
    return pytest.mark.parametrize("row", parameters)


def _rows_of_versions(
    family: str,
    part: str,
    of: Callable[[str], bool] | None,
    where: Callable[[Any], bool] | None,
    split: Callable[[Row], Iterable[Row]] | None,
) -> dict[str, list[Row]]:
    """Version -> its rows; no version without any."""
    kept = [version for version in versions(family) if of is None or of(version)]
    found = {version: list(_split(rows(family, version, part=part, where=where), split)) for version in kept}
    found = {version: own for version, own in found.items() if own}
    if not found and not is_external():
        raise NoVectorsError(f"no version of {family} has rows of this kind ({part})")
    return found


def _absent(family: str, part: str) -> pytest.MarkDecorator:
    return pytest.mark.skip(reason=f"{directory()} has no {family} ({part})")


def _fail(wrong: list[tuple[Row, Exception]], of: int) -> NoReturn:
    """Fail with every wrong row's name, and what is wrong with the first ones."""
    __tracebackhide__ = True
    told = [f"{len(wrong)} of {of} rows are wrong: {', '.join(f'{row.version}-{row.id}' for row, _ in wrong)}"]
    for row, error in wrong[:SHOWN]:
        found = pytest.ExceptionInfo.from_exception(error)
        told.append(f"--- {row.family} {row.version}-{row.id}\n{found.getrepr(style='short')}")
    pytest.fail("\n".join(told), pytrace=False)


def _split(found: list[Row], split: Callable[[Row], Iterable[Row]] | None) -> Iterator[Row]:
    for row in found:
        yield from (row,) if split is None else split(row)


# --- the vectors' encoding of errors -----------------------------------------------------------------------------


def error_from_spec(spec: Any) -> ErrorValue:
    """The error that a row's spec encodes (`meta.spec` of the classification family)."""
    kind = spec["kind"]
    if kind in {"null", "undefined"}:
        return None
    if kind == "primitive":
        value: ErrorValue = spec["value"]
        return value
    if kind in {"deep", "deepwrap"}:
        inner = error_from_spec(spec["leaf"])
        for depth in range(spec["depth"]):
            thrown = kind == "deepwrap"
            inner = ErrorRecord(
                name="Error" if thrown else None,
                message=f"w{depth}" if thrown else None,
                cause=inner,
                is_exception=thrown,
            )
        return inner
    if kind == "cycle":
        first, second = error_from_spec(spec["a"]), error_from_spec(spec["b"])
        object.__setattr__(first, "cause", second)
        object.__setattr__(second, "cause", first)
        return first
    return _record_from_spec(spec)


def _record_from_spec(spec: Any) -> ErrorRecord:
    thrown = spec["kind"] == "Error"
    said: dict[str, Any] = {"name": spec.get("name", "Error" if thrown else None)}
    if thrown:
        said["message"] = spec.get("message")
    nested: dict[str, Any] = {}
    aside: list[ErrorRecord] = []
    for name, value in (spec.get("props") or {}).items():
        if isinstance(value, Mapping) and "$err" in value:
            nested[name] = error_from_spec(value["$err"])
        elif name == "errors" and isinstance(value, list):
            aside += [_record_from_spec(each["$err"]) for each in value]
        else:
            said[name] = value
    record = from_mapping(said)
    changes = {name: inner for name, inner in nested.items() if name in {"error", "cause", "reason", "suppressed"}}
    return replace(record, is_exception=thrown, aside=tuple(aside), **changes)
