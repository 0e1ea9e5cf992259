"""Which profile is next, why not the others, and when one is usable again."""
