"""The import law of the house: who may import whom, and which library lives where."""

from __future__ import annotations

import ast
import math
import re
import subprocess
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "clawtop"
LEAVES = {
    *("errors", "text", "cells", "redaction", "secret_shapes", "clock", "crash", "threads", "stopping", "nested"),
    *("values", "patterns"),
}

ROOMS: dict[str, set[str]] = {
    "errors": set(),
    "text": {"cells", "redaction"},
    "cells": {"patterns"},
    "redaction": {"values", "patterns", "secret_shapes"},
    "secret_shapes": {"patterns"},
    "clock": set(),
    "crash": {"errors", "text", "redaction"},
    "threads": set(),
    "stopping": set(),
    "nested": set(),
    "values": set(),
    "patterns": set(),
    "core": {"core", "errors", "text", "redaction", "cells", "nested", "values", "patterns"},
    "commands": {"commands", "core", "text", "errors", "values"},
    "view": {"view", "core", "text", "redaction", "cells", "errors", "values", "patterns", "commands"},
    "store": {"store", "core", *LEAVES},
    "engine": {"engine", "core", "store", *LEAVES},
    "export": {"export", "core", *LEAVES},
    "fleet": {"fleet", "core", "store.own.deltas", "engine.drive", "engine.drain", "engine.providers.base", *LEAVES},
    "ui": {"ui", "core", "view", "commands", *LEAVES, "engine.live.hub", "engine.operations", "engine.drive"},
}
"""Room -> what it may import. `cli` and `demo` may import everything, inside functions."""

HOMES: dict[str, tuple[str, ...]] = {
    "textual": ("ui/",),
    "rich": ("ui/",),
    "pydantic": ("store/", "engine/providers/", "fleet/"),
    "watchfiles": ("store/watch.py",),
    "httpx": ("engine/", "demo/"),
    "httpcore": ("engine/providers/connections.py", "engine/providers/http.py", "engine/providers/pools.py"),
    "websockets": ("engine/gateway/client.py",),
    "filelock": ("store/own/accounts.py", "store/own/journal.py", "store/own/presence.py"),
    "setproctitle": ("engine/prompt/session_lock.py", "demo/", "engine/prompt/process_title.py"),
    "psutil": ("store/locks/processes.py", "store/locks/stack.py", "store/place/mounts.py"),
    "prometheus_client": ("export/",),
    "wcwidth": ("cells.py",),
    "json5": ("store/config.py", "store/json_text.py"),
}
"""Library -> the only places of the package that import it."""

ORDER: dict[str, tuple[str, ...]] = {
    "core": (
        "nearest",
        "settings",
        "provider_ids",
        "rules",
        "carried",
        "generations",
        "model",
        "source",
        "diff",
        "javascript",
        "failure",
        "cooldown",
        "locks",
        "session",
        "failover",
        "rotation",
        "operations",
        "health",
        "incident",
        "fleet",
        "config_checks",
    ),
    "store": (
        "timed_reads",
        "disk",
        "ways",
        "door",
        "json_text",
        "owners",
        "sqlite",
        "wire",
        "atomic",
        "runtimes",
        "config",
        "interning",
        "place",
        "config_part",
        "locks",
        "provider",
        "gateway",
        "auth",
        "sessions",
        "own",
        "incident",
        "snapshot",
        "watch",
    ),
    "commands": ("keys", "model", "checks", "table", "lookup", "refusal"),
    "engine": ("providers", "gateway", "live", "operations", "prompt", "etcd", "drive", "drain", "library"),
}
"""Room -> its groups, from what stands below to what stands above. A group imports itself and the groups before it."""


def test_one_name_stands_for_one_class() -> None:
    """Classes, private ones too, and the names of unions and shapes. Equal definitions of a shape are one thing."""
    found: dict[str, set[str]] = {}
    for path in modules():
        where, tree = place_of(path), tree_of(path)
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef):
                found.setdefault(node.name.lstrip("_"), set()).add(where)
        for node in tree.body:
            if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
                target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                if isinstance(target, ast.Name) and re.fullmatch(r"_?[A-Z]\w*[a-z]\w*", target.id):
                    found.setdefault(target.id.lstrip("_"), set()).add(ast.unparse(node.value))
    assert {name: sorted(places) for name, places in found.items() if len(places) > 1} == {}


WALL_CLOCK = {("time", "time"), ("time", "time_ns"), ("datetime", "now"), ("datetime", "utcnow"), ("date", "today")}


@cache
def modules(room: str = "") -> list[Path]:
    """The modules of a room, or of the whole package."""
    return sorted((PACKAGE / room).rglob("*.py"))


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def place_of(path: Path) -> str:
    """The module's place in the package: `core/model/auth.py`."""
    return path.relative_to(PACKAGE).as_posix()


@cache
def imports_of(path: Path) -> set[str]:
    return imports(tree_of(path))


def imports(tree: ast.AST, *, top_level_only: bool = False) -> set[str]:
    names: set[str] = set()
    nodes = tree.body if top_level_only and isinstance(tree, ast.Module) else ast.walk(tree)
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module)
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def name_of(path: Path) -> str:
    return ".".join(("clawtop", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """Module -> modules it imports: at the top, lazily, for types alone, and by a name in a string."""
    trees = {name_of(path): tree_of(path) for path in modules()}
    edges: dict[str, set[str]] = {}
    for name, tree in trees.items():
        named = imports(tree)
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.startswith("clawtop."):
                named.add(node.value.partition(":")[0])
        edges[name] = {target for target in named if target in trees and target not in {name, "clawtop"}}
    return edges


def reached(edges: dict[str, set[str]], *starts: str) -> set[str]:
    seen: set[str] = set()
    todo = list(starts)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo += [*edges.get(name, ()), name.rpartition(".")[0]]
    return seen


def room_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def test_rooms_open_only_the_doors_they_have() -> None:
    forbidden = []
    for path in modules():
        allowed = ROOMS.get(room_of(path))
        for name in imports_of(path) if allowed is not None else ():
            target = name.removeprefix("clawtop.")
            if target != name and not target.startswith("__") and not _within(target, allowed or set()):
                forbidden.append(f"{place_of(path)} imports {name}")
    assert forbidden == []


def _within(target: str, rooms: set[str]) -> bool:
    return any(target == room or target.startswith(room + ".") for room in rooms)


KNOW_GENERATIONS = {"core/generations.py", "store/place/generation.py"}
"""The table of generations, and the detection of which one a directory is. Everybody else asks a row of the table."""
OWN_VERSIONS = {"demo/world.py": "which OpenClaw the demo plays"}
"""Who else may state a version, and why."""
DIALECTS = "core/failure/dialect.py"
"""The dialects that the table's rows name."""
TELLING = {"generation", "openclaw_version", "last_touched_version", "last_touched"}
TABLES = {"Generation", "SEMANTICS", "STORAGE", "ErrorDialect"}
A_VERSION = re.compile(r"v?2\d{3}\.\d{1,2}(\.\d\S*|\.)?")
IS_TEXT = {"startswith", "endswith", "removeprefix", "partition", "rpartition", "split", "find", "index", "count"}
"""Methods that take a text apart."""


def test_nobody_tells_generations_or_versions_apart_but_their_table() -> None:
    found = []
    for path in modules():
        if place_of(path) not in KNOW_GENERATIONS:
            tables = TABLES - {"ErrorDialect"} if place_of(path) == DIALECTS else TABLES
            lines = _tells_apart(tree_of(path), tables, states_versions=place_of(path) in OWN_VERSIONS)
            found += [f"{place_of(path)}:{line}" for line in lines]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "if snapshot.generation is Generation.C: pass",
        "if layout.generation == 'C': pass",
        "if layout.generation.value == 'C': pass",
        "if str(layout.generation) in ('C', 'D'): pass",
        "if f'{layout.generation}' == 'C': pass",
        "if 'A' < layout.generation: pass",
        "found = snapshot.generation\nif found == 'C': pass",
        "def f(s):\n    if (found := s.generation.value) == 'C': pass",
        "match layout.generation:\n    case 'C': pass",
        "match layout.generation.value, done:\n    case ('C', True): pass",
        "match layout.generation:\n    case generations.Generation.C: pass",
        "from clawtop.core.generations import Generation as G\nx = G.C",
        "import clawtop.core.generations as g\nx = g.Generation('C')",
        "x = Generation['C']",
        "x = Generation('C')",
        "x = getattr(Generation, 'C')",
        "x = list(Generation)[2:]",
        "x = SEMANTICS['9.x']",
        "x = generations.STORAGE[key]",
        "x = {'C': 1, 'D': 2}[layout.generation]",
        "x = TABLE[layout.generation.value]",
        "x = TABLE.get(layout.generation)",
        "x = 'CD'.find(layout.generation)",
        "if layout.openclaw_version.startswith(PREFIX): pass",
        "if version.startswith('2026.8'): pass",
        "if hello.version >= '2026.8.2': pass",
        "if version[:6] == '2026.8': pass",
        "if '2026.8' in version: pass",
        "if version.split('.')[1] == '8': pass",
        "if tuple(map(int, version.split('.'))) >= (2026, 8, 2): pass",
        "if number >= (2026, 8): pass",
        "if (2026, 6, 5) <= numbers(version) < (2026, 8, 2): pass",
        "if number in NEW: pass\nNEW = [(2026, 8, 2)]",
        "NEW = {'2026.8.2', '2026.9.6'}",
        "match version:\n    case '2026.8.2': pass",
        "match number:\n    case (2026, 8, _): pass",
        "if re.match(PATTERN, snapshot.openclaw_version): pass",
        "if max(layout.openclaw_version, FIRST) == FIRST: pass",
        "if snapshot.openclaw_version < other.openclaw_version: pass",
        "if semantics.name == '9.x': pass",
        "if snapshot.semantics.cooling.name.startswith('9'): pass",
        "match layout.semantics.name:\n    case '8.x': pass",
        "if semantics.reading is ErrorDialect.V9_6: pass",
    ],
)
def test_a_generation_told_apart_is_found_however_it_is_written(code: str) -> None:
    assert _tells_apart(ast.parse(code)), code


@pytest.mark.parametrize(
    "code",
    [
        "if snapshot.generation is None: pass",
        "x = storage_of(layout.generation).session_files",
        "def f(generation: Generation | None) -> Generation: return generation",
        "if state.generation != generation: pass",
        "if table.version != database.version(): pass",
        "x = f'generation {target.generation} keeps auth profiles in SQLite'",
        "'2026.8.2 stores sessions in tables.'",
        "if profile.name == 'main': pass",
        "from clawtop.core.generations import Generation",
    ],
)
def test_whoever_asks_a_row_tells_nothing_apart(code: str) -> None:
    assert not _tells_apart(ast.parse(code)), code


def _tells_apart(tree: ast.AST, tables: set[str] = TABLES, *, states_versions: bool = False) -> list[int]:
    """Lines that compare, look up or take apart a generation, a version or a row's name, or state one."""
    spoken = {id(inner) for node in ast.walk(tree) for root in _no_value(node) for inner in ast.walk(root)}
    nodes = [node for node in ast.walk(tree) if id(node) not in spoken]
    tables = tables | _aliases(tree, tables)
    telling = TELLING | _names_given(nodes)
    found = {
        getattr(node, "lineno", 1)
        for node in nodes
        if _of_a_table(node, tables) or _apart(node, telling) or (_states_a_version(node) and not states_versions)
    }
    return sorted(found)


def _no_value(node: ast.AST) -> list[ast.AST]:
    """Annotations and docstrings."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return [node.returns] if node.returns else []
    if isinstance(node, ast.arg | ast.AnnAssign):
        return [node.annotation] if node.annotation else []
    return [node] if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) else []


def _aliases(tree: ast.AST, names: set[str]) -> set[str]:
    nodes = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    return {alias.asname for node in nodes for alias in node.names if alias.asname and alias.name in names}


def _names_given(nodes: list[ast.AST]) -> set[str]:
    """Names that stand for a generation or a version, since they were set to one."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Assign | ast.NamedExpr) and node.value and _tells(node.value, TELLING):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            names |= {target.id for target in targets if isinstance(target, ast.Name)}
    return names


def _of_a_table(node: ast.AST, tables: set[str]) -> bool:
    """A use of the tables or their keys as values; naming the type is none."""
    return _last_name(node) in tables


def _tells(node: ast.expr, telling: set[str]) -> bool:
    """Whether this is a generation, a version, a row's name, or one of them as a text or a part of it."""
    if isinstance(node, ast.Attribute):
        row = node.attr == "name" and _last_name(node.value) in {"semantics", "cooling", "schedule", "row"}
        return node.attr in telling or row or (node.attr in {"value", "name"} and _tells(node.value, telling))
    if isinstance(node, ast.Name):
        return node.id in telling
    if isinstance(node, ast.JoinedStr):
        return any(isinstance(part, ast.FormattedValue) and _tells(part.value, telling) for part in node.values)
    if isinstance(node, ast.Subscript | ast.Starred | ast.NamedExpr):
        return _tells(node.value, telling)
    if isinstance(node, ast.Tuple):
        return any(_tells(item, telling) for item in node.elts)
    if isinstance(node, ast.Call):
        of_text = isinstance(node.func, ast.Attribute) and _tells(node.func.value, telling)
        made = isinstance(node.func, ast.Name) and node.func.id in {"str", "repr", "tuple", "list", "map"}
        return of_text or (made and any(_tells(argument, telling) for argument in node.args))
    return False


def _apart(node: ast.AST, telling: set[str]) -> bool:
    versions = telling | {"version"}
    if isinstance(node, ast.Compare):
        operands = [node.left, *node.comparators]
        text = any(isinstance(leaf, ast.Constant) and isinstance(leaf.value, str) for leaf in _leaves(operands))
        ordered = any(isinstance(operator, ast.Lt | ast.LtE | ast.Gt | ast.GtE) for operator in node.ops)
        return (text and any(_tells(operand, versions) for operand in operands)) or (
            ordered and any(_tells(operand, telling) for operand in operands)
        )
    if isinstance(node, ast.Match):
        return _tells(node.subject, versions)
    if isinstance(node, ast.Subscript):
        return _tells(node.slice, telling)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        return node.func.id in {"max", "min", "ord"} and any(_tells(argument, telling) for argument in node.args)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        taken = node.func.attr in IS_TEXT and _tells(node.func.value, versions)
        looked_up = node.func.attr in {"get", "find", "index", "match", "fullmatch", "search"}
        return taken or (looked_up and any(_tells(argument, telling) for argument in node.args))
    return False


def _leaves(nodes: list[ast.expr]) -> list[ast.AST]:
    return [leaf for node in nodes for leaf in ast.walk(node)]


def _states_a_version(node: ast.AST) -> bool:
    """A version as a text, or as numbers, also in a pattern."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str) and A_VERSION.fullmatch(node.value) is not None
    if isinstance(node, ast.MatchSequence):
        first = node.patterns[0] if node.patterns else None
        return isinstance(first, ast.MatchValue) and _is_a_year(first.value)
    return isinstance(node, ast.Tuple | ast.List) and len(node.elts) > 1 and _is_a_year(node.elts[0])


def _is_a_year(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is int and 2024 <= node.value < 2100


def test_no_function_takes_one_generations_row_when_it_is_not_told_which() -> None:
    """Whoever forgets to hand on the row of the version at hand gets an error, not the rules of another version."""
    found = []
    for path in modules():
        of_the_table = place_of(path) in KNOW_GENERATIONS  # its rows say what differs from their shape's defaults
        lines = _defaults_to_a_row(tree_of(path), _rows_by_name(), classes=not of_the_table)
        found += [f"{place_of(path)}:{line}" for line in lines]
    assert found == []


@pytest.mark.parametrize(
    "code",
    [
        "def f(schedule=SEMANTICS['9.x'].cooling): pass",
        "def f(*, row=semantics_of('2026.9.6', None).row): pass",
        "def f(storage=storage_of(None)): pass",
        "async def f(generation=Generation.B): pass",
        "def f(reading=ErrorDialect.V9_6): pass",
        "def f(schedule=Schedule(**told)): pass",
        "def f(row=_9_X): pass",
        "def f(storage=generations._B): pass",
        "f = lambda schedule=_COOLING_9: schedule",
        "NEWEST = semantics_of(None, None).row\ndef f(row=NEWEST): pass",
        "NEWEST: Semantics = SEMANTICS['9.x']\nWINDOWS = NEWEST.cooling\ndef f(schedule=WINDOWS): pass",
        "class A:\n    cooling = semantics_of(None, None).row.cooling\n    def f(self, schedule=cooling): pass",
        "from clawtop.core.generations import SEMANTICS as rows\ndef f(row=rows['9.x']): pass",
        "def f(schedule=None):\n    schedule = schedule or semantics_of(None, None).row.cooling",
        "def f(row=None):\n    row = row if row is not None else SEMANTICS['9.x']",
        "def f(row=None):\n    if row is None:\n        row = storage_of(None)",
        "@dataclass\nclass A:\n    cooling: Schedule = semantics_of(None, None).row.cooling",
        "@dataclass\nclass A:\n    rules: Remote = field(default_factory=lambda: Remote())",
        "class A(NamedTuple):\n    marking: Marking = Marking(frozenset())",
    ],
)
def test_a_default_that_is_a_row_is_found_however_it_is_written(code: str) -> None:
    assert _defaults_to_a_row(ast.parse(code)), code


@pytest.mark.parametrize(
    "code",
    [
        "def f(schedule): pass",
        "def f(schedule: Schedule, wait_s=DEFAULT_WAIT_S): pass",
        "def f(row: Semantics | None = None): return row and row.cooling",
        "def f(snapshot):\n    row = semantics_of(snapshot.openclaw_version, snapshot.generation).row",
        "def f(limit=MINUTE_MS): pass",
    ],
)
def test_a_row_that_is_handed_on_is_no_default(code: str) -> None:
    assert not _defaults_to_a_row(ast.parse(code)), code


SHAPES = {
    node.name
    for name in ("rules", "generations")
    for node in ast.parse((PACKAGE / f"core/{name}.py").read_text()).body
    if isinstance(node, ast.ClassDef)
} - {"DoublingWindow"}
"""The shapes of rows and of their parts. A window that doubles is a pair of numbers."""
OWN_ROWS = {"CLAWTOP"}
"""The dialect of clawtop's own engine, whatever OpenClaw is beside it."""
ROWS = SHAPES | TABLES | {"semantics_of", "storage_of", "generation_of"}
A_ROW = re.compile(r"_([A-D]|\d_\w+|COOLING_\w+|MARKED_\w+|ATTENTION_\w+|REMOTE_\w+|KEYS_\w+|STANDS_FOR|NOT_KNOWN)")


@cache
def _rows_by_name() -> frozenset[str]:
    """Names of rows anywhere in the package, which another module may import."""
    found = (_constant_rows(tree_of(path), ROWS) for path in modules())
    return frozenset().union(*found) - OWN_ROWS


def _constant_rows(tree: ast.AST, rows: set[str]) -> set[str]:
    """Names that a module or a class gives to a row or a part of one."""
    found: set[str] = set()
    for node in (node for body in _bodies(tree) for node in body):
        if isinstance(node, ast.Assign | ast.AnnAssign) and _is_of_a_row(node.value, rows | found):
            found |= {name for name in map(_last_name, _targets(node)) if name}
    return found


def _defaults_to_a_row(tree: ast.AST, named: frozenset[str] = frozenset(), *, classes: bool = True) -> list[int]:
    """Lines of defaults that are a row, or a part of one: written there, under a name, or in the place of None."""
    rows = ROWS | _aliases(tree, ROWS) | named
    rows |= _constant_rows(tree, rows)
    defaults: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            given = [*node.args.defaults, *(value for value in node.args.kw_defaults if value is not None)]
            defaults += given
            if any(_is(value, None) for value in given) and not isinstance(node, ast.Lambda):
                defaults += _in_the_place_of_none(node)
        elif isinstance(node, ast.ClassDef) and classes:
            defaults += [item.value for item in node.body if isinstance(item, ast.AnnAssign) and item.value]
    return sorted({default.lineno for default in defaults if _is_of_a_row(default, rows)})


def _bodies(tree: ast.AST) -> list[list[ast.stmt]]:
    return [node.body for node in ast.walk(tree) if isinstance(node, ast.Module | ast.ClassDef)]


def _targets(node: ast.Assign | ast.AnnAssign) -> list[ast.expr]:
    return node.targets if isinstance(node, ast.Assign) else [node.target]


def _is_of_a_row(node: ast.AST | None, rows: set[str]) -> bool:
    names = [_last_name(leaf) for leaf in ast.walk(node)] if node is not None else []
    return any(name in rows or A_ROW.fullmatch(name) for name in names)


def _in_the_place_of_none(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.expr]:
    """What a parameter is set to within its function, where it says nothing of the version at hand."""
    arguments = {argument.arg for argument in (*function.args.args, *function.args.kwonlyargs)}
    return [
        node.value
        for node in ast.walk(function)
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
        if {_last_name(target) for target in _targets(node)} & arguments
    ]


def _last_name(node: ast.AST) -> str:
    return node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""


@pytest.mark.parametrize("room", ORDER)
def test_groups_of_a_room_import_only_what_stands_below_them(room: str) -> None:
    order = {name: number for number, name in enumerate(ORDER[room])}
    upward = []
    for path in modules(room):
        group = path.relative_to(PACKAGE / room).parts[0].removesuffix(".py")
        if group == "__init__":
            continue
        for name in imports_of(path):
            parts = name.split(".")
            if parts[:2] != ["clawtop", room] or len(parts) < 3 or parts[2] == group:
                continue
            if order[parts[2]] > order[group]:
                upward.append(f"{place_of(path)} -> {name}")
    assert upward == []


def test_no_circle_ties_modules_together() -> None:
    """Each module can be understood with what stands below it; type-only and lazy imports count."""
    edges = graph()
    while leaves := {name for name, targets in edges.items() if not targets & edges.keys()}:
        edges = {name: targets for name, targets in edges.items() if name not in leaves}
    assert edges == {}, "modules in a circle, or above one"


def test_every_module_is_reachable_from_main() -> None:
    edges = graph()
    verbs = [name for name in edges if name.startswith("clawtop.cli.")]  # main imports the module of the verb asked for
    lost = {name for name in edges if not name.endswith("__init__")} - reached(edges, "clawtop.__main__", *verbs)
    assert lost == set()


HOOKS = re.compile(
    r"__\w+__|(on|action|watch|validate)_\w+|_on_\w+|compose|render_line|get_\w+|can_replace|_dispatch_message"
)
"""What Textual calls by name in ui/."""

OVERRIDDEN = {
    "engine/prompt/session_lock.py": {"cleanup"},  # a step of OpenClaw's lock, inside its state; replayed against rows
    "cli/main.py": {"_check_value", "_print_message"},  # argparse
    "engine/gateway/client.py": {"process_redirect", "data_received"},  # websockets, asyncio's protocol
    "engine/providers/connections.py": {  # asyncio's protocol, httpcore's stream
        "connect_tcp",
        "connection_made",
        "data_received",
        "eof_received",
        "connection_lost",
        "start_tls",
    },
    "engine/providers/pools.py": {  # httpcore's pool and connection
        "create_connection",
        "can_handle_request",
        "has_expired",
        "is_available",
        "is_closed",
        "is_idle",
        "info",
    },
    "store/disk.py": {"writable", "seekable", "seek", "fileno"},  # io
    "threads.py": {"submit", "shutdown"},  # concurrent.futures
    "fleet/transport.py": {"process_exited"},  # asyncio
    "ui/app.py": {"_is_a_shell"},  # read by the type checker
    "ui/commands/palette.py": {"discover"},  # Textual's palette
    "ui/painting.py": {"render_segments"},  # Textual's compositor
    "ui/screens/dialog.py": {"check_action"},  # Textual asks before an action
    "ui/terminal_input.py": {"run_input_thread", "disable_input"},  # Textual's driver
    "ui/terminal_output.py": {  # Textual's driver, app
        "start_application_mode",
        "stop_application_mode",
        "_enable_in_band_window_resize",
        "_display",
    },
}
"""Methods of other people's classes, called by them; and the one step of a protocol that no run of ours takes."""

FOR_PROGRAMS = {"read_state", "watch_state", "open_operations"}
"""What a program that uses clawtop as a library calls (docs/library.md)."""


def test_every_function_has_a_caller_in_the_package() -> None:
    """What OpenClaw does and clawtop has no use for is in tests/conformance/openclaw_only.py."""
    trees = {place_of(path): tree_of(path) for path in modules()}
    named = Counter(name for tree in trees.values() for name in _names(tree))
    lost = []
    for where, tree in trees.items():
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name in FOR_PROGRAMS:
                continue
            if named[node.name] > _names(node).count(node.name) or node.name in OVERRIDDEN.get(where, ()):
                continue
            if HOOKS.fullmatch(node.name) and (where.startswith("ui/") or node.name.startswith("__")):
                continue
            lost.append(f"{where}:{node.lineno} {node.name}")
    assert lost == []


def test_every_constant_is_used_in_the_package() -> None:
    """Nothing is defined for tests alone."""
    used = Counter(name for path in modules() for name in [*_names(tree_of(path)), *_imported(tree_of(path))])
    unused = [
        f"{place_of(path)}:{node.lineno} {target.id}"
        for path in modules()
        for node in tree_of(path).body
        for target in (_targets(node) if isinstance(node, ast.Assign | ast.AnnAssign) else [])
        if isinstance(target, ast.Name) and used[target.id] == 1 and not target.id.startswith("__")
    ]
    assert unused == []


def _imported(tree: ast.AST) -> list[str]:
    return [alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names]


def _names(tree: ast.AST) -> list[str]:
    nodes = list(ast.walk(tree))
    attributes = [node.attr for node in nodes if isinstance(node, ast.Attribute)]
    return attributes + [node.id for node in nodes if isinstance(node, ast.Name)]


def test_every_definition_is_used_by_the_package_where_it_is_imported_or_defined() -> None:
    """A name of one module is not used by an equal name in another."""
    trees = {name_of(path): tree_of(path) for path in modules()}
    taken = {pair for tree in trees.values() for pair in _taken(tree)}
    forwarded: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for name, tree in trees.items():
        for imported in (each for each in tree.body if isinstance(each, ast.ImportFrom)):
            for alias in imported.names:
                forwarded.setdefault((f"{imported.module}", alias.name), []).append((name, alias.asname or alias.name))

    def is_taken(pair: tuple[str, str]) -> bool:
        return pair in taken or any(is_taken(other) for other in forwarded.get(pair, ()))

    constants = [node.value for tree in trees.values() for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    texts = {value for value in constants if isinstance(value, str)}
    verbs = {"run", "add_arguments"}  # main imports the module of the verb asked for
    lost = []
    for name, tree in trees.items():
        for node in tree.body:
            for defined in _defined(node):
                inside = [each for each in tree.body if each is not node]
                used = any(defined in _read_names(each) for each in inside) or is_taken((name, defined))
                of_a_verb = name.startswith("clawtop.cli.") and defined in verbs
                if not (used or of_a_verb or f"{name}:{defined}" in texts):
                    lost.append(f"{name} {defined}")
    assert sorted(lost) == sorted(
        [
            *(f"clawtop.engine.library {name}" for name in FOR_PROGRAMS),
            "clawtop.store.locks.openclaw all_released",  # asked for by cli.ending, if the module is loaded
            "clawtop.ui.terminal_output drawn_on",  # the same
        ]
    )


def _taken(tree: ast.Module) -> set[tuple[str, str]]:
    """(module, name) of what is imported, or read from an imported module. To forward a name is no use of it."""
    aliases: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    names = _read_names(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                aliases[alias.asname or alias.name] = f"{node.module}.{alias.name}"
                if (alias.asname or alias.name) in names:
                    taken.add((node.module, alias.name))
        elif isinstance(node, ast.Import):
            aliases.update((alias.asname or alias.name, alias.name) for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and (owner := aliases.get(ast.unparse(node.value))) is not None:
            taken.add((owner, node.attr))
    return taken


def _defined(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name] if not node.name.startswith("__") else []
    targets = _targets(node) if isinstance(node, ast.Assign | ast.AnnAssign) else []
    found = [each.id for each in targets if isinstance(each, ast.Name)]
    return [name for name in found if not name.startswith("__")]


def _read_names(node: ast.AST) -> set[str]:
    return {each.id for each in ast.walk(node) if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load)}


OF_OPENCLAW = "what OpenClaw's own function takes or returns: replayed against its rows (tests/conformance)"
READ_OTHERWISE = {
    "End.same": OF_OPENCLAW,
    "SurfaceError.as_failure": OF_OPENCLAW,
    "FailoverDescription.has_cause": OF_OPENCLAW,
    "WaitExceeded.active_now": OF_OPENCLAW,
    "WaitExceeded.queued_behind": OF_OPENCLAW,
    "RecoveryOutcome.active_session_id": OF_OPENCLAW,
    "RecoveryOutcome.active_count": OF_OPENCLAW,
    "RecoveryOutcome.queued_count": OF_OPENCLAW,
    "FileFingerprint.ctime_ns": "compared with the others, as a whole",
    "UsageStats.cooldown_classification": "read and written by the table of `store/wire.py`",
}
"""Fields that the package reads in another way than by their names, and how."""


def test_every_field_is_read_in_the_package() -> None:
    """A value that tests alone look at is no part of the program."""
    assert sorted(_unread([tree_of(path) for path in modules()])) == sorted(READ_OTHERWISE)


def test_a_field_that_is_only_set_is_found() -> None:
    seen = "@dataclass(frozen=True)\nclass Seen:\n    at: int\n    {}: int = 0\n"
    assert _unread([ast.parse(seen.format("who") + "def f(seen): return seen.at, Seen(1, who=2)")]) == {"Seen.who"}
    assert _unread([ast.parse(seen.format("who") + "match f():\n    case Seen(at, who): pass")]) == set()
    assert _unread([ast.parse(seen.format("who") + "match f():\n    case Seen(at=1): print(each.who)")]) == set()


def _unread(trees: list[ast.Module]) -> set[str]:
    """Fields of dataclasses, as `Class.field`, whose name nobody reads from a value."""
    nodes = [node for tree in trees for node in ast.walk(tree)]
    read = {node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)}
    matched: dict[str, int] = {}
    for node in nodes:
        if isinstance(node, ast.MatchClass):
            read |= set(node.kwd_attrs)
            matched[_last_name(node.cls)] = max(len(node.patterns), matched.get(_last_name(node.cls), 0))
    unread = set()
    for node in nodes:
        if isinstance(node, ast.ClassDef) and any("dataclass" in ast.unparse(each) for each in node.decorator_list):
            targets = [each.target for each in node.body if isinstance(each, ast.AnnAssign)]
            fields = [each.id for each in targets if isinstance(each, ast.Name)]
            unread |= {f"{node.name}.{name}" for name in fields[matched.get(node.name, 0) :] if name not in read}
    return unread


OF_OTHERS = "the signature of a library's method, which calls it"
NOT_PASSED = {
    "cli/main.py _print_message file": OF_OTHERS,
    "engine/providers/connections.py connect_tcp local_address": OF_OTHERS,
    "engine/providers/connections.py connect_tcp socket_options": OF_OTHERS,
    "engine/providers/connections.py connect_tcp timeout": OF_OTHERS,
    "threads.py shutdown cancel_futures": OF_OTHERS,
    "threads.py shutdown wait": OF_OTHERS,
    "core/failure/marked.py marked_reason passing": OF_OPENCLAW,
    "core/failure/marked.py marked_reason policy": OF_OPENCLAW,
    "core/failure/marked.py marked_reason provider_started": OF_OPENCLAW,
    "core/locks/session_rules.py inspect_for_session held_by_own": OF_OPENCLAW,
    "core/locks/session_rules.py inspect_for_session own_pid": OF_OPENCLAW,
    "core/locks/session_rules.py inspect_for_session reclaim_without_ticks": OF_OPENCLAW,
    "core/rotation/eligibility.py order_query preferred": OF_OPENCLAW,
}
"""Parameters with a default that no call in the package passes, and why they are there."""

SEAMS = {
    "cli/common.py": {"clock"},
    "cli/version.py": {"package"},
    "engine/drive/marks.py": {"note_wait_s"},
    "engine/etcd/client.py": {"transport"},
    "engine/etcd/records.py": {"lease_s", "new_id"},
    "engine/gateway/door.py": {"env"},
    "engine/gateway/http.py": {"transport"},
    "engine/gateway/rounds.py": {"http"},
    "engine/gateway/watch.py": {"asker"},
    "engine/live/hook.py": {"start"},
    "engine/live/hub.py": {"poll_seconds", "native"},
    "engine/operations/execute.py": {"machine"},
    "engine/prompt/registry.py": {"new_id"},
    "engine/providers/copilot.py": {"url"},
    "fleet/fleet.py": {"at_once", "chance"},
    "store/gateway/heap_deaths.py": {"journal"},
    "store/gateway/memory_kills.py": {"cgroups", "log"},
    "store/gateway/rivals.py": {"proc", "ports", "ask", "euid"},
    "store/gateway/usage.py": {"cgroups"},
    "store/incident.py": {"reads"},
    "store/locks/command_line.py": {"proc", "euid"},
    "store/locks/processes.py": {"proc"},
    "store/own/recording.py": {"max_bytes"},
    "store/place/environment.py": {"proc", "euid"},
    "store/place/locating.py": {"uids"},
    "store/place/mounts.py": {"mountinfo"},
    "store/snapshot.py": {"port_probe"},
    "ui/jobs.py": {"wishes"},
    "demo/provider.py": {"default"},
}
"""Module -> parameters through which tests play the machine, the clock, chance, or another limit of time or size."""


def test_every_parameter_with_a_default_is_passed_by_a_call_in_the_package() -> None:
    """Else it is a constant, or it is there for tests alone."""
    found = _never_passed({place_of(path): tree_of(path) for path in modules()})
    seams = {one for one in found if one.split()[-1] in SEAMS.get(one.split()[0], ())}
    programs = {one for one in found if one.startswith("engine/library.py") and one.split()[1] in FOR_PROGRAMS}
    assert sorted(found - seams - programs) == sorted(NOT_PASSED)
    assert {(one.split()[0], one.split()[-1]) for one in seams} == {(at, one) for at in SEAMS for one in SEAMS[at]}


@pytest.mark.parametrize(
    ("code", "lost"),
    [
        ("def f(*, a=1): pass\nf()", {"m f a"}),
        ("def f(a=1): pass\nf(2)", set()),
        ("def f(a=1, b=2): pass\nf(2)", {"m f b"}),
        ("def f(*, a=1): pass\ndef g(*, a): pass\nf()\ng(a=3)", {"m f a"}),
        ("def f(*, a=1): pass\nmain(f, a=2)", set()),
        ("def f(*, a=1): pass\ng = f\ng(a=2)", set()),
        ("def f(*, a=1): pass\nf(**wishes)", set()),
        ("class C:\n    def __init__(self, a, *, b=1): pass\nC(1)", {"m C b"}),
        ("class C:\n    def __init__(self, a, *, b=1): pass\nC(1, b=2)", set()),
        (
            "class C:\n    def __init__(self, b=1): pass\nclass D(C):\n    def __init__(self): super().__init__(2)",
            set(),
        ),
        ("for n in r:\n    def f(n=n): pass\n    f()", set()),
    ],
)
def test_a_parameter_is_passed_if_a_call_of_its_function_passes_it(code: str, lost: set[str]) -> None:
    assert _never_passed({"m": ast.parse(code)}) == lost


def _never_passed(trees: dict[str, ast.Module]) -> set[str]:
    """`module function parameter` of the parameters with a default that no call of a function of this name passes.

    Where a function is handed on as a value, any call that passes a keyword of this name counts.
    """
    calls: dict[str, list[tuple[int, set[str | None]]]] = {}
    keywords: set[str | None] = set()
    values: set[str] = set()
    for tree in trees.values():
        nodes = list(ast.walk(tree))
        given = [node for node in nodes if isinstance(node, ast.Call)]
        called = {id(node.func) for node in given}
        named = {id(part) for node in nodes for root in _no_value(node) for part in ast.walk(root)}
        values |= {_last_name(node) for node in nodes if isinstance(node, ast.expr) and id(node) not in called | named}
        for node in given:
            passed = {word.arg for word in node.keywords}
            keywords |= passed
            count = 99 if any(isinstance(each, ast.Starred) for each in node.args) else len(node.args)
            calls.setdefault(_last_name(node.func), []).append((count, passed))
            for place, each in enumerate(node.args):  # partial(f, ...), to_thread(f, ...)
                calls.setdefault(_last_name(each), []).append((count - place - 1, passed))
    return {
        f"{where} {name} {parameter}"
        for where, tree in trees.items()
        for name, place, parameter in _with_defaults(tree)
        if not any(parameter in passed or None in passed or count > place for count, passed in calls.get(name, ()))
        and not (name in values and parameter in keywords)
    }


def _with_defaults(tree: ast.Module) -> list[tuple[str, float, str]]:
    """(function, place, name) of each parameter with a default; the place of a keyword-only one is beyond all."""
    owners = {id(each): node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for each in node.body}
    bases = {_last_name(base) for node in ast.walk(tree) if isinstance(node, ast.ClassDef) for base in node.bases}
    found: list[tuple[str, float, str]] = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        owner = owners.get(id(node))
        if node.name.startswith("__") and (node.name != "__init__" or owner is None or owner.name in bases):
            continue
        plain = [*node.args.posonlyargs, *node.args.args]
        bound = owner is not None and not any(_last_name(each) == "staticmethod" for each in node.decorator_list)
        first = len(plain) - len(node.args.defaults)
        name = owner.name if owner is not None and node.name == "__init__" else node.name
        pairs: list[tuple[float, ast.arg, ast.expr]]
        pairs = [(place - bound, plain[place], node.args.defaults[place - first]) for place in range(first, len(plain))]
        only = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        pairs += [(math.inf, each, default) for each, default in only if default is not None]
        found += [(name, place, each.arg) for place, each, default in pairs if _last_name(default) != each.arg]
    return found


def test_libraries_stay_at_home() -> None:
    away = []
    for path in modules():
        for name in imports_of(path):
            home = HOMES.get(name.partition(".")[0])
            if home is not None and not place_of(path).startswith(home):
                away.append(f"{place_of(path)} imports {name}")
    assert away == []


def test_core_is_standard_library_without_io_or_clock() -> None:
    forbidden = {"asyncio", "os", "io", "time", "socket", "subprocess", "threading", "pathlib", "random", "shutil"}
    allowed = {"clawtop", *sys.stdlib_module_names} - forbidden
    imported = {f"{place_of(path)} imports {name}" for path in modules("core") for name in imports_of(path)}
    assert {said for said in imported if said.split()[-1].partition(".")[0] not in allowed} == set()


def test_the_package_uses_it_for_every_immutable_value() -> None:
    """`from clawtop.values import dataclass`: a class of the standard decorator costs a start half a millisecond."""
    found = []
    for path in modules():
        standard = {
            alias.asname or alias.name
            for node in tree_of(path).body
            if isinstance(node, ast.ImportFrom) and node.module == "dataclasses"
            for alias in node.names
        }
        if "dataclass" in standard and "@dataclass(frozen=True, slots=True" in path.read_text():
            found.append(place_of(path))
    assert found == []


def test_no_module_compiles_an_expression_when_it_is_imported() -> None:
    """`from clawtop.patterns import regex`: a start imports four times as many expressions as it uses."""
    found = [
        f"{place_of(path)}:{node.lineno}"
        for path in modules()
        for node in tree_of(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call)
        if ast.unparse(node.value.func) == "re.compile"
    ]
    assert found == []


def test_the_wall_clock_enters_through_one_door() -> None:
    found = [
        f"{place_of(path)}:{node.lineno}"
        for path in modules()
        if path.name != "clock.py"
        for node in ast.walk(tree_of(path))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if (node.value.id, node.attr) in WALL_CLOCK
    ]
    assert found == []


@pytest.mark.parametrize(
    ("module", "unloaded"),
    [
        ("clawtop.core.model", {"asyncio", "pydantic", "textual", "httpx"}),
        ("clawtop.commands", {"asyncio", "pydantic", "textual", "httpx"}),
        ("clawtop.__main__", {"asyncio", "pydantic", "textual", "httpx", "watchfiles"}),
        ("clawtop.store.provider.keys", {"ssl", "email", "asyncio", "httpx"}),  # every read of a state needs it
    ],
)
def test_importing_stays_light(module: str, unloaded: set[str]) -> None:
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(done.stdout.split()) & unloaded


@pytest.mark.parametrize("room", ["commands", "core", "store", "engine", "export", "fleet", "view", "ui", "demo"])
def test_the_map_names_every_module(room: str) -> None:
    words = set(re.findall(r"\w+", (PACKAGE / "__init__.py").read_text()))
    missing = [path.stem for path in modules(room) if path.stem not in {"__init__", *words}]
    assert missing == []


DOORLESS = {
    "store/door.py": "it is the door",
    "store/disk.py": "the call that the door makes",
    "store/locks/procfs.py": "the kernel's own files",
    "store/locks/processes.py": "as above",
    "store/locks/standpoint.py": "as above",
    "store/place/mounts.py": "the same",
    "store/place/environment.py": "the same",
    "store/place/databases.py": "databases",
    "store/sqlite/": "SQLite opens its files itself",
    "ui/terminal.py": "the terminal and the environment of this process",
    "ui/terminal_file.py": "the same",
    "engine/prompt/process_title.py": "this process's own command line",
    "cli/export.py": "pages of the package itself",
    "cli/version.py": "the same",
    "cli/output.py": "/dev/null in the place of a closed pipe",
    "cli/process.py": "the same",
    "crash.py": "a report of its own",
}
"""Where a file may be opened without the door, and why."""

OPENERS = {"open", "fdopen", "read_text", "read_bytes", "write_text", "write_bytes", "touch"}


@pytest.mark.parametrize("room", ["store", "engine", "ui", "cli", "view", "core"])
def test_files_are_opened_by_one_door(room: str) -> None:
    found = []
    for path in modules(room):
        if place_of(path).startswith(tuple(DOORLESS)):
            continue
        found += [f"{place_of(path)}:{line}" for line in _openings(tree_of(path))]
    assert found == []


WRITING = {
    *("write", "pwrite", "writev", "fsync", "fdatasync", "ftruncate", "truncate", "rename", "renames", "replace"),
    *("link", "symlink", "unlink", "remove", "removedirs", "rmdir", "mkdir", "makedirs", "mkfifo", "mknod", "chmod"),
    *("fchmod", "chown", "fchown", "lchown", "setxattr", "removexattr", "utime"),
}
"""Functions of `os` that change a disk."""

OF_A_PATH = {"unlink", "rename", "mkdir", "rmdir", "touch", "hardlink_to", "symlink_to", "chmod", "lchmod"}
"""Methods of a path that do. Its `replace` cannot be told from a text's."""

ON_THEIR_OWN = {
    "store/disk.py": "the calls themselves",
    "store/sqlite/database.py": "a private copy of a database, in the system's folder for temporary files",
    "fleet/transport.py": "the folder of ssh's sockets",
    "cli/ending.py": "the last words on the terminal",
    "ui/terminal_file.py": "the terminal",
    "ui/terminal_input.py": "the pipe that wakes its own thread",
}
"""Who changes a disk without the seam, and why."""


def test_whoever_changes_a_disk_does_it_through_one_seam() -> None:
    """So that a simulated disk stands in for all of them (`clawtop.store.disk`)."""
    found = set()
    for room in ("core", "store", "engine", "export", "fleet", "view", "ui", "cli"):
        for path in modules(room):
            where = place_of(path)
            found |= {where for node in ast.walk(tree_of(path)) if _changes_a_disk(node)}
    assert found == ON_THEIR_OWN.keys()


def _changes_a_disk(node: ast.AST) -> bool:
    if isinstance(node, ast.ImportFrom):
        return node.module in {"os", "shutil"} and any(alias.name in WRITING for alias in node.names)
    if isinstance(node, ast.Import):
        return any(alias.name == "os" and alias.asname for alias in node.names)
    if not isinstance(node, ast.Attribute):
        return False
    owner = ast.unparse(node.value)
    of_os = owner in {"os", "shutil"} and (node.attr in WRITING or node.attr in {"copyfile", "copy", "move", "rmtree"})
    made = isinstance(node.value, ast.Call) and owner.startswith("Path(") and node.attr in {*OF_A_PATH, "replace"}
    return of_os or made or (node.attr in OF_A_PATH and owner not in {"disk", "self", "atomic", "os"})


def _openings(tree: ast.AST) -> list[int]:
    """Lines that open a file by its path. A descriptor that the door gave may be made a file of."""
    lines = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = node.func
        if isinstance(called, ast.Name):
            lines += [node.lineno] if called.id == "open" else []
            continue
        name = called.attr if isinstance(called, ast.Attribute) else ""
        if name == "fdopen":
            inner = node.args[0]
            through = isinstance(inner, ast.Call) and ast.unparse(inner.func).startswith("door.")
            lines += [] if through else [node.lineno]
        elif name in OPENERS and (name != "open" or _opens_a_path(node)):
            lines.append(node.lineno)
    return lines


def _opens_a_path(node: ast.Call) -> bool:
    """`os.open(...)`, `io.open(...)`, or `path.open("rb")`; not the `open` of something else."""
    called = node.func
    assert isinstance(called, ast.Attribute)
    if isinstance(called.value, ast.Name) and called.value.id in {"os", "io"}:
        return True
    modes = [argument.value for argument in node.args if isinstance(argument, ast.Constant)]
    return any(isinstance(mode, str) and set(mode) <= set("rwabx+t") for mode in modes)


def test_the_map_names_nothing_that_is_gone() -> None:
    text = (PACKAGE / "__init__.py").read_text()
    for name in re.findall(r"^    (\w+)\.py", text, re.MULTILINE):
        assert (PACKAGE / f"{name}.py").is_file()


def test_only_the_start_of_the_dashboard_knows_the_app() -> None:
    """Screens, widgets and commands stand on `ui.shell`; what they may ask of the app is what is written there."""
    knowing = [path for path in modules() if "clawtop.ui.app" in imports_of(path)]
    assert [place_of(path) for path in knowing] == ["ui/run.py"]


TIMERS = {
    *(("asyncio", name) for name in ("sleep", "timeout", "timeout_at", "wait_for")),
    *((loop, name) for loop in ("loop", "_loop") for name in ("time", "call_later", "call_at")),
    *(("time", name) for name in ("sleep", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")),
    ("threading", "Timer"),
    ("httpx", "Timeout"),
}
"""(owner, name): what waits or measures."""

TIMED = {"set_interval", "set_timer", "settimeout", "alarm", "setitimer"}
"""Methods that begin a timer of somebody else's."""

LIMITED = {"wait", "poll", "join", "acquire", "get", "select"}
"""Methods that wait, for as long as a number says."""

LIMITS = {"timeout", "open_timeout", "close_timeout", "ping_timeout", "poll_interval"}
"""Arguments that say for how long somebody waits."""

TEXTUAL = "the screen's: Textual draws by its own loop"
OUTSIDE = "a process, which no clock of ours drives"
NOT_THE_CLOCKS = {
    "store/gateway/heap_deaths.py timeout": OUTSIDE,
    "core/failure/explanation.py timeout": "not a wait: what an error says of itself",
    "ui/app.py set_interval": TEXTUAL,
    "ui/app.py set_timer": TEXTUAL,
    "ui/app.py timeout": TEXTUAL,
    "ui/fleet.py set_interval": TEXTUAL,
    "ui/screens/dialog.py set_interval": TEXTUAL,
    "ui/screens/run.py set_interval": TEXTUAL,
    "ui/typed_ahead.py set_timer": TEXTUAL,
    "ui/terminal_file.py poll": "the terminal itself, asked by the thread that writes to it",
    "ui/terminal_input.py wait": "the thread that reads from a terminal that is gone",
    "cli/process.py alarm": "ends a process that cannot end itself, whatever its loop does",
    "cli/version.py timeout": OUTSIDE,
    "demo/stage.py wait": OUTSIDE,
    "engine/live/hook.py timeout": OUTSIDE,
    "engine/drive/journal_writer.py join": "the end of the process waits for a thread",
    "engine/drive/journal_writer.py wait": "a thread that gathers what comes within milliseconds",
    "engine/operations/locked.py time": "a thread in another's disk, whatever time it is",
    "engine/operations/locked.py timeout": "the same",
    "store/own/spool_writer.py wait": "a thread waits for another's disk, whatever time it is",
    "store/timed_reads.py wait": "the same",
    "store/locks/openclaw.py join": "the end of the process waits for a thread",
    "store/locks/openclaw.py wait": "a thread of its own tries again what a disk refused; it outlives loop and clock",
    "engine/etcd/client.py Timeout": "a stream's connection; a clock ends every call",
    "engine/etcd/client.py timeout": "the same",
    "engine/gateway/client.py close_timeout": "the goodbye of a WebSocket, after the answer",
    "engine/gateway/http.py Timeout": "tells a port that is closed from one that is mute; the clock ends the whole",
    "engine/gateway/http.py timeout": "the same",
    "store/gateway/liveness.py settimeout": "a socket of a thread; a limit for the whole is the reader's",
    "store/own/accounts.py poll_interval": "filelock's wait for another process",
    "store/own/journal.py poll_interval": "the same",
    "store/own/journal.py timeout": "the same",
    "store/own/presence.py poll_interval": "the same",
    "store/own/presence.py timeout": "the same",
    "store/sqlite/database.py timeout": "SQLite's wait for another process",
    "store/sqlite/writing.py timeout": "the same",
}
"""Waits that the Clock does not own: where, what, and why."""


def test_every_timer_is_the_clocks() -> None:
    """Or stands in the table with its reason, exactly."""
    found: set[str] = set()
    for path in modules():
        if path.name != "clock.py":
            found |= {f"{place_of(path)} {what}" for what in _timers(tree_of(path))}
    assert sorted(found) == sorted(NOT_THE_CLOCKS)


@pytest.mark.parametrize(
    "code",
    [
        "await asyncio.sleep(1)",
        "async with asyncio.timeout(3): pass",
        "asyncio.get_running_loop().call_later(1, f)",
        "self._loop.time()",
        "time.sleep(2)",
        "from time import sleep",
        "from asyncio import wait_for",
        "import asyncio as a",
        "import time as t",
        "await asyncio.wait(tasks, timeout=LIMIT)",
        "event.wait(1.5)",
        "event.wait(SECONDS)",
        "thread.join(2)",
        "thread.join(timeout=2)",
        "lock.acquire(timeout=3)",
        "queue.get(True, 1)",
        "self.set_interval(1, f)",
        "connection.settimeout(x)",
        "httpx.AsyncClient(timeout=3)",
    ],
)
def test_a_timer_is_found_however_it_is_written(code: str) -> None:
    assert _timers(ast.parse(code)), code


@pytest.mark.parametrize(
    "code",
    [
        "await asyncio.sleep(0)",
        "await event.wait()",
        "await asyncio.wait(tasks)",
        "', '.join(names)",
        "poll.poll(0)",
        "clock.timeout(3)",
        "values.get('key', 1)",
        "httpx.AsyncClient(timeout=None)",
    ],
)
def test_what_waits_for_an_event_alone_is_no_timer(code: str) -> None:
    assert not _timers(ast.parse(code)), code


def _timers(tree: ast.AST) -> set[str]:
    """What waits or measures time in this code by another clock than ours, by its name."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module in {"asyncio", "time", "threading"}:
            found |= {alias.name for alias in node.names if (node.module, alias.name) in TIMERS}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name in {"asyncio", "time"} and alias.asname}
        elif isinstance(node, ast.Call):
            found |= {word.arg for word in node.keywords if word.arg in LIMITS and not _is(word.value, None)}
            if isinstance(node.func, ast.Attribute):
                found |= _timed_call(node, node.func)
    return found


def _timed_call(node: ast.Call, called: ast.Attribute) -> set[str]:
    owner, name = called.value, called.attr
    owner_name = {ast.Name: "id", ast.Attribute: "attr"}.get(type(owner), "")
    of_a_loop = isinstance(owner, ast.Call) and ast.unparse(owner.func).endswith(("get_running_loop", "get_event_loop"))
    key = ("loop" if of_a_loop else getattr(owner, owner_name, ""), name)
    if key in TIMERS and not (key == ("asyncio", "sleep") and _is(node.args[0], 0)):
        return {name}
    if name in TIMED:
        return {name}
    if name not in LIMITED or key == ("asyncio", "wait") or isinstance(owner, ast.Constant):
        return set()
    numbers = [argument for argument in node.args if _is_a_number(argument) and not _is(argument, 0)]
    waits = bool(numbers) and not (name == "get" and not _is(node.args[0], True))
    return {name} if waits else set()


def _is(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and node.value is value if value is None else _equals(node, value)


def _equals(node: ast.expr, value: object) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) is type(value) and node.value == value


def _is_a_number(node: ast.expr) -> bool:
    """A number as it is written, a constant by its capitals, or a name that counts seconds."""
    if isinstance(node, ast.BinOp):
        return _is_a_number(node.left) or _is_a_number(node.right)
    name = node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""
    number = isinstance(node, ast.Constant) and type(node.value) in {int, float}
    return number or name.isupper() or name in {"seconds", "pause", "timeout", "limit"} or name.endswith(("_s", "_ms"))
