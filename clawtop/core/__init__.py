"""Decisions: pure functions over frozen values. Standard library only; no I/O, no asyncio, no clock."""
