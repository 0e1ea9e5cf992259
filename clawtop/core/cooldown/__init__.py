"""How long a profile cools: schedules, windows, and which failures are marked at all."""
