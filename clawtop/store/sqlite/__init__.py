"""OpenClaw's databases: read without leaving a trace, checked before the first row, watched, and written briefly."""
