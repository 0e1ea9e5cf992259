"""Which run has the prompt: holders, session locks, lanes, recovery."""
