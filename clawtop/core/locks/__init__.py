"""Whose lock is this, and is its owner dead: ours and OpenClaw's verdict."""
