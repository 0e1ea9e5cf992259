"""The blocking tree as a table: one row for each link of a chain."""

from __future__ import annotations

from collections.abc import Iterator

from clawtop.commands import Target, TargetKind, command, key_label
from clawtop.core.incident.blocking import Node, NodeKind, Severity
from clawtop.core.model import counted
from clawtop.text import safe
from clawtop.values import dataclass
from clawtop.view.columns import Column, Env, Table
from clawtop.view.humanize import age, countdown, in_zone
from clawtop.view.line import EMPTY, Line, Tone, piece
from clawtop.view.long_rows import TableRow


@dataclass(frozen=True, slots=True)
class TreeRow:
    """A node, and the branch lines that lead to it."""

    node: Node
    branch: str


_TONES = {Severity.BUSY: Tone.INFO, Severity.BLOCKED: Tone.WARN, Severity.STUCK: Tone.BAD}
_GLYPHS = {Severity.BUSY: "●", Severity.BLOCKED: "◐", Severity.STUCK: "✗"}

_TARGETS = {
    NodeKind.SESSION: TargetKind.SESSION,
    NodeKind.GROUP: TargetKind.SESSION,
    NodeKind.LOCK: TargetKind.LOCK,
    NodeKind.PROCESS: TargetKind.LOCK,
    NodeKind.HOLDER: TargetKind.RUN,
    NodeKind.CYCLE: TargetKind.RUN,
    NodeKind.LANE: TargetKind.LANE,
    NodeKind.PROFILE: TargetKind.PROFILE,
}


def _what(row: TreeRow, env: Env) -> Line:
    node = row.node
    words = in_zone(node.label, env.now, env.zone, env.facts.name_of)
    tone = _TONES[node.severity]
    label = Tone.STRONG if not row.branch else Tone.PLAIN
    return ((row.branch, Tone.FAINT), (f"{_GLYPHS[node.severity]} ", tone), (safe(words), label))


def _since(row: TreeRow, env: Env) -> Line:
    return piece(age(row.node.since, env.now), Tone.DIM) if row.node.since is not None else EMPTY


def _ends(row: TreeRow, env: Env) -> Line:
    return piece(countdown(row.node.until, env.now), Tone.WARN) if row.node.until is not None else EMPTY


def _how(row: TreeRow, _env: Env) -> Line:
    return piece(safe(row.node.how), Tone.DIM)


def _remedy(row: TreeRow, _env: Env) -> Line:
    if row.node.remedy is None:
        return piece(safe(row.node.advice), Tone.PLAIN) if row.node.advice is not None else EMPTY
    item = command(row.node.remedy)
    return ((key_label(item.keys[0]), Tone.KEY), (f" {item.title.lower()}", Tone.PLAIN))


TREE_COLUMNS: tuple[Column[TreeRow], ...] = (
    Column("what", "WHO WAITS FOR WHOM", 46, _what, grow=70, live=False, middle=True, words=True),
    Column("since", "SINCE", 6, _since, right=True),
    Column("ends", "ENDS IN", 7, _ends, right=True, rank=1),
    Column("remedy", "REMEDY", 17, _remedy, live=False),
    Column("how", "KNOWN FROM", 13, _how, rank=2, live=False),
)


def tree_table(env: Env) -> Table[TreeRow]:
    """Everything that is blocked, stuck ones first; a reassuring text if nothing is."""
    trees = env.facts.tree
    rows = tuple(row for tree in trees for row in _rows(tree, "", "", ""))
    stuck = sum(tree.severity is Severity.STUCK for tree in trees)
    blocked = len(env.facts.blocked)
    parts = [counted(len(trees), "chain")] if trees else []
    parts += [f"{counted(blocked, 'session')} blocked"] if blocked else []
    parts += [f"{stuck} need{'s' if stuck == 1 else ''} attention"] if stuck else []
    note = ", ".join(parts)
    return Table(
        "tree",
        "BLOCKED",
        TREE_COLUMNS,
        rows,
        env,
        band=lambda _item, _env: EMPTY,
        ids=lambda row: safe(f"{row.node.id} {row.node.agent or ''}"),
        empty=(("Nothing waits for anything.", Tone.OK),),
        title_note=((note, Tone.DIM),) if note else (),
    )


def _rows(node: Node, path: str, branch: str, below: str) -> Iterator[TableRow[TreeRow]]:
    key = _key(path, node)
    yield TableRow(key, TreeRow(node, branch), _target(node))
    for position, child in enumerate(node.children):
        last = position == len(node.children) - 1
        yield from _rows(child, key, below + ("└ " if last else "├ "), below + ("  " if last else "│ "))


def cause_key(row: TableRow[TreeRow]) -> str:
    """The key of the row with this row's root cause; its own if it is one."""
    key, node = row.key, row.item.node
    while (heavier := node.heaviest()) is not None:
        key, node = _key(key, heavier), heavier
    return key


def _key(path: str, node: Node) -> str:
    return f"{path}/{node.kind}:{node.id}"


def _target(node: Node) -> Target | None:
    """What a command acts on: the node's own thing; for the owner of a lock, the lock."""
    kind = _TARGETS.get(node.kind)
    return Target(kind, node.id, node.agent) if kind is not None else None
