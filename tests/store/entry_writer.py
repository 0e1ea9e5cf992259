"""Adds entries to a session list: argv is the state directory, the list, a name and how many."""

from __future__ import annotations

import sys
from pathlib import Path

from clawtop.core.model import ModelRef
from clawtop.store.sessions.entry import add_entry, entry_for

state_dir, store, name, count = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3], int(sys.argv[4])
sys.stdout.write("ready\n")
sys.stdout.flush()
sys.stdin.readline()
for number in range(count):
    key = f"agent:main:{name}-{number}"
    assert add_entry(store, key, entry_for(key, store.parent / "s.jsonl", ModelRef("p", "m"), 1, 2), state_dir)
