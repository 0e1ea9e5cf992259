"""OpenClaw's databases as another process writes and compares them, beside the program that is tested."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Cell = tuple[str, str, str, str, str]
"""Table, key column, key, value column, time column."""

SHARED_STATE: Cell = ("config_machine_state", "state_key", "authProfiles.state", "value_json", "updated_at_ms")
OWN_STATE: Cell = ("auth_profile_state", "state_key", "primary", "state_json", "updated_at")

OWN_STORE: Cell = ("auth_profile_store", "store_key", "primary", "store_json", "updated_at")
NO_CREDENTIALS = {"version": 1, "profiles": {}}

_OTHER_PROCESS = """
import json, sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)
connection.create_function("octet_length", 1, lambda value: len(value or ""), deterministic=True)
for line in sys.stdin:
    statement, parameters = json.loads(line)
    rows = connection.execute(statement, parameters).fetchall()
    print(json.dumps(rows, default=repr), flush=True)
"""


def state_database(state_dir: Path) -> Path:
    return state_dir / "state" / "openclaw.sqlite"


def agent_database(state_dir: Path, agent: str = "main") -> Path:
    return state_dir / "agents" / agent / "agent" / "openclaw-agent.sqlite"


class Other:
    """Another process that has the database open."""

    def __init__(self, path: Path) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", _OTHER_PROCESS, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    def run(self, statement: str, parameters: Sequence[Any] = ()) -> list[list[Any]]:
        """The rows of one statement; text of a blob is its Python representation."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps([statement, list(parameters)]) + "\n")
        self._process.stdin.flush()
        found: list[list[Any]] = json.loads(self._process.stdout.readline())
        return found

    def kill(self) -> None:
        """End it as a crash does: it closes nothing."""
        self._process.kill()
        self._process.communicate()

    def close(self) -> None:
        """End it as a program that closes its databases does."""
        self._process.communicate()


@contextmanager
def other(path: Path) -> Iterator[Other]:
    """Another process at the database at `path`."""
    process = Other(path)
    try:
        yield process
    finally:
        process.close()


def run(path: Path, statement: str, parameters: Sequence[Any] = ()) -> list[list[Any]]:
    """One statement of another process."""
    with other(path) as process:
        return process.run(statement, parameters)


def text_of(path: Path, cell: Cell) -> str | None:
    """The exact bytes of a cell; None if there is no row."""
    table, key_column, key, value_column, _ = cell
    rows = run(path, f"SELECT {value_column} FROM {table} WHERE {key_column}=?", (key,))
    return str(rows[0][0]) if rows else None


def stored(path: Path, cell: Cell) -> dict[str, Any] | None:
    """The document of a cell; None where there is no row."""
    text = text_of(path, cell)
    found: dict[str, Any] | None = json.loads(text) if text is not None else None
    return found


def store(path: Path, cell: Cell, value: Any, at: int) -> None:
    """Set a cell as OpenClaw does."""
    table, key_column, key, value_column, time_column = cell
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    run(
        path,
        f"INSERT INTO {table}({key_column},{value_column},{time_column}) VALUES(?,?,?)"
        f" ON CONFLICT({key_column}) DO UPDATE SET {value_column}=excluded.{value_column},"
        f"{time_column}=excluded.{time_column}",
        (key, text, at),
    )


def others(path: Path, cell: Cell) -> dict[str, list[list[Any]]]:
    """Everything but one cell, table by table."""
    table, key_column, key, _, _ = cell
    with other(path) as process:
        tables = "SELECT name FROM sqlite_master WHERE type='table' AND sql NOT LIKE '%VIRTUAL%'"
        names = [str(row[0]) for row in process.run(tables)]
        found = {
            name: process.run(f"SELECT * FROM {name}" + (f" WHERE {key_column} != '{key}'" if name == table else ""))
            for name in names
        }
        return found | {pragma: process.run(f"PRAGMA {pragma}") for pragma in ("user_version", "journal_mode")}
