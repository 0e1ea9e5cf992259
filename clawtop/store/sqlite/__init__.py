"""OpenClaw's databases: opened without leaving a trace, checked before the first row, watched, and written briefly."""
