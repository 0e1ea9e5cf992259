"""State directories that a stranger wrote: `python -m tests.fuzz [--seconds N] [--seed N]`."""
