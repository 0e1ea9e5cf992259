"""Faults at every file system call of what clawtop writes: `python -m tests.faults [--long]`."""
