"""What a stranger wrote or sends: `python -m tests.fuzz [--minutes N] [--seed N]`."""
